"""Tools: what an owner runs by hand."""
