"""Published data sets and annotation formats, read in the layout that they come in: one file a layout."""
