"""``phaseguide project``: the fields of a specimen in one folder."""
