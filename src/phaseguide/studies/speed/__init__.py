"""Time and memory of segmenting, live mode and large images, against a stated peer."""
