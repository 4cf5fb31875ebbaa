"""How good a segmentation is: scores from a confusion matrix, boundary agreement, ratio studies."""
