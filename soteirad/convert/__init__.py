"""Model conversion to other runtimes, and the proof that a conversion computes the same."""
