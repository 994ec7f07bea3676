"""A glioma: where it begins, how it spreads, what it pushes aside."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage, sparse
from scipy.sparse import csgraph

from napari_pgan.phantom.anatomy import COARSE, Anatomy
from napari_pgan.phantom.fields import Lattice, exponential, flow_from_sources, follow, random_field
from napari_pgan.phantom.template import load_template

# How fast a front runs in (white, grey, fluid). A front of the Fisher-Kolmogorov equation has the speed 2 √(D ρ), so that
# the fivefold diffusion in white matter that Swanson et al. 2000 found makes the cells 2.2 times as fast. Oedema
# follows the fibres still more strictly.
_CELLS = np.array([1.0, 0.45, 0.04], np.float32)
_WATER = np.array([1.0, 0.16, 0.012], np.float32)
# Fine detail of the lesion, repeated every 108 mm: wider than a lesion.
TILE = Lattice((64, 64, 64), 1.6875)


@dataclass(frozen=True)
class Tumour:
    """A lesion on the grid `COARSE`, in the geometry of the head before it was pushed.

    Attributes
    ----------
    seed_point
        (3,) mm, where it began.
    core_time, oedema_time
        When the fronts of cells and of water arrive, in mm of way through white matter; (z, y, x) float32.
    core_end, oedema_end
        The times at which growth stops: the surfaces of core and oedema.
    rim
        Mean thickness of the enhancing rim, mm.
    gaps
        Share of the rim that does not enhance.
    velocity, displacement
        Mass effect: the flow from the pushed head back to the one before, and its displacement; (3, z, y, x), mm.
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
    velocity: np.ndarray
    displacement: np.ndarray
    detail: np.ndarray

    def before(self, points: np.ndarray) -> np.ndarray:
        """Points (3, ...) of the pushed head as points of the head before."""
        return points + COARSE.sample(self.displacement, points)

    def depths(self, points: np.ndarray, tissue: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """How far `points` (3, n), of the head before, lie inside the core, the necrosis, the oedema; and the gaps.

        Roughly millimetres, positive inside. `tissue` is (3, n), as `Anatomy.tissue` gives it: the oedema's border
        follows it more finely than the coarse grid knows.
        """
        detail = TILE.sample(self.detail, points, mode="grid-wrap")
        core = self.core_end - COARSE.sample(self.core_time, points, 3) + 1.3 * detail[0]
        necrosis = core - self.rim * np.exp(0.45 * detail[1] + 0.15 * detail[0])
        local = 3.0 * (1 - (_WATER[:, None] * tissue).sum(0)) - 0.6
        oedema = self.oedema_end - COARSE.sample(self.oedema_time, points, 3) - local + 0.9 * detail[2]
        return core, necrosis, oedema, detail[3]


def grow(seed: int, anatomy: Anatomy, core_ml: float | None = None) -> Tumour:
    """Grow a lesion in `anatomy`.

    Fronts are arrival times of an anisotropic eikonal equation, the limit of reaction-diffusion growth: Swanson et al.
    2000, Cell Prolif 33:317; Konukoglu et al. 2010, IEEE TMI 29:77. The mass effect is an incompressible flow out of the
    core, taken up by ventricles and damped at the skull, much simpler than the mechanics of Clatz et al. 2005, IEEE
    TMI 24:1334, which has the same tissue classes.

    Parameters
    ----------
    seed
        Of the subject.
    anatomy
        The head.
    core_ml
        Volume of core and rim before they push, in ml; drawn between 5 and 60 when None.
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
    drawn_ml = float(np.exp(rng.uniform(np.log(5), np.log(60))))
    core_ml = drawn_ml if core_ml is None else core_ml

    graph = _Graph(brain)
    bumps = np.exp(0.40 * random_field(rng, COARSE, 9.0) + 0.15 * random_field(rng, COARSE, 25.0))
    slow = bumps / np.tensordot(_CELLS, tissue, 1)
    near = graph.arrival(slow, np.array([start]), limit=60)
    starts = [start]
    if rng.uniform() < 0.45:  # a second focus near the first makes a lobed core
        ring = np.flatnonzero((near > 8) & (near < 16) & (tissue[0] > 0.5))
        if ring.size:
            starts.append(int(rng.choice(ring)))
    core_time = graph.arrival(slow, np.array(starts), limit=90)
    voxel = COARSE.spacing**3 / 1000
    core_end = float(np.sort(core_time[brain])[min(int(core_ml / voxel), int(brain.sum()) - 1)])

    ratio = float(np.exp(rng.uniform(np.log(0.9), np.log(3.2))))
    reach = float(ratio * core_ml + 12)
    water = np.exp(0.30 * random_field(rng, COARSE, 12.0)) / np.tensordot(_WATER, tissue, 1)
    surface = np.flatnonzero((core_time < core_end).ravel())
    oedema_time = graph.arrival(water, surface, limit=70)
    outside = np.sort(oedema_time[brain & (core_time >= core_end)])
    oedema_end = float(np.clip(outside[min(int(reach / voxel), outside.size - 1)], 3, 34))

    push = rng.uniform(0.55, 1.0)
    velocity = _mass_effect(core_time < core_end, oedema_time < oedema_end, inside, template_points, anatomy, push)
    detail = np.stack([random_field(rng, TILE, scale) for scale in (5.0, 8.0, 4.5, 11.0)])
    wholly = rng.uniform()
    return Tumour(
        seed_point=points.reshape(3, -1)[:, start],
        core_time=_spline(core_time),
        oedema_time=_spline(oedema_time),
        core_end=core_end,
        oedema_end=oedema_end,
        rim=float(rng.uniform(2.6, 5.0) if wholly > 0.2 else rng.uniform(6.0, 10.0)),
        gaps=float(rng.uniform(0.0, 0.25)),
        velocity=velocity,
        displacement=exponential(COARSE, velocity),
        detail=detail,
    )


def midline_shift(anatomy: Anatomy, tumour: Tumour) -> float:
    """How far the middle of the deep brain is pushed sideways, in mm: the greatest displacement along x.

    Measured over the midline between the frontal horns and the pineal region, where radiologists measure it.
    """
    points = COARSE.points()
    at = anatomy.to_template(points)
    z, y, x = at[0] + 8, at[1] + 17, at[2]
    middle = (abs(x) < 2.2) & (z > -2) & (z < 28) & (y > -25) & (y < 40)
    here = points[:, middle]
    # `velocity` leads back to the head before; its reverse leads from there to the pushed head.
    shift = (follow(COARSE, -tumour.velocity, here) - here)[2]
    return float(np.percentile(np.abs(shift), 98))


def _mass_effect(
    core: np.ndarray, oedema: np.ndarray, inside: np.ndarray, template_points: np.ndarray, anatomy: Anatomy, push: float
) -> np.ndarray:
    template = load_template()
    ventricles = template.lattice.sample(template.ventricles, template_points)
    sources = push * (0.9 * core + 0.16 * (oedema & ~core))
    centre = COARSE.points()[:, core].mean(1)
    away = np.sqrt(((COARSE.points() - centre.reshape(3, 1, 1, 1)) ** 2).sum(0))
    sink = ventricles * np.exp(-((away / 55) ** 2))
    sink *= min(0.35 * sources.sum() / max(sink.sum(), 1e-6), 1.6)
    flow = flow_from_sources(COARSE, sources - sink)
    held = np.clip((inside + 1) / 14, 0, 1)  # the skull does not give way
    return -flow * (held * held * (3 - 2 * held)).astype(np.float32)


class _Graph:
    """The voxels of a mask, joined to their 26 neighbours, for shortest ways."""

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
        """When a front that leaves `starts` (flat indices of the grid) at 0 comes by; `limit` where it does not."""
        slow = slowness[self.mask]
        cost = self.lengths * (slow[self.ends[0]] + slow[self.ends[1]]) / 2
        count = slow.size
        matrix = sparse.csr_matrix((cost, (self.ends[0], self.ends[1])), shape=(count, count))
        sources = self.number.ravel()[starts]
        time = csgraph.dijkstra(matrix, directed=False, indices=sources[sources >= 0], limit=limit, min_only=True)
        result = np.full(self.mask.shape, limit, np.float32)
        result[self.mask] = np.minimum(time, limit)
        return result


def _spline(time: np.ndarray) -> np.ndarray:
    return ndimage.spline_filter(ndimage.gaussian_filter(time, 0.5), 3, output=np.float32, mode="nearest")
