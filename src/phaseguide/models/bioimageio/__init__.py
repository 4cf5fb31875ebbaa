"""A model as a package for bioimage.io."""
