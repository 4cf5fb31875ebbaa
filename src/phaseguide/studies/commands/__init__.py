"""The command group ``phaseguide benchmark``; the command line loads it by name."""
