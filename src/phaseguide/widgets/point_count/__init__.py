"""The Point count dock."""
