"""Sources of frames: cameras and files behind one protocol."""
