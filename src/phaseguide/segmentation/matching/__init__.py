"""Offsets of the scores that meet wanted shares, and what keeps islands whole meanwhile."""
