"""``phaseguide train``: from a data set, from a project, on Segment Anything."""
