"""What a ratio is worth to networks that were told it, by how they were trained: whole fields, and windows."""
