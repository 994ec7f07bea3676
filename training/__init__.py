"""The trainer: from a store and a recipe to a model file.

To read it in order: `session` (one call of `fit`), `planning`, `recipe`, `schedule` (what is trained when), `trainer`
(one step) with `losses`, `dataset`, `augment` and `label_noise`, then `snapshots`, `recovery`, `checkpoint` and
`run_folder`.
"""

if __name__ != "napari_pgan.training":
    raise ImportError(f"import this package as napari_pgan.training, not as {__name__!r}, which would be a second copy")
