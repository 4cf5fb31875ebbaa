"""What is in an image when somebody looked at a part of it: painted pixels and point counts, with their intervals."""
