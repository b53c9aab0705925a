"""The tracker: pure, detections and time in, visits out."""
