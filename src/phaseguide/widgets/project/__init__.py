"""The fields of a project."""
