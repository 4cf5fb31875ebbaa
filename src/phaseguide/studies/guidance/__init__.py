"""What a ratio does to networks that are told it: on whole fields and windows, in maps, scores and features."""
