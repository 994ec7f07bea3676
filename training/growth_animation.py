"""How a model grew: one animation and one picture of the same latents through all stages, from a run's previews."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from itertools import groupby
from pathlib import Path
from typing import cast

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from napari_pgan.atomic import replacing
from napari_pgan.model.card import LIMITS
from napari_pgan.samples.sheet import SEGMENTATION, Layout, read_note
from napari_pgan.schema import Label

ANIMATION, PICTURE = "growth.gif", "growth.png"
_NAME = re.compile(r"(\d{10})_\d+\.png")
_ROWS, _SIDE = 4, 160  # latents below each other, and pixels of a picture's side at most
_BYTES, _FRAMES, _FEWEST = 3_000_000, 48, 12  # of the animation: bytes and frames at most, frames at least
_GREYS, _COLORS = 64, 190
_PAUSE, _FIRST, _LAST = 350, 900, 4000  # milliseconds
_GAP, _MARGIN, _FOOT = 2, 12, 46
_PAPER, _INK, _FAINT = (255, 255, 255), (30, 30, 30), (110, 110, 110)


@dataclass(frozen=True)
class Preview:
    """A sheet of a run's ``preview`` folder.

    Parameters
    ----------
    path
        Of the PNG.
    images
        Real images that the training had seen.
    size
        Pixels along the longer side of a generated image.
    alpha
        How far that size had faded in, 0 to 1.
    layout
        Where on the sheet its pictures lie.
    rows
        What each latent is called.
    labels
        (name, colour as ``#rrggbb``) of each label.
    """

    path: Path
    images: int
    size: int
    alpha: float
    layout: Layout
    rows: tuple[str, ...]
    labels: tuple[tuple[str, str], ...]

    @property
    def caption(self) -> str:
        return caption(self.images, self.size, self.alpha)


def caption(images: int, size: int, alpha: float) -> str:
    """What stands over a preview, as ``size 32, fading in (45%)   109,952 images``."""
    fading = f", fading in ({alpha:.0%})" if alpha < 1 else ""  # Pillow's font knows little but ASCII
    return f"size {size}{fading}   {images:,} images"


def preview_name(images: int, size: int) -> str:
    return f"{images:010d}_{size}.png"


def preview_note(
    images: int, size: int, alpha: float, layout: Layout, rows: Sequence[str], labels: Sequence[Label]
) -> str:
    """What a preview says of itself, in a text of the PNG that viewers do not draw."""
    facts = {"images": images, "size": size, "alpha": round(alpha, 4)}
    places = {"page": layout.size, "cell": layout.cell, "columns": layout.columns, "corners": layout.corners}
    names = {"rows": list(rows), "labels": [(label.name, label.color) for label in labels]}
    return json.dumps({**facts, **places, **names})


def read_previews(folder: Path) -> list[Preview]:
    """The previews of a run in the order of their images; other pictures, and damaged ones, are passed over."""
    found = []
    for path in sorted(folder.glob("*.png")):
        note = read_note(path) if _NAME.fullmatch(path.name) else None
        try:
            told = json.loads(note or "")
            layout = Layout(
                tuple(told["page"]), tuple(told["cell"]), tuple(told["columns"]), tuple(map(tuple, told["corners"]))
            )
            labels = tuple((str(name), str(color)) for name, color in told["labels"])
            seen, size, alpha = int(told["images"]), int(told["size"]), float(told["alpha"])
            found.append(Preview(path, seen, size, alpha, layout, tuple(map(str, told["rows"])), labels))
        except (ValueError, KeyError, TypeError):
            continue
    return found


def cut_previews(folder: Path, seen: int) -> None:
    """Remove the previews of what came after a checkpoint that a training goes back to."""
    for path in folder.glob("*.png"):
        name = _NAME.fullmatch(path.name)
        if name and int(name[1]) > seen:
            path.unlink()


def write_growth(folder: Path) -> None:
    """Write the animation ``growth.gif`` and the picture ``growth.png`` beside the previews they are made of.

    Every image is enlarged to one size, pixels repeated. Only previews with the newest one's layout are taken; fewer
    than two make no growth, and nothing is written.
    """
    previews = read_previews(folder)
    previews = [p for p in previews if p.layout == previews[-1].layout]
    if len(previews) < 2:
        return
    with replacing(folder / ANIMATION) as temporary:
        temporary.write_bytes(_animation(previews))
    page = stages_picture(previews)
    with replacing(folder / PICTURE) as temporary:
        page.save(temporary, format="PNG", optimize=True)


def last_of_each_size(previews: list[Preview]) -> list[Preview]:
    return [list(group)[-1] for _, group in groupby(previews, key=lambda preview: preview.size)]


def stages_picture(previews: list[Preview], count: int = 3) -> Image.Image:
    """The same few latents at every stage, as Beers et al. 2018 show theirs: sizes from left to right, RGB.

    Of each latent there is the first modality, and below it the segmentation where there is one.
    """
    stages, chosen = last_of_each_size(previews), most_labelled(previews[-1], count)
    layout = stages[-1].layout
    columns = [0, *([layout.columns.index(SEGMENTATION)] if SEGMENTATION in layout.columns else [])]
    width, height = (n // _factor(layout) for n in layout.cell)
    font, small = _font(16), _font(12)
    head, apart = 46, 10
    rows = stages[-1].rows
    names = {(i, column): f"{rows[i]}, {layout.columns[column]}" for i in chosen for column in columns}
    left = _MARGIN + 8 + round(max(small.getlength(name) for name in names.values()))
    row = len(columns) * (height + _GAP) - _GAP + apart
    page = Image.new(
        "RGB", (left + len(stages) * (width + _GAP) - _GAP + _MARGIN, head + len(chosen) * row - apart + _FOOT), _PAPER
    )
    draw = ImageDraw.Draw(page)
    for place, stage in enumerate(stages):
        x = left + place * (width + _GAP)
        draw.text((x + width / 2, 20), f"size {stage.size}", _INK, font, anchor="ms")
        draw.text((x + width / 2, 38), f"{stage.images:,} images", _FAINT, small, anchor="ms")
        pictures = _pictures(stage)
        for number, latent in enumerate(chosen):
            for line, column in enumerate(columns):
                y = head + number * row + line * (height + _GAP)
                page.paste(pictures[latent][column], (x, y))
                if place == 0:
                    draw.text((x - 8, y + height / 2), names[latent, column], _FAINT, small, anchor="rm")
    _legend(draw, stages[-1], left, page.height)
    return page


def most_labelled(preview: Preview, count: int) -> list[int]:
    """The latents whose segmentation holds most, in their order; all are alike where there is none."""
    layout, pictures = preview.layout, _pictures(preview)
    areas = [0] * len(pictures)
    if SEGMENTATION in layout.columns:
        drawn = layout.columns.index(SEGMENTATION)  # over one of the other pictures
        for latent, row in enumerate(pictures):
            shown, *others = (np.asarray(row[column]) for column in (drawn, *range(drawn)))
            areas[latent] = min(int((shown != other).any(axis=-1).sum()) for other in others)
    return sorted(sorted(range(len(areas)), key=lambda latent: -areas[latent])[:count])


def _animation(previews: list[Preview]) -> bytes:
    """A GIF of as many previews as make no more than a few megabytes."""
    layout = previews[-1].layout
    blocks = 2 if len(layout.columns) <= 3 else 1
    chosen = most_labelled(previews[-1], blocks * _ROWS)
    pages = {preview.images: _frame(preview, blocks, chosen) for preview in previews}
    palette = _palette(list(pages.values()))
    frames = {at: page.quantize(palette=palette, dither=Image.Dither.NONE) for at, page in pages.items()}
    count = min(_FRAMES, len(previews))
    while True:
        film = [frames[at] for at in _thinned(previews, count)]
        pauses = [_FIRST, *[_PAUSE] * (len(film) - 2), _LAST]
        file = BytesIO()
        film[0].save(file, format="GIF", save_all=True, append_images=film[1:], duration=pauses, loop=0, comment=LIMITS)
        size = file.getbuffer().nbytes
        if size <= _BYTES or count <= _FEWEST:
            return file.getvalue()
        count = max(_FEWEST, int(0.9 * count * _BYTES / size))


def _thinned(previews: list[Preview], count: int) -> list[int]:
    """Images seen of `count` previews: the first, the last of each size, and of the others what there is room for."""
    kept = {previews[0].images, *(preview.images for preview in last_of_each_size(previews))}
    others = [preview.images for preview in previews if preview.images not in kept]
    pick = np.linspace(0, len(others) - 1, min(max(count - len(kept), 0), len(others))).round().astype(int)
    return sorted(kept | {others[i] for i in pick})


def _frame(preview: Preview, blocks: int, chosen: list[int]) -> Image.Image:
    layout = preview.layout
    width, height = (n // _factor(layout) for n in layout.cell)
    font, small = _font(16), _font(12)
    head, apart = 58, 14
    gutter = 8 + round(max(small.getlength(preview.rows[latent]) for latent in chosen))
    block = gutter + len(layout.columns) * (width + _GAP) - _GAP
    rows = -(-len(chosen) // blocks)
    page = Image.new(
        "RGB", (2 * _MARGIN + blocks * (block + apart) - apart, head + rows * (height + _GAP) + _FOOT), _PAPER
    )
    draw = ImageDraw.Draw(page)
    draw.text((_MARGIN, 26), preview.caption, _INK, font, anchor="ls")
    _legend(draw, preview, _MARGIN + gutter, page.height)
    pictures = _pictures(preview)
    for number, latent in enumerate(chosen):
        left, top = _MARGIN + gutter + number // rows * (block + apart), head + number % rows * (height + _GAP)
        draw.text((left - 8, top + height / 2), preview.rows[latent], _FAINT, small, anchor="rm")
        for column, name in enumerate(layout.columns):
            x = left + column * (width + _GAP)
            page.paste(pictures[latent][column], (x, top))
            if number % rows == 0:
                draw.text((x + width / 2, head - 8), name, _FAINT, small, anchor="ms")
    return page


def _pictures(preview: Preview) -> list[list[Image.Image]]:
    """For each latent its pictures, box-averaged where they are large."""
    layout, factor = preview.layout, _factor(preview.layout)
    with Image.open(preview.path) as page:
        page.load()
        return [
            [page.crop(layout.box(latent, column)).reduce(factor) for column in range(len(layout.columns))]
            for latent in range(len(layout.corners))
        ]


def _factor(layout: Layout) -> int:
    return -(-max(layout.cell) // _SIDE)


def _palette(pages: list[Image.Image]) -> Image.Image:
    """One palette for all frames, so that none flickers: greys, and what colours there are throughout the growth.

    Colours are picked apart from greys, since labels are too few pixels to be given any otherwise.
    """
    some = pages[:: max(len(pages) // 6, 1)] + pages[-1:]
    pixels = np.concatenate([np.asarray(page).reshape(-1, 3) for page in some])
    vivid = pixels[np.ptp(pixels.astype(np.int16), axis=1) > 16]
    colors = [value for i in range(_GREYS) for value in 3 * (round(255 * i / (_GREYS - 1)),)]
    if len(vivid):
        found = Image.fromarray(vivid[None]).quantize(_COLORS, Image.Quantize.MEDIANCUT).getpalette() or []
        colors += found[: 3 * _COLORS]
    palette = Image.new("P", (1, 1))
    palette.putpalette(colors)
    return palette


def _legend(draw: ImageDraw.ImageDraw, preview: Preview, left: int, bottom: int) -> None:
    """The labels' names beside their colours, and below what every synthetic image must say."""
    font = _font(12)
    draw.text((left, bottom - 9), LIMITS, _FAINT, font, anchor="ls")
    for name, color in preview.labels:
        draw.rectangle((left, bottom - 38, left + 11, bottom - 27), color, _FAINT)
        draw.text((left + 16, bottom - 28), name, _INK, font, anchor="ls")
        left += 32 + round(draw.textlength(name, font))


def _font(size: int) -> ImageFont.FreeTypeFont:
    return cast(ImageFont.FreeTypeFont, ImageFont.load_default(size))
