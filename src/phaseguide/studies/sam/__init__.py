"""Speed and memory of Segment Anything against its authors' code, and how it does without training."""
