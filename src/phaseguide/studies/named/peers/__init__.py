"""The study ``peers``: several ways to learn from the same strokes, and what a ratio is worth to each."""
