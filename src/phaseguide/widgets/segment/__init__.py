"""The step Segment."""
