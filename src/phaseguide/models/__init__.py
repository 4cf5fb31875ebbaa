"""Guidance modules, backbones, the segmenter that joins them, the model file and the zoo."""
