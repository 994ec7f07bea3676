"""Phantom subjects: images, segmentation and ground truth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from napari_pgan.errors import InputError
from napari_pgan.phantom.anatomy import COARSE, FIELD_OF_VIEW, Anatomy, make_anatomy
from napari_pgan.phantom.content import ENHANCING, NECROSIS, OEDEMA, add_vessels, lesion_shares
from napari_pgan.phantom.fields import Lattice, follow
from napari_pgan.phantom.mass_effect import midline_shift
from napari_pgan.phantom.scanner import scan
from napari_pgan.phantom.signal import MODALITIES
from napari_pgan.phantom.skull import head_shares
from napari_pgan.phantom.template import load_template
from napari_pgan.phantom.tumour import Tumour, grow
from napari_pgan.schema import Channels, Grid, Label

CHANNELS = Channels(
    MODALITIES,
    (
        Label(NECROSIS, "necrotic core", "#4daf4a"),
        Label(OEDEMA, "oedema", "#ffd92f"),
        Label(ENHANCING, "enhancing tumour", "#e41a1c"),
    ),
)
MIN_SIZE, MAX_SIZE = 32, 256


@dataclass(frozen=True)
class PhantomSubject:
    """A phantom subject; arrays are (z, y, x) with indices towards S, P, L.

    Attributes
    ----------
    images
        Modality → float32 array in arbitrary units that differ between modalities, as in MRI.
    labels
        uint8: 1 necrotic or non-enhancing core, 2 oedema, 4 enhancing tumour.
    grid
        Shape, spacing in mm and orientation (``"SPL"``).
    brain
        Mask of the brain with tumour, ventricles and sulci.
    tissue
        ``white``, ``grey`` and ``csf``: tissue fraction without the tumour, 0 to 1, float32.
    tumour_seed_mm
        Origin of the tumour after the mass effect, (z, y, x) mm from the centre of the grid.
    tumour_seed_index
        The same as an array index.
    midline_shift_mm
        Largest lateral displacement of the deep midline.
    volumes_ml
        Volumes of ``brain``, ``necrotic core``, ``oedema`` and ``enhancing tumour``.
    ventricle_scale
        Ventricle volume relative to the template, before the tumour.
    protocol
        Scanner settings (times in ms).
    """

    images: dict[str, np.ndarray]
    labels: np.ndarray
    grid: Grid
    brain: np.ndarray
    tissue: dict[str, np.ndarray]
    tumour_seed_mm: tuple[float, float, float]
    tumour_seed_index: tuple[int, int, int]
    midline_shift_mm: float
    volumes_ml: dict[str, float]
    ventricle_scale: float
    protocol: dict[str, Any]

    @property
    def channels(self) -> Channels:
        """Modalities and labels."""
        return CHANNELS

    def truth(self) -> dict[str, Any]:
        """Return the ground truth besides the voxels, JSON-serialisable."""
        return {
            "tumour_seed_mm": [round(v, 2) for v in self.tumour_seed_mm],
            "tumour_seed_index": list(self.tumour_seed_index),
            "midline_shift_mm": round(self.midline_shift_mm, 3),
            "volumes_ml": {name: round(v, 3) for name, v in self.volumes_ml.items()},
            "ventricle_scale": round(self.ventricle_scale, 3),
            "protocol": self.protocol,
        }


def make_subject(seed: int, size: int = 128, skull: bool = False, *, core_ml: float | None = None) -> PhantomSubject:
    """Make a subject with a glioma; the same arguments give the same bytes on one machine.

    Parameters
    ----------
    seed
        Non-negative integer that determines head, tumour and scanner, independent of `size`.
    size
        Voxels per side of a cube of 216 mm, 32 to 256.
    skull
        Include skull and scalp. Otherwise the background is exactly 0, as in BraTS, and the brain is above 0.
    core_ml
        Approximate volume of the tumour's core and rim; drawn between 5 and 75 ml if None.

    Raises
    ------
    InputError
        The seed, size or volume is out of range.
    """
    if seed < 0:
        raise InputError(f"the seed {seed} is negative; give a whole number from 0")
    if not MIN_SIZE <= size <= MAX_SIZE:
        raise InputError(f"the size {size} is not between {MIN_SIZE} and {MAX_SIZE}; give for example 64 or 128")
    if core_ml is not None and not 0.5 <= core_ml <= 120:
        raise InputError(f"the tumour core of {core_ml} ml is not between 0.5 and 120 ml")
    anatomy = make_anatomy(seed)
    tumour = grow(seed, anatomy, core_ml)
    return _scan(seed, Lattice((size, size, size), FIELD_OF_VIEW / size), anatomy, tumour, skull)


def _scan(seed: int, lattice: Lattice, anatomy: Anatomy, tumour: Tumour, skull: bool) -> PhantomSubject:
    template = load_template()
    coarse_points = COARSE.points()
    before = tumour.before(coarse_points)
    to_template = anatomy.to_template(before)
    depth = template.lattice.sample(template.inside, to_template) - anatomy.trim

    # Without skull, only the bounding box of the brain is computed.
    window = _box(lattice, coarse_points[:, depth > -2]) if not skull else (slice(None),) * 3
    axes = [lattice.axis(dimension)[part] for dimension, part in enumerate(window)]
    inside = COARSE.resample(depth, axes)
    brain = inside > 0
    points = COARSE.resample(before, axes)[:, brain]  # (3, n), before the mass effect
    template_points = COARSE.resample(to_template, axes)[:, brain]
    tissue = anatomy.tissue(points, template_points)
    shares, label = lesion_shares(tumour, points, tissue, lattice.spacing)
    add_vessels(shares, seed, points, template_points[2], inside[brain])
    head = brain
    if skull:
        head, shares = head_shares(seed, lattice, brain, shares)
    images, settings = scan(seed, axes, head, brain, shares)

    def embed(values: np.ndarray, mask: np.ndarray | None = None) -> np.ndarray:
        array = np.zeros(lattice.shape, values.dtype)
        if mask is None:
            array[window] = values
        else:
            array[window][mask] = values
        return array

    labels = embed(label, brain)
    voxel = lattice.spacing**3 / 1000
    seed_mm = follow(COARSE, tumour.flow, tumour.seed_point.reshape(3, 1))
    index = np.rint(lattice.indices(seed_mm)[:, 0])
    volumes = {entry.name: float((label == entry.value).sum() * voxel) for entry in CHANNELS.labels}
    return PhantomSubject(
        images={modality: embed(image) for modality, image in images.items()},
        labels=labels,
        grid=Grid(lattice.shape, (lattice.spacing,) * 3, "SPL"),
        brain=embed(brain),
        tissue={name: embed(share, brain) for name, share in zip(("white", "grey", "csf"), tissue, strict=True)},
        tumour_seed_mm=(float(seed_mm[0, 0]), float(seed_mm[1, 0]), float(seed_mm[2, 0])),
        tumour_seed_index=(int(index[0]), int(index[1]), int(index[2])),
        midline_shift_mm=midline_shift(anatomy, tumour.flow),
        volumes_ml={"brain": float(brain.sum() * voxel), **volumes},
        ventricle_scale=anatomy.ventricle_scale,
        protocol=settings,
    )


def _box(lattice: Lattice, points: np.ndarray) -> tuple[slice, ...]:
    """Part of `lattice` that contains `points` (3, n), with a margin of one coarse voxel."""
    low = lattice.indices(points.min(1) - COARSE.spacing)
    high = lattice.indices(points.max(1) + COARSE.spacing)
    return tuple(slice(max(int(a), 0), int(b) + 2) for a, b in zip(low, high, strict=True))
