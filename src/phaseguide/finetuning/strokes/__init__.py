"""A first model of a new material: pixels classified by a few strokes, fitted in a moment."""
