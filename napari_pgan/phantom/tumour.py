"""Glioma growth: origin, spread and mass effect."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage, sparse
from scipy.sparse import csgraph

from napari_pgan.phantom.anatomy import COARSE, Anatomy
from napari_pgan.phantom.fields import Lattice, exponential, random_field
from napari_pgan.phantom.mass_effect import mass_effect
from napari_pgan.phantom.template import load_template

# Speed of a front in (white matter, grey matter, fluid). Fronts of the Fisher-Kolmogorov equation have the speed
# 2 √(D ρ), so the fivefold diffusion in white matter (Swanson et al. 2000) makes cells 2.2 times as fast. Oedema
# follows the fibres even more strictly.
_CELLS = np.array([1.0, 0.45, 0.04], np.float32)
_WATER = np.array([1.0, 0.11, 0.012], np.float32)
# Periodic grid for fine detail; its period of 108 mm exceeds the size of a lesion.
TILE = Lattice((64, 64, 64), 1.6875)


@dataclass(frozen=True)
class Tumour:
    """A lesion on the grid `COARSE`, in the geometry before the mass effect.

    Attributes
    ----------
    seed_point
        Origin, (3,) mm.
    core_time, oedema_time
        Arrival times of the fronts of cells and water, as mm of path through white matter; (z, y, x) float32.
    core_end, oedema_end
        Times at which growth stops; they define the surfaces of core and oedema.
    rim
        Mean thickness of the enhancing rim, mm.
    gaps
        Fraction of the rim that does not enhance.
    flow, displacement
        Mass effect: the stationary flow, and the displacement from the final geometry back to the one before;
        (3, z, y, x), mm.
    detail
        (4, z, y, x) random fields on `TILE`.
    """

    seed_point: np.ndarray
    core_time: np.ndarray
    oedema_time: np.ndarray
    core_end: float
    oedema_end: float
    rim: float
    gaps: float
    flow: np.ndarray
    displacement: np.ndarray
    detail: np.ndarray

    def before(self, points: np.ndarray) -> np.ndarray:
        """Map points (3, ...) of the final head to the geometry before the mass effect."""
        return points + COARSE.sample(self.displacement, points)

    def depths(self, points: np.ndarray, tissue: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Return depths in core, necrosis and oedema, and the gap field, at `points` (3, n) before the mass effect.

        Depths are approximately in mm, positive inside. `tissue` is (3, n) from `Anatomy.tissue`; with it the border of
        the oedema follows anatomy more finely than the coarse grid.
        """
        detail = TILE.sample(self.detail, points, mode="grid-wrap")
        core = self.core_end - COARSE.sample(self.core_time, points, 3) + 1.1 * detail[0]
        necrosis = core - self.rim * np.exp(0.6 * detail[1] - 0.2 * detail[0])
        local = 4.5 * (1 - (_WATER[:, None] * tissue).sum(0)) - 0.6
        oedema = self.oedema_end - COARSE.sample(self.oedema_time, points, 3) - local + 0.9 * detail[2]
        return core, necrosis, oedema, detail[3]


def grow(seed: int, anatomy: Anatomy, core_ml: float | None = None) -> Tumour:
    """Grow a lesion in `anatomy`.

    Arrival times solve an anisotropic eikonal equation, the limit of reaction-diffusion growth: Swanson et al.
    2000, Cell Prolif 33:317; Konukoglu et al. 2010, IEEE TMI 29:77.

    Parameters
    ----------
    seed
        Seed of the subject.
    anatomy
        The head.
    core_ml
        Approximate volume of core and rim in ml; drawn between 5 and 75 if None.
    """
    rng = np.random.default_rng([seed, 2])
    points = COARSE.points()
    template_points = anatomy.to_template(points)
    template = load_template()
    inside = template.lattice.sample(template.inside, template_points)
    brain = inside > 1
    tissue = np.zeros((3, *COARSE.shape), np.float32)
    tissue[2] = 1
    tissue[:, brain] = anatomy.tissue(points[:, brain], template_points[:, brain])
    lobes = template.lattice.sample(template.lobes, template_points)

    chance = np.where(brain & (inside > 12) & (inside < 36), lobes * tissue[0] ** 2, 0).ravel().astype(np.float64)
    start = int(rng.choice(chance.size, p=chance / chance.sum()))
    drawn_ml = float(np.exp(rng.uniform(np.log(5), np.log(75))))
    core_ml = drawn_ml if core_ml is None else core_ml

    push = float(rng.uniform(0.8, 1.5))
    grown_ml = core_ml * np.exp(-0.6 * push)  # the mass effect adds the rest

    graph = _Graph(brain)
    bumps = np.exp(0.40 * random_field(rng, COARSE, 9.0) + 0.15 * random_field(rng, COARSE, 25.0))
    slow = bumps / np.tensordot(_CELLS, tissue, 1)
    near = graph.arrival(slow, np.array([start]), limit=60)
    starts = [start]
    if rng.uniform() < 0.45:  # a second focus nearby gives a lobed core
        ring = np.flatnonzero((near > 8) & (near < 16) & (tissue[0] > 0.5))
        if ring.size:
            starts.append(int(rng.choice(ring)))
    core_time = graph.arrival(slow, np.array(starts), limit=90)
    voxel = COARSE.spacing**3 / 1000
    core_end = float(np.sort(core_time[brain])[min(int(grown_ml / voxel), int(brain.sum()) - 1)])

    ratio = float(np.exp(rng.uniform(np.log(0.9), np.log(3.2))))
    reach = float(ratio * core_ml + 12)
    water = np.exp(0.30 * random_field(rng, COARSE, 12.0)) / np.tensordot(_WATER, tissue, 1)
    surface = np.flatnonzero((core_time < core_end).ravel())
    oedema_time = graph.arrival(water, surface, limit=70)
    oedema_end = _oedema_end(oedema_time, brain & (core_time >= core_end), tissue[0], int(reach / voxel))

    flow = mass_effect(core_time < core_end, oedema_time < oedema_end, brain, tissue, template_points, push)
    detail = np.stack([random_field(rng, TILE, scale) for scale in (5.0, 8.0, 4.5, 11.0)])
    solid = rng.uniform()
    return Tumour(
        seed_point=points.reshape(3, -1)[:, start],
        core_time=_spline(core_time, brain, core_end),
        oedema_time=_spline(oedema_time, brain, oedema_end),
        core_end=core_end,
        oedema_end=oedema_end,
        rim=float(rng.uniform(3.0, 6.0) if solid > 0.2 else rng.uniform(7.0, 12.0)),
        gaps=float(rng.uniform(0.0, 0.25)),
        flow=flow,
        displacement=exponential(COARSE, -flow),
        detail=detail,
    )


def _oedema_end(time: np.ndarray, room: np.ndarray, white: np.ndarray, voxels: int) -> float:
    """Time at which the oedema stops: after `voxels` voxels, or earlier if too little of it is white matter."""
    order = np.argsort(time[room], kind="stable")
    share = np.cumsum(white[room][order]) / np.arange(1, order.size + 1)
    mostly_white = np.flatnonzero(share > 0.62)
    last = min(voxels, int(mostly_white[-1]) if mostly_white.size else 0, order.size - 1)
    return float(np.clip(time[room][order[last]], 3, 34))


class _Graph:
    """Graph of the voxels of a mask with their 26 neighbours, for shortest paths."""

    def __init__(self, mask: np.ndarray) -> None:
        self.mask = mask
        number = np.full(mask.shape, -1, np.int32)
        number[mask] = np.arange(mask.sum(), dtype=np.int32)
        self.number = number
        steps = [s for s in np.ndindex(3, 3, 3) if s > (1, 1, 1)]
        ends, lengths = [], []
        padded = np.pad(number, 1, constant_values=-1)
        for step in steps:
            window = tuple(slice(s, s + n) for s, n in zip(step, mask.shape, strict=True))
            other = padded[window]
            both = (number >= 0) & (other >= 0)
            ends.append(np.stack([number[both], other[both]]))
            length = float(np.sqrt(sum((s - 1) ** 2 for s in step))) * COARSE.spacing
            lengths.append(np.full(ends[-1].shape[1], length, np.float32))
        self.ends, self.lengths = np.concatenate(ends, 1), np.concatenate(lengths)

    def arrival(self, slowness: np.ndarray, starts: np.ndarray, limit: float) -> np.ndarray:
        """Arrival times of a front that starts at `starts` (flat grid indices) at time 0; at most `limit`."""
        slow = slowness[self.mask]
        cost = self.lengths * (slow[self.ends[0]] + slow[self.ends[1]]) / 2
        count = slow.size
        matrix = sparse.csr_matrix((cost, (self.ends[0], self.ends[1])), shape=(count, count))
        sources = self.number.ravel()[starts]
        time = csgraph.dijkstra(matrix, directed=False, indices=sources[sources >= 0], limit=limit, min_only=True)
        result = np.full(self.mask.shape, limit, np.float32)
        result[self.mask] = np.minimum(time, limit)
        return result


def _spline(time: np.ndarray, brain: np.ndarray, end: float) -> np.ndarray:
    # Late arrival times are irrelevant, and their jumps at fluid and skull would cause ringing of the spline.
    nearest = ndimage.distance_transform_edt(~brain, return_distances=False, return_indices=True)
    extended = np.minimum(time, end + 10)[tuple(nearest)]
    return ndimage.spline_filter(ndimage.gaussian_filter(extended, 0.5), 3, output=np.float32, mode="nearest")
