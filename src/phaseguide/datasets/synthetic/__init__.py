"""Synthetic micrographs of exactly known composition: structure, appearance, and the bar of the instrument."""
