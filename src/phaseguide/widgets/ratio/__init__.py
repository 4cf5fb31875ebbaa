"""Where expected values come from: the phase table and the panels that fill it."""
