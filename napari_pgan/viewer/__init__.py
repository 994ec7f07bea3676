"""The napari plugin. Nothing outside this room imports napari or Qt."""
