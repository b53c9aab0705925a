"""The gates: pure, arrays and time in, results out."""
