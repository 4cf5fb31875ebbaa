"""Who judges a run, on what, and what is said of it."""
