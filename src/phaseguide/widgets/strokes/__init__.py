"""The New material dock: phases named, a few strokes, and a mask that follows each of them."""
