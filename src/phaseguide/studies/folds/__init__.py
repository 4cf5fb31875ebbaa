"""Cross-validated accuracy, response to a ratio, and warnings, by folds of specimens."""
