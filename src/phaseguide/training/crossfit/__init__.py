"""Cross-fitting: what a network does on images that it has not seen, measured and learnt from as part of a training."""
