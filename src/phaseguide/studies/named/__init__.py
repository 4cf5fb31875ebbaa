"""The studies of ``phaseguide study NAME``, one file each; `registry` lists them."""
