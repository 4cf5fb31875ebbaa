"""What every block of a network sees, as colours."""
