"""Classifying single pixels: a frozen encoder at several zooms, plain image filters, and one linear layer."""
