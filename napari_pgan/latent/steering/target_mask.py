"""A target given as a label map, in which some pixels may be left open."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy import ndimage

from napari_pgan.errors import InputError
from napari_pgan.latent.steering.objective import Objective
from napari_pgan.model.label_encoding import Encoding
from napari_pgan.schema import Channels, Grid


def any_value(channels: Channels) -> int:
    """Return the label value for "any label": the largest of 255, 254, … that the model does not use."""
    taken = set(channels.values.tolist())
    return next(value for value in range(255, 0, -1) if value not in taken)


@dataclass(frozen=True)
class TargetMask:
    """A target segmentation on a model's grid.

    Parameters
    ----------
    labels
        (Y, X) uint8, the model's label values; 0 is background.
    open
        (Y, X) bool: pixels where any label is accepted.
    channels
        The model's.
    messages
        Sentences about how the drawing was converted.
    """

    labels: np.ndarray
    open: np.ndarray
    channels: Channels
    messages: tuple[str, ...] = ()

    @classmethod
    def of(cls, drawing: np.ndarray, channels: Channels, grid: Grid, affine: np.ndarray | None = None) -> TargetMask:
        """Convert a drawn label map.

        Parameters
        ----------
        drawing
            (Y, X) integers: the model's label values, 0 for background, `any_value` for any label.
        channels, grid
            The model's.
        affine
            3×3, from indices (y, x, 1) of the drawing to indices on `grid`; None if both cover the same field of view.

        Raises
        ------
        InputError
            The model has no labels, or the drawing is not a label map, holds unknown labels, or lies outside the grid.
        """
        if not channels.labels:
            raise InputError("this model has no segmentation, so it cannot be steered; load one with labels")
        drawing = np.asarray(drawing)
        if drawing.ndim != 2 or drawing.dtype.kind not in "iub" or not drawing.size:
            raise InputError(
                f"a label map cannot have shape {drawing.shape} and type {drawing.dtype}; draw integers on one slice"
            )
        whatever, known = any_value(channels), channels.values.tolist()
        if unknown := sorted(set(np.unique(drawing).tolist()) - {0, whatever, *known}):
            names = ", ".join(f"{label.value} {label.name}" for label in channels.labels)
            raise InputError(
                f"the drawing contains {', '.join(map(str, unknown))}, which the model does not know; it knows "
                f"{names}, 0 for background and {whatever} for any"
            )
        messages, drawn = [], np.unique(drawing)
        if drawing.shape != grid.shape or affine is not None:
            sizes = f"{_size(drawing.shape)} pixels was brought to the model's {_size(grid.shape)}"
            messages.append(f"The drawing of {sizes}.")
            messages += _outside(drawing, grid, affine)
            drawing = _resampled(drawing, grid.shape, affine)
        gone = [label.name for label in channels.labels if label.value in drawn and not (drawing == label.value).any()]
        if gone and not np.isin(drawing, known).any():
            raise InputError("the drawing is smaller than a pixel of the model's grid; draw it larger")
        messages += [f"{name} vanished: it is smaller than the model's pixels." for name in gone]
        if not drawing.any():
            messages.append("No label is drawn: this searches for images without a lesion.")
        labels = np.where(drawing == whatever, 0, drawing).astype(np.uint8)
        return cls(labels, drawing == whatever, channels, tuple(messages))

    @property
    def present(self) -> np.ndarray:
        """(K,) bool: which of the model's labels the target contains."""
        return np.array([(self.labels == value).any() for value in self.channels.values], bool)

    def shares(self, factor: int = 1) -> tuple[np.ndarray, np.ndarray]:
        """Return the labels' shares of the pixels that are not open, and the weights of those, at a smaller size.

        Returns
        -------
        tuple
            (K, Y / factor, X / factor) and (Y / factor, X / factor), both float32, 0 to 1.
        """
        asked = _boxes(~self.open, factor)
        each = [_boxes((self.labels == value) & ~self.open, factor) for value in self.channels.values]
        return np.stack(each) / np.maximum(asked, 1e-6), asked

    def objective(self, encoding: Encoding, factor: int = 1) -> Objective:
        """Return soft Dice and cross entropy; see `Target`."""
        shares, asked = (torch.from_numpy(x) for x in self.shares(factor))
        return Objective(shares, asked, torch.from_numpy(self.present), encoding)

    def similarity(self, shares: torch.Tensor, factor: int) -> torch.Tensor:
        """Return soft Dice averaged over the target's labels, minus the area of other labels; see `Target`."""
        asked, weight = (torch.from_numpy(x) for x in self.shares(factor))
        target = (asked * weight).flatten(1)  # (K, pixels)
        score, present = torch.zeros(len(shares)), torch.from_numpy(self.present)
        for k in range(len(target)):
            mine = shares[:, k].flatten(1).float().div_(255)
            size = mine @ weight.flatten()
            if present[k]:
                score += 2 * (mine @ target[k]) / (size + target[k].sum() + 1e-6) / present.sum()
            else:  # a label that the target does not contain
                score -= size / weight.numel()
        return score

    def dice(self, labels: np.ndarray) -> np.ndarray:
        """Return the Dice of label maps (N, Y, X) with the target, outside open pixels: (N, K) float64.

        NaN for a label in neither; 0 for one in the label map alone.
        """
        values = self.channels.values[None, :, None, None]
        mine, theirs = (self.labels[None, None] == values), (labels[:, None] == values) & ~self.open
        return _dice(mine, theirs)

    def lesion_dice(self, labels: np.ndarray) -> np.ndarray:
        """Return the Dice of all labels together, (N,)."""
        return _dice(self.labels[None] > 0, (labels > 0) & ~self.open)

    def score(self, labels: np.ndarray) -> np.ndarray:
        """Return how well label maps (N, Y, X) match, (N,): the mean Dice over the target's labels.

        For a target without labels it is the share of background among the pixels that are not open.
        """
        if not self.present.any():
            wrong = ((labels > 0) & ~self.open).sum((1, 2)) / max(int((~self.open).sum()), 1)
            return 1.0 - wrong
        return self.dice(labels)[:, self.present].mean(axis=1)


def _dice(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return 2 |A ∩ B| / (|A| + |B|) over the last two axes; NaN where both are empty."""
    size = one.sum((-2, -1)) + other.sum((-2, -1))
    return np.where(size > 0, 2 * (one & other).sum((-2, -1)) / np.maximum(size, 1), np.nan)


def _outside(drawing: np.ndarray, grid: Grid, affine: np.ndarray | None) -> list[str]:
    """Return a message if part of the drawing lies outside the grid; raise InputError if all of it does."""
    points = np.argwhere(drawing)
    if affine is None or not len(points):
        return []
    at = points @ affine[:2, :2].T + affine[:2, 2]
    inside = float(((at > -0.5) & (at < np.array(grid.shape) - 0.5)).all(axis=1).mean())
    if inside == 0:
        raise InputError("the drawing lies outside the model's field of view; move it inside")
    return [] if inside > 0.995 else [f"{100 * (1 - inside):.0f} % of it lies outside the model's field of view."]


def _boxes(mask: np.ndarray, factor: int) -> np.ndarray:
    height, width = mask.shape
    boxes = mask.reshape(height // factor, factor, width // factor, factor)
    return boxes.mean(axis=(1, 3), dtype=np.float32)


def _resampled(drawing: np.ndarray, shape: tuple[int, ...], affine: np.ndarray | None) -> np.ndarray:
    """Resample to the nearest pixel; outside the drawing is background."""
    if affine is None:  # pixel i of n covers what lies between i and i + 1 nths of the field of view
        scale = np.array(drawing.shape) / np.array(shape)
        matrix, offset = np.diag(scale), scale / 2 - 0.5
    else:
        back = np.linalg.inv(affine)
        matrix, offset = back[:2, :2], back[:2, 2]
    return ndimage.affine_transform(drawing, matrix, offset, shape, order=0, mode="grid-constant", cval=0)


def _size(shape: tuple[int, ...]) -> str:
    return "×".join(map(str, shape))
