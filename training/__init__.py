"""Progressive training, and the command `napari-pgan-train`."""

if __name__ != "napari_pgan.training":
    raise ImportError(
        f"import this package as napari_pgan.training, not as {__name__!r}: two copies would not know each other"
    )
