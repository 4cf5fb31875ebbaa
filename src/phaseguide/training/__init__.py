"""Training: crops and augmentation, losses, and the training generator. Free of any GUI package."""
