"""Sample data for File → Open Sample."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_pgan.viewer.layers import LayerTuple, batch_layers, stack_layers
from napari_pgan.viewer.model_files import DEFAULT, open_model
from napari_pgan.viewer.session import LatentSource, SampleRequest, Settings
from napari_pgan.viewer.wait_for_result import wait_for

if TYPE_CHECKING:
    from napari_pgan.phantom import PhantomSubject

_SAMPLES = 6
_SUBJECT = 1
_WINDOW_PERCENTILE = 99.8  # of the head's intensities; brighter voxels are white


def phantom_subject(seed: int = _SUBJECT, size: int = 128) -> list[LayerTuple]:
    """Return the layers of a synthetic subject with a glioma: four modalities and the true segmentation."""

    def make() -> list[LayerTuple]:
        from napari_pgan.phantom import make_subject

        return subject_layers(make_subject(seed, size), seed)

    return wait_for(make, "Making a phantom subject …")


def subject_layers(subject: PhantomSubject, seed: int) -> list[LayerTuple]:
    """Return the layers of a phantom subject, with its true parameters in the metadata."""
    channels = subject.channels
    images = np.stack([np.asarray(subject.images[m], np.float32) for m in channels.modalities])
    inside = [plane[plane > 0] for plane in images]
    windows = {
        m: (0.0, float(np.percentile(values, _WINDOW_PERCENTILE)) if values.size else 1.0)
        for m, values in zip(channels.modalities, inside, strict=True)
    }
    made: dict[str, Any] = {"synthetic": True, "phantom_seed": seed, "truth": subject.truth()}
    about = {"limits": "Synthetic images, not for diagnosis.", "samples": [made]}
    return stack_layers(
        images[None], subject.labels[None], channels, subject.grid, about, prefix="phantom ", windows=windows
    )


def shipped_samples(count: int = _SAMPLES) -> list[LayerTuple]:
    """Return samples of the default model."""
    return first_samples(DEFAULT, count)


def first_samples(source: str, count: int = 1) -> list[LayerTuple]:
    """Return the layers of the first samples of a model.

    Parameters
    ----------
    source
        A file, or the name of a shipped model.
    count
        Seeds 0 … count − 1.

    Raises
    ------
    InputError
        The model cannot be opened.
    """

    def make() -> list[LayerTuple]:
        model = open_model(source).model
        assert model is not None  # since the source is not None
        request = SampleRequest(model, LatentSource(0), Settings(count=count, conditions=model.card.default_conditions))
        return batch_layers(request.run(), model, request.seeds)

    return wait_for(make, "Sampler …")
