"""The napari plugin. Nothing outside this package imports napari or Qt."""
