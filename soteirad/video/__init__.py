"""Video that is kept and shown as it came: clips of visits, and the live view. Nothing here decodes."""
