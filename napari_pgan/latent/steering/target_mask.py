"""What a segmentation is asked to be: a label map in which some pixels may be left open."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy import ndimage

from napari_pgan.errors import InputError
from napari_pgan.latent.steering.objective import Objective
from napari_pgan.model.encoding import Encoding
from napari_pgan.schema import Channels, Grid


def any_value(channels: Channels) -> int:
    """The label that stands for "any": the largest of 255, 254, … that the model does not have itself."""
    taken = set(channels.values.tolist())
    return next(value for value in range(255, 0, -1) if value not in taken)


@dataclass(frozen=True)
class TargetMask:
    """A segmentation that is asked for, on a model's grid.

    Parameters
    ----------
    labels
        (Y, X) uint8 in the model's label values; 0 is background.
    open
        (Y, X) bool: here any label will do.
    channels
        The model's.
    messages
        What was done to the drawing to make it a target, one sentence each.
    """

    labels: np.ndarray
    open: np.ndarray
    channels: Channels
    messages: tuple[str, ...] = ()

    @classmethod
    def of(cls, drawing: np.ndarray, channels: Channels, grid: Grid, affine: np.ndarray | None = None) -> TargetMask:
        """Of a drawn label map.

        Parameters
        ----------
        drawing
            (Y, X) whole numbers: the model's label values, 0 for background, `any_value` for "don't care".
        channels, grid
            The model's.
        affine
            3×3, from indices (y, x, 1) of the drawing to indices on `grid`, where the drawing lies on another grid;
            None where both cover the same field of view.

        Raises
        ------
        InputError
            The model has no labels, the drawing is no label map, it holds labels that the model does not know, or none
            of it lies on the grid.
        """
        if not channels.labels:
            raise InputError("this model makes no segmentation, so nothing can be asked of it; load one with labels")
        drawing = np.asarray(drawing)
        if drawing.ndim != 2 or drawing.dtype.kind not in "iub" or not drawing.size:
            raise InputError(
                f"a drawing of shape {drawing.shape} and type {drawing.dtype} is no label map; draw whole numbers on a "
                "single slice"
            )
        whatever, known = any_value(channels), channels.values.tolist()
        if unknown := sorted(set(np.unique(drawing).tolist()) - {0, whatever, *known}):
            names = ", ".join(f"{label.value} {label.name}" for label in channels.labels)
            raise InputError(
                f"the drawing holds {', '.join(map(str, unknown))}, which the model does not know; it knows {names}, "
                f"0 for background and {whatever} for any"
            )
        told, drawn = [], np.unique(drawing)
        if drawing.shape != grid.shape or affine is not None:
            told.append(f"The drawing of {_size(drawing.shape)} pixels was brought to the model's {_size(grid.shape)}.")
            told += _outside(drawing, grid, affine)
            drawing = _resampled(drawing, grid.shape, affine)
        gone = [label.name for label in channels.labels if label.value in drawn and not (drawing == label.value).any()]
        if gone and not np.isin(drawing, known).any():
            raise InputError("nothing of the drawing is as large as a pixel of the model's grid; draw it larger")
        told += [f"Of {name} nothing is left: it is smaller than the model's pixels." for name in gone]
        if not drawing.any():
            told.append("No label is drawn: this asks for images without a lesion.")
        labels = np.where(drawing == whatever, 0, drawing).astype(np.uint8)
        return cls(labels, drawing == whatever, channels, tuple(told))

    @property
    def present(self) -> np.ndarray:
        """(K,) bool: which of the model's labels are asked for."""
        return np.array([(self.labels == value).any() for value in self.channels.values], bool)

    def shares(self, factor: int = 1) -> tuple[np.ndarray, np.ndarray]:
        """At a size that is smaller by a factor: the labels' share of what is not open, and how much that is.

        Returns
        -------
        tuple
            (K, Y / factor, X / factor) and (Y / factor, X / factor), both float32, 0 to 1.
        """
        asked = _boxes(~self.open, factor)
        each = [_boxes((self.labels == value) & ~self.open, factor) for value in self.channels.values]
        return np.stack(each) / np.maximum(asked, 1e-6), asked

    def objective(self, encoding: Encoding, factor: int = 1) -> Objective:
        """As `Target` has it: soft Dice and cross entropy."""
        shares, asked = (torch.from_numpy(x) for x in self.shares(factor))
        return Objective(shares, asked, torch.from_numpy(self.present), encoding)

    def similarity(self, shares: torch.Tensor, factor: int) -> torch.Tensor:
        """As `Target` has it: soft Dice, averaged over the labels that are asked for, less the area of others."""
        asked, weight = (torch.from_numpy(x) for x in self.shares(factor))
        target = (asked * weight).flatten(1)  # (K, pixels)
        score, present = torch.zeros(len(shares)), torch.from_numpy(self.present)
        for k in range(len(target)):
            mine = shares[:, k].flatten(1).float().div_(255)
            size = mine @ weight.flatten()
            if present[k]:
                score += 2 * (mine @ target[k]) / (size + target[k].sum() + 1e-6) / present.sum()
            else:  # what nobody asked for counts by how large it is
                score -= size / weight.numel()
        return score

    def dice(self, labels: np.ndarray) -> np.ndarray:
        """Dice of label maps (N, Y, X) with the target, outside of what is open: (N, K) float64.

        Not a number for a label that is neither asked for nor there; 0 for one that should not be there.
        """
        values = self.channels.values[None, :, None, None]
        mine, theirs = (self.labels[None, None] == values), (labels[:, None] == values) & ~self.open
        return _dice(mine, theirs)

    def lesion_dice(self, labels: np.ndarray) -> np.ndarray:
        """As `dice`, of all labels together: (N,)."""
        return _dice(self.labels[None] > 0, (labels > 0) & ~self.open)

    def score(self, labels: np.ndarray) -> np.ndarray:
        """How well label maps (N, Y, X) meet the target, (N,): the mean Dice over the labels that are asked for.

        Of a target for no label at all it is the share of pixels without one, where it is not open.
        """
        if not self.present.any():
            wrong = ((labels > 0) & ~self.open).sum((1, 2)) / max(int((~self.open).sum()), 1)
            return 1.0 - wrong
        return self.dice(labels)[:, self.present].mean(axis=1)


def _dice(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """2 |A ∩ B| / (|A| + |B|) over the last two axes; not a number where both are empty."""
    size = one.sum((-2, -1)) + other.sum((-2, -1))
    return np.where(size > 0, 2 * (one & other).sum((-2, -1)) / np.maximum(size, 1), np.nan)


def _outside(drawing: np.ndarray, grid: Grid, affine: np.ndarray | None) -> list[str]:
    """What is said of a drawing that lies outside of the grid in part; raises InputError where all of it does."""
    points = np.argwhere(drawing)
    if affine is None or not len(points):
        return []
    at = points @ affine[:2, :2].T + affine[:2, 2]
    inside = float(((at > -0.5) & (at < np.array(grid.shape) - 0.5)).all(axis=1).mean())
    if inside == 0:
        raise InputError("the drawing lies outside of the model's field of view; move it there")
    return [] if inside > 0.995 else [f"{100 * (1 - inside):.0f} % of it lie outside of the model's field of view."]


def _boxes(mask: np.ndarray, factor: int) -> np.ndarray:
    height, width = mask.shape
    boxes = mask.reshape(height // factor, factor, width // factor, factor)
    return boxes.mean(axis=(1, 3), dtype=np.float32)


def _resampled(drawing: np.ndarray, shape: tuple[int, ...], affine: np.ndarray | None) -> np.ndarray:
    """By the nearest pixel; what lies outside of the drawing is background."""
    if affine is None:  # pixel i of n covers what lies between i and i + 1 nths of the field of view
        scale = np.array(drawing.shape) / np.array(shape)
        matrix, offset = np.diag(scale), scale / 2 - 0.5
    else:
        back = np.linalg.inv(affine)
        matrix, offset = back[:2, :2], back[:2, 2]
    return ndimage.affine_transform(drawing, matrix, offset, shape, order=0, mode="grid-constant", cval=0)


def _size(shape: tuple[int, ...]) -> str:
    return "×".join(map(str, shape))
