"""`soteirad tune`: thresholds chosen on the owner's own footage."""
