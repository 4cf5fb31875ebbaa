"""How quickly fine-tuning learns from strokes, against what, on which scenarios."""
