"""``phaseguide models``: the library of models, base weights, what a network is."""
