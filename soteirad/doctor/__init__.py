"""`soteirad doctor`: is all well with machine, cameras, broker and service? The daemon has no part in it."""
