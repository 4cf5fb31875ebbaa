"""Segmenting an image with a model: session, tiles, ratio matching, ratio estimation."""
