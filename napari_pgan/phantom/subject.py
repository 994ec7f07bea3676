"""A phantom subject: its images, its segmentation and the truth behind them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from napari_pgan.errors import InputError
from napari_pgan.phantom.anatomy import COARSE, FIELD_OF_VIEW, Anatomy, make_anatomy
from napari_pgan.phantom.fields import Lattice, follow, random_field
from napari_pgan.phantom.masseffect import midline_shift
from napari_pgan.phantom.signal import MODALITIES, draw_protocol, mixed_signal, rician
from napari_pgan.phantom.skull import head_shares
from napari_pgan.phantom.template import load_template
from napari_pgan.phantom.tumour import TILE, Tumour, grow
from napari_pgan.spec import Channels, Grid, Label

CHANNELS = Channels(
    MODALITIES,
    (Label(1, "necrotic core", "#4daf4a"), Label(2, "oedema", "#ffd92f"), Label(4, "enhancing tumour", "#e41a1c")),
)
NECROSIS, OEDEMA, ENHANCING = 1, 2, 4
SMALLEST, LARGEST = 32, 256


@dataclass(frozen=True)
class PhantomSubject:
    """What `make_subject` gives; all arrays are (z, y, x) with indices growing towards S, P, L.

    Attributes
    ----------
    images
        Modality to float32 array in arbitrary units, one modality's unlike another's, as in MRI.
    labels
        uint8: 1 necrotic or non-enhancing core, 2 oedema, 4 enhancing tumour.
    grid
        Shape, spacing in mm and orientation (``"SPL"``).
    brain
        bool: the brain with tumour, ventricles and sulci.
    tissue
        ``white``, ``grey`` and ``csf``: share of the voxel *before* the tumour came, 0 to 1, float32.
    tumour_seed_mm
        Where the tumour began, after all was pushed: (z, y, x) mm from the middle of the grid.
    tumour_seed_index
        The same as an index of the arrays.
    midline_shift_mm
        Greatest sideways displacement of the deep midline.
    volumes_ml
        ``brain``, ``necrotic core``, ``oedema``, ``enhancing tumour``, ``ventricle scale`` left out.
    ventricle_scale
        Volume of the ventricles against the template's, before the tumour.
    protocol
        The scanner's settings (times in ms).
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
        """Names of the modalities; values, names and colours of the labels."""
        return CHANNELS

    def truth(self) -> dict[str, Any]:
        """What is known about the subject besides its voxels, for JSON."""
        return {
            "tumour_seed_mm": [round(v, 2) for v in self.tumour_seed_mm],
            "tumour_seed_index": list(self.tumour_seed_index),
            "midline_shift_mm": round(self.midline_shift_mm, 3),
            "volumes_ml": {name: round(v, 3) for name, v in self.volumes_ml.items()},
            "ventricle_scale": round(self.ventricle_scale, 3),
            "protocol": self.protocol,
        }


def make_subject(seed: int, size: int = 128, skull: bool = False, *, core_ml: float | None = None) -> PhantomSubject:
    """Make one subject with a glioma; the same arguments give the same bytes on one machine.

    Parameters
    ----------
    seed
        Any whole number from 0. Head, tumour and scanner follow from it; at another `size` it is the same person.
    size
        Voxels a side of a cube of 216 mm, 32 to 256.
    skull
        Keep skull and scalp. Left False, the background is exactly 0 as in BraTS, and the brain above 0.
    core_ml
        Volume of the tumour's core and rim, roughly; drawn between 5 and 75 ml when None.

    Raises
    ------
    InputError
        For a seed, size or volume outside these ranges.
    """
    if seed < 0:
        raise InputError(f"the seed {seed} is negative; give a whole number from 0")
    if not SMALLEST <= size <= LARGEST:
        raise InputError(f"the size {size} is not between {SMALLEST} and {LARGEST}; 64 and 128 are usual")
    if core_ml is not None and not 0.5 <= core_ml <= 120:
        raise InputError(f"a tumour core of {core_ml} ml is not between 0.5 and 120 ml")
    anatomy = make_anatomy(seed)
    tumour = grow(seed, anatomy, core_ml)
    return _scan(seed, Lattice((size, size, size), FIELD_OF_VIEW / size), anatomy, tumour, skull)


def _scan(seed: int, lattice: Lattice, anatomy: Anatomy, tumour: Tumour, skull: bool) -> PhantomSubject:
    template = load_template()
    coarse_points = COARSE.points()
    moved = np.stack([coarse_points, tumour.before(coarse_points)])  # pushed head, head before
    to_template = anatomy.to_template(moved[1])
    depth = template.lattice.sample(template.inside, to_template) - anatomy.trim

    axes = [lattice.axis(d) for d in range(3)]
    inside = COARSE.resample(depth, axes)
    brain = inside > 0
    before = COARSE.resample(moved[1], axes)[:, brain]  # (3, n)
    tissue = anatomy.tissue(before, COARSE.resample(to_template, axes)[:, brain])
    shares, label = _lesion_shares(tumour, before, tissue, lattice.spacing)
    _add_vessels(shares, seed, before, COARSE.resample(to_template[2], axes)[brain], inside[brain])

    labels = np.zeros(lattice.shape, np.uint8)
    labels[brain] = label
    where = brain
    if skull:
        where, shares = head_shares(seed, lattice, inside, brain, shares)
    images = _images(seed, lattice, where, shares, brain)

    voxel = lattice.spacing**3 / 1000
    seed_mm = follow(COARSE, tumour.flow, tumour.seed_point.reshape(3, 1))
    volumes = {label.name: float((labels == label.value).sum() * voxel) for label in CHANNELS.labels}
    full = {name: np.zeros(lattice.shape, np.float32) for name in ("white", "grey", "csf")}
    for array, share in zip(full.values(), tissue, strict=True):
        array[brain] = share
    return PhantomSubject(
        images=images[0],
        labels=labels,
        grid=Grid(lattice.shape, (lattice.spacing,) * 3, "SPL"),
        brain=brain,
        tissue=full,
        tumour_seed_mm=tuple(float(v) for v in seed_mm[:, 0]),
        tumour_seed_index=tuple(int(v) for v in np.rint(lattice.indices(seed_mm)[:, 0])),
        midline_shift_mm=midline_shift(anatomy, tumour.flow),
        volumes_ml={"brain": float(brain.sum() * voxel), **volumes},
        ventricle_scale=anatomy.ventricle_scale,
        protocol=images[1],
    )


def _lesion_shares(
    tumour: Tumour, points: np.ndarray, tissue: np.ndarray, spacing: float
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """What every voxel holds, and its label; all (n,)."""
    core, necrosis, oedema, gap = tumour.depths(points, tissue)
    soft = 0.3 * spacing
    in_core, in_necrosis = _step(core / soft), _step(necrosis / soft)
    gapped = _step((gap - _gap_threshold(tumour.gaps)) / 0.15)
    wet = _step(oedema / max(soft, 1.0)) * (0.55 + 0.45 * np.clip(oedema / tumour.oedema_end, 0, 1))
    white, grey, fluid = tissue
    healthy = 1 - in_core
    wet_white, wet_grey = wet * white * healthy, 0.55 * wet * grey * healthy
    rim = in_core - np.minimum(in_necrosis, in_core)
    shares = {
        "white": white * healthy - wet_white,
        "grey": grey * healthy - wet_grey,
        "fluid": fluid * healthy,
        "oedema": wet_white + wet_grey,
        "solid": rim * gapped,
        "enhancing": rim * (1 - gapped),
        "necrosis": np.minimum(in_necrosis, in_core),
    }
    label = np.zeros(core.shape, np.uint8)
    label[(oedema > 0) & (fluid < 0.5)] = OEDEMA
    label[core > 0] = ENHANCING
    label[(core > 0) & ((necrosis > 0) | (gapped > 0.5))] = NECROSIS
    return shares, label


def _add_vessels(
    shares: dict[str, np.ndarray], seed: int, points: np.ndarray, side: np.ndarray, depth: np.ndarray
) -> None:
    """Put vessels into the sulci (threads where two random fields are both near 0) and a sinus along the midline."""
    rng = np.random.default_rng([seed, 3])
    first, second = (TILE.sample(random_field(rng, TILE, 9.0), points, mode="grid-wrap") for _ in range(2))
    thread = np.exp(-(first**2 + second**2) / 0.03) * np.clip(1 - depth / 25, 0, 1)
    sinus = np.exp(-((side / 2.2) ** 2)) * np.clip(1.6 - depth / 3, 0, 1) * (points[0] > -20)
    taken = np.clip(thread + sinus, 0, 1) * np.clip(2 * shares["fluid"], 0, 1)
    for name in ("fluid", "grey"):
        shares[name] = shares[name] * (1 - taken)
    shares["vessel"] = (1 - sum(shares.values())).clip(0, 1)


def _images(
    seed: int, lattice: Lattice, where: np.ndarray, shares: dict[str, np.ndarray], brain: np.ndarray
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    rng = np.random.default_rng([seed, 4])
    protocol = draw_protocol(rng)
    points = lattice.points()[:, where]
    fields = [TILE.sample(random_field(rng, TILE, scale), points, mode="grid-wrap") for scale in (4.0, 7.0, 16.0)]
    fine = (0.8 * fields[0] + 0.6 * fields[1]).astype(np.float32)
    broad = (0.6 * fields[1] + 0.8 * fields[2]).astype(np.float32)
    texture = {name: broad if name in ("white", "grey", "fat") else fine for name in shares}
    coil = [random_field(rng, COARSE, 90.0) for _ in range(2)]
    axes = [lattice.axis(d) for d in range(3)]
    images = {}
    settings: dict[str, Any] = dict(vars(protocol))
    for modality in MODALITIES:
        signal = mixed_signal(protocol, shares, texture, modality)
        strength, mix = rng.uniform(0.03, 0.10), rng.uniform(0.3, 0.9)
        bias = np.exp(strength * COARSE.resample(mix * coil[0] + (1 - mix) * coil[1], axes))[where]
        level = float(np.median(signal[brain[where]]))
        noise = float(rng.uniform(0.012, 0.03))
        unit = float(rng.uniform(250, 700)) / level
        image = np.zeros(lattice.shape, np.float32)
        if where is not brain:
            image = rician(rng, image, noise * level)
        image[where] = rician(rng, signal * bias, noise * level)
        image *= unit
        image[brain] = np.maximum(image[brain], 1)  # 0 means outside, as in BraTS
        images[modality] = image
        settings[f"{modality}_noise"] = noise
    return images, settings


def _step(depth: np.ndarray) -> np.ndarray:
    return (0.5 * (1 + np.tanh(depth))).astype(np.float32)


def _gap_threshold(share: float) -> float:
    from scipy.special import ndtri

    return float(ndtri(1 - max(share, 1e-3)))
