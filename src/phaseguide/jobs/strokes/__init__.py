"""What a stroke and a press of *Save as model* do while a new material is painted."""
