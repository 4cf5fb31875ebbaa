"""napari's layers as this plugin means them; knows nothing of docks."""
