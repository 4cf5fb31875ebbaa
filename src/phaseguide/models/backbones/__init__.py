"""Networks that turn an image into features, and features into scores: one file each, registered by name."""
