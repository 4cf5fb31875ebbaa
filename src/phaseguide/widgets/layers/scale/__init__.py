"""What tells an image's size of a pixel, and where the user is asked for it."""
