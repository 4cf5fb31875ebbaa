"""A project: a folder of fields, what was said and painted about each, and versions of the model."""
