"""Folders of images and labels, and the micrographs that ship with the package."""
