"""Pieces of Qt that know nothing of phases or napari."""
