"""Segment Anything as a backbone: its image encoder adapted by LoRA, with a decoder for K phases."""
