"""A small project with two fields."""

from project_fixtures import images, project, scheme

__all__ = ["images", "project", "scheme"]
