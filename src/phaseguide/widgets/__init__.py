"""The napari plugin: the only place that imports napari, Qt, superqt and magicgui."""
