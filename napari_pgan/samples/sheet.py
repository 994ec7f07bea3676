"""Contact sheets: one row per sample, one column per modality, the segmentation last."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from PIL.PngImagePlugin import PngInfo

from napari_pgan.atomic import replacing
from napari_pgan.model.card import LIMITS
from napari_pgan.schema import Channels, DisplayGroup

_MIN_SIDE = 128
_GAP, _MARGIN, _BLOCK_GAP = 2, 12, 20
_PAPER, _INK, _FAINT = (255, 255, 255), (30, 30, 30), (110, 110, 110)
_LESION_MODALITIES = ("flair", "t2", "t1ce", "t1c")  # in descending order of lesion contrast
_FILL = 0.4
_NOTE = "napari-pgan"
SEGMENTATION = "segmentation"


@dataclass(frozen=True)
class Layout:
    """Positions on a sheet, in pixels of the sheet.

    Parameters
    ----------
    size
        (width, height) of the sheet.
    cell
        (width, height) of one picture.
    columns
        Column headings: the display groups, then ``segmentation`` if it is drawn.
    corners
        (x, y) of each sample's first picture; the others follow to the right.
    """

    size: tuple[int, int]
    cell: tuple[int, int]
    columns: tuple[str, ...]
    corners: tuple[tuple[int, int], ...]

    def box(self, sample: int, column: int) -> tuple[int, int, int, int]:
        """Return (left, top, right, bottom) of a picture."""
        x, y = self.corners[sample]
        x += column * (self.cell[0] + _GAP)
        return x, y, x + self.cell[0], y + self.cell[1]


def lay_out(
    count: int,
    shape: tuple[int, int],
    channels: Channels,
    labelled: bool,
    rows_label: Sequence[str] | None = None,
    scale: int | None = None,
    blocks: int = 1,
    title: str | None = None,
) -> Layout:
    """Return the layout of the `sheet` of `count` samples of (y, x) pixels."""
    height, width = shape
    scale = scale or max(1, math.ceil(_MIN_SIDE / min(height, width)))
    cell_w, cell_h = width * scale, height * scale
    columns = tuple(group.name for group in channels.groups)
    if labelled and channels.labels:
        columns = (*columns, SEGMENTATION)
    size, font, small = _fonts(cell_w)
    gutter = max((int(small.getlength(t)) for t in rows_label), default=-8) + 8 if rows_label else 0
    rows = math.ceil(count / blocks)
    blocks = math.ceil(count / rows) if count else 1
    block_w = gutter + len(columns) * (cell_w + _GAP) - _GAP
    total_w = max(2 * _MARGIN + blocks * block_w + (blocks - 1) * _BLOCK_GAP, 260)
    legend = _legend_lines(channels, font, total_w) if labelled else []
    head = _MARGIN + size + 8 + (_title_height(size) if title else 0)
    corners = []
    for index in range(count):
        block, row = divmod(index, rows)
        corners.append((_MARGIN + block * (block_w + _BLOCK_GAP) + gutter, head + row * (cell_h + _GAP)))
    total_h = head + rows * (cell_h + _GAP) + 6 + len(legend) * (size + 8) + _foot(small)
    return Layout((total_w, total_h), (cell_w, cell_h), columns, tuple(corners))


def sheet(
    images: np.ndarray,
    labels: np.ndarray | None,
    channels: Channels,
    rows_label: Sequence[str] | None = None,
    scale: int | None = None,
    blocks: int = 1,
    title: str | None = None,
    foot: str = LIMITS,
) -> Image.Image:
    """Draw samples with column headings and a legend of the labels.

    Parameters
    ----------
    images
        (N, M, Y, X) or (N, M, Z, Y, X) in [-1, 1]; of volumes, the slice with the largest segmentation is drawn, or the
        middle slice without a segmentation.
    labels
        (N, Y, X) or (N, Z, Y, X) in the original values; None omits the segmentation column.
    channels
        Modalities and labels; each display group is a column.
    rows_label
        Labels of the rows, drawn at the left.
    scale
        Sheet pixels per image pixel along an axis; by default enough for 128 pixels a side.
    blocks
        Number of blocks, side by side, into which the rows are split.
    title
        Text at the top.
    foot
        Text at the bottom; callers that also show real images must say so here.

    Returns
    -------
    PIL.Image.Image
        RGB.
    """
    images, labels = _flat(np.asarray(images), labels)
    height, width = images.shape[-2:]
    layout = lay_out(len(images), (height, width), channels, labels is not None, rows_label, scale, blocks, title)
    cell_w, cell_h = layout.cell
    size, font, small = _fonts(cell_w)
    page = Image.new("RGB", layout.size, _PAPER)
    draw = ImageDraw.Draw(page)
    if title:
        draw.text((_MARGIN, _MARGIN), title, _INK, _font(size + 3), anchor="lt")
    for left, top in layout.corners:
        if top == layout.corners[0][1]:
            for column, name in enumerate(layout.columns):
                middle = left + column * (cell_w + _GAP) + cell_w / 2
                draw.text((middle, top - 5), _fit(name, font, cell_w), _INK, font, anchor="ms")
    for index, (left, top) in enumerate(layout.corners):
        if rows_label:
            draw.text((left - 6, top + cell_h / 2), rows_label[index], _FAINT, small, anchor="rm")
        own = None if labels is None else labels[index]
        for column, cell in enumerate(_cells(images[index], own, channels, cell_w // width)):
            page.paste(Image.fromarray(cell), layout.box(index, column)[:2])
    legend = [] if labels is None else _legend_lines(channels, font, layout.size[0])
    legend_top = layout.size[1] - _foot(small) - len(legend) * (size + 8)
    for line, entries in enumerate(legend):
        x, y = _MARGIN, legend_top + line * (size + 8)
        for name, color, advance in entries:
            draw.rectangle((x, y + 2, x + size, y + size + 2), fill=color)
            draw.text((x + size + 6, y + 2 + size / 2), name, _INK, font, anchor="lm")
            x += advance
    draw.text((_MARGIN, layout.size[1] - _MARGIN), foot, _FAINT, small, anchor="ls")
    return page


def grid_sheet(
    images: np.ndarray,
    labels: np.ndarray | None,
    channels: Channels,
    rows_label: Sequence[str] | None = None,
    scale: int | None = None,
) -> Image.Image:
    """Draw a `sheet` of many samples, split into blocks so that it is about square."""
    height, width = np.asarray(images).shape[-2:]
    columns = len(channels.groups) + (labels is not None and len(channels.labels) > 0)
    blocks = max(1, round(math.sqrt(1.3 * len(images) * height / (columns * width))))
    return sheet(images, labels, channels, rows_label, scale, blocks)


def write_sheet(
    path: str | Path,
    images: np.ndarray,
    labels: np.ndarray | None,
    channels: Channels,
    rows_label: Sequence[str] | None = None,
    scale: int | None = None,
    blocks: int | None = None,
    note: str = "",
    title: str | None = None,
    foot: str = LIMITS,
) -> None:
    """Write a PNG of samples atomically.

    Parameters are those of `sheet`. If `blocks` is None, up to eight samples form one block; more samples use
    `grid_sheet`. The file stores `note` as metadata (see `read_note`).
    """
    if blocks is None and len(images) > 8:
        page = grid_sheet(images, labels, channels, rows_label, scale)
    else:
        page = sheet(images, labels, channels, rows_label, scale, blocks or 1, title, foot)
    texts = PngInfo()
    texts.add_text("Description", foot)
    texts.add_text(_NOTE, note)
    with replacing(path) as temporary:
        page.save(temporary, format="PNG", pnginfo=texts)


def read_note(path: str | Path) -> str | None:
    """Return the note of a sheet; None if the file cannot be read as an image."""
    try:
        with Image.open(path) as page:
            return str(page.info.get(_NOTE, ""))
    except (OSError, ValueError):
        return None


def thumbnail(image: np.ndarray, labels: np.ndarray | None, channels: Channels) -> np.ndarray:
    """Return one picture of a sample: the modality with the best lesion contrast, overlaid with the segmentation.

    Parameters
    ----------
    image
        (M, Y, X) in [-1, 1].
    labels
        (Y, X) in the original values, or None.
    channels
        Modalities and labels.

    Returns
    -------
    numpy.ndarray
        (Y, X, 3) uint8.
    """
    picture = _picture(image, channels.groups[_lesion_group(channels)], channels, 1)
    return picture if labels is None else _overlay(picture, labels, channels)


def _flat(images: np.ndarray, labels: np.ndarray | None) -> tuple[np.ndarray, np.ndarray | None]:
    if images.ndim == 4:
        return images, labels
    if labels is None:
        return images[:, :, images.shape[2] // 2], None
    extent = (labels > 0).sum(axis=(2, 3))  # (N, Z)
    chosen = np.where(extent.max(axis=1) > 0, extent.argmax(axis=1), images.shape[2] // 2)
    rows = np.arange(len(images))
    return images[rows, :, chosen], labels[rows, chosen]


def _cells(image: np.ndarray, labels: np.ndarray | None, channels: Channels, scale: int) -> list[np.ndarray]:
    cells = [_picture(image, group, channels, scale) for group in channels.groups]
    if labels is not None and channels.labels:
        cells.append(_overlay(cells[_lesion_group(channels)], _enlarge(labels, scale), channels))
    return cells


def _picture(image: np.ndarray, group: DisplayGroup, channels: Channels, scale: int) -> np.ndarray:
    """Return (Y·s, X·s, 3) uint8."""
    planes = [image[channels.modalities.index(name)] for name in group.modalities]
    grey = np.nan_to_num(np.clip((np.stack(planes, axis=-1) + 1) / 2, 0, 1))
    return _enlarge(np.broadcast_to(np.round(255 * grey), (*grey.shape[:2], 3)).astype(np.uint8), scale)


def _lesion_group(channels: Channels) -> int:
    names = [group.name.lower() for group in channels.groups]
    return next((names.index(name) for name in _LESION_MODALITIES if name in names), 0)


def _overlay(picture: np.ndarray, labels: np.ndarray, channels: Channels) -> np.ndarray:
    mixed = picture.astype(np.float32)
    for label in channels.labels:
        inside = labels == label.value
        color = 255 * np.array(label.rgb, np.float32)
        edge = inside & ~_shrunk(inside, 1 if min(inside.shape) < 200 else 2)
        mixed[inside] += _FILL * (color - mixed[inside])
        mixed[edge] = color
    return np.round(mixed).astype(np.uint8)


def _shrunk(mask: np.ndarray, by: int) -> np.ndarray:
    for _ in range(by):
        padded = np.pad(mask, 1, mode="edge")
        mask = mask & padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    return mask


def _enlarge(image: np.ndarray, scale: int) -> np.ndarray:
    return image.repeat(scale, axis=0).repeat(scale, axis=1)


def _font(size: float) -> ImageFont.FreeTypeFont:
    return cast(ImageFont.FreeTypeFont, ImageFont.load_default(size))  # a FreeType font if a size is given


def _fonts(cell_width: int) -> tuple[int, ImageFont.FreeTypeFont, ImageFont.FreeTypeFont]:
    """Return the font size in pixels, the font, and a smaller one."""
    size = int(np.clip(cell_width / 9, 11, 18))
    return size, _font(size), _font(max(10, size - 3))


def _foot(small: ImageFont.FreeTypeFont) -> int:
    return int(small.size) + 8 + _MARGIN


def _title_height(size: int) -> int:
    return size + 13


def _fit(text: str, font: ImageFont.FreeTypeFont, width: int) -> str:
    while len(text) > 1 and font.getlength(text) > width:
        text = text.rstrip(".")[:-1] + "."
    return text


def _legend_lines(channels: Channels, font: ImageFont.FreeTypeFont, width: int) -> list[list[tuple[str, str, int]]]:
    """Return the lines of the legend as (name, colour, advance), wrapped to the width."""
    lines: list[list[tuple[str, str, int]]] = []
    used = width = width - 2 * _MARGIN
    for label in channels.labels:
        advance = int(font.getlength(label.name)) + int(font.size) + 26
        if used + advance > width + 20:
            lines.append([])
            used = 0
        lines[-1].append((label.name, label.color, advance))
        used += advance
    return lines
