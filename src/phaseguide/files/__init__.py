"""Files: read only where they are what they say, written so that they are complete or untouched."""
