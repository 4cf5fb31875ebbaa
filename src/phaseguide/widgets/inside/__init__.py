"""Look inside: what a network sees, as layers."""
