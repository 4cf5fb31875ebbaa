"""Learning from what the user just painted: sources, the fine-tuning generator, where to paint next."""
