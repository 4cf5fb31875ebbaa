"""Sentences that are to be noticed: a list of warnings, and advice beside a button."""
