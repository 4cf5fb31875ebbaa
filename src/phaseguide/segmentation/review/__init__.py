"""What should make a user doubt a result, and where to look."""
