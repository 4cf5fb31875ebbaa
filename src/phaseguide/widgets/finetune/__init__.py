"""The step Teach."""
