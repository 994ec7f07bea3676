"""An animation and a picture of the same latents at all sizes, from a run's previews."""

from __future__ import annotations

import functools
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
_ROWS, _SIDE = 4, 160  # latents in a column; greatest side of a picture in pixels
_BYTES, _FRAMES, _FEWEST = 3_000_000, 48, 12  # limits of the animation: bytes, frames, least frames
_GREYS, _COLORS = 64, 190
_PAUSE, _FIRST, _LAST = 350, 900, 4000  # milliseconds
_GAP, _MARGIN, _FOOT = 2, 12, 46
_PAPER, _INK, _FAINT = (255, 255, 255), (30, 30, 30), (110, 110, 110)


@dataclass(frozen=True)
class Preview:
    """A sheet of a run's ``preview`` folder."""

    path: Path
    images: int  # real images seen
    size: int  # pixels along the longer side of a generated image
    alpha: float
    layout: Layout
    rows: tuple[str, ...]  # the name of each latent
    labels: tuple[tuple[str, str], ...]  # name, colour as #rrggbb


def caption(images: int, size: int, alpha: float) -> str:
    """Return the title of a preview, for example ``size 32, fading in (45%)   109,952 images``."""
    fading = f", fading in ({alpha:.0%})" if alpha < 1 else ""  # Pillow's font has little but ASCII
    return f"size {size}{fading}   {images:,} images"


def preview_name(images: int, size: int) -> str:
    return f"{images:010d}_{size}.png"


def preview_note(
    images: int, size: int, alpha: float, layout: Layout, rows: Sequence[str], labels: Sequence[Label]
) -> str:
    """Return the metadata of a preview, for a text chunk of the PNG."""
    facts = {"images": images, "size": size, "alpha": round(alpha, 4)}
    positions = {"page": layout.size, "cell": layout.cell, "columns": layout.columns, "corners": layout.corners}
    names = {"rows": list(rows), "labels": [(label.name, label.color) for label in labels]}
    return json.dumps({**facts, **positions, **names})


def read_previews(folder: Path) -> list[Preview]:
    """Read the previews of a run, ordered by images seen; other or damaged pictures are skipped."""
    previews = []
    for path in sorted(folder.glob("*.png")):
        note = read_note(path) if _NAME.fullmatch(path.name) else None
        try:
            facts = json.loads(note or "")
            layout = Layout(
                tuple(facts["page"]), tuple(facts["cell"]), tuple(facts["columns"]), tuple(map(tuple, facts["corners"]))
            )
            labels = tuple((str(name), str(color)) for name, color in facts["labels"])
            seen, size, alpha = int(facts["images"]), int(facts["size"]), float(facts["alpha"])
            previews.append(Preview(path, seen, size, alpha, layout, tuple(map(str, facts["rows"])), labels))
        except (ValueError, KeyError, TypeError):
            continue
    return previews


def remove_previews_after(folder: Path, seen: int) -> None:
    """Remove the previews of more than `seen` images, as a training returns to a checkpoint."""
    for path in folder.glob("*.png"):
        name = _NAME.fullmatch(path.name)
        if name and int(name[1]) > seen:
            path.unlink()


def write_growth(folder: Path) -> None:
    """Write the animation ``growth.gif`` and the picture ``growth.png`` into a run's preview folder.

    All images are enlarged to one size by repeating pixels. Previews with another layout than the newest are skipped.
    Nothing is written for fewer than two previews.
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
    """Return the last preview of each size."""
    return [list(group)[-1] for _, group in groupby(previews, key=lambda preview: preview.size)]


def stages_picture(previews: list[Preview], count: int = 3) -> Image.Image:
    """Draw the same few latents at every size, from left to right, as in Beers et al. 2018; returns an RGB image.

    Each latent has its first modality and, if there is one, its segmentation below.
    """
    stages, chosen = last_of_each_size(previews), most_labelled(previews[-1], count)
    layout, latents = stages[-1].layout, stages[-1].rows
    columns = [0, *([layout.columns.index(SEGMENTATION)] if SEGMENTATION in layout.columns else [])]
    rows = [(latent, column) for latent in chosen for column in columns]
    names = [f"{latents[latent]}, {layout.columns[column]}" for latent, column in rows]
    width, height = (n // _factor(layout) for n in layout.cell)
    head, apart = 46, 10
    left = _MARGIN + 8 + round(max(map(_font(12).getlength, names)))
    tops = [head + i * (height + _GAP) + i // len(columns) * (apart - _GAP) for i in range(len(rows))]
    page_width = left + len(stages) * (width + _GAP) - _GAP + _MARGIN
    page = Image.new("RGB", (page_width, tops[-1] + height + _FOOT), _PAPER)
    draw = ImageDraw.Draw(page)
    for position, stage in enumerate(stages):
        x = left + position * (width + _GAP) + width / 2
        draw.text((x, 20), f"size {stage.size}", _INK, _font(16), anchor="ms")
        draw.text((x, 38), f"{stage.images:,} images", _FAINT, _font(12), anchor="ms")
    columns_of_pictures = [[own[latent][column] for latent, column in rows] for own in map(_pictures, stages)]
    _draw_table(page, left, tops, names, columns_of_pictures)
    _draw_legend(draw, stages[-1], left, page.height)
    return page


def most_labelled(preview: Preview, count: int) -> list[int]:
    """Return the `count` latents with the largest segmentation, in their order; without labels, the first."""
    layout, pictures = preview.layout, _pictures(preview)
    areas = [0] * len(pictures)
    if SEGMENTATION in layout.columns:
        drawn = layout.columns.index(SEGMENTATION)  # drawn over one of the other pictures
        for latent, row in enumerate(pictures):
            shown, *others = (np.asarray(row[column]) for column in (drawn, *range(drawn)))
            areas[latent] = min(int((shown != other).any(axis=-1).sum()) for other in others)
    return sorted(sorted(range(len(areas)), key=lambda latent: -areas[latent])[:count])


def _animation(previews: list[Preview]) -> bytes:
    """Encode a GIF of as many previews as fit into the size limit."""
    layout = previews[-1].layout
    blocks = 2 if len(layout.columns) <= 3 else 1
    chosen = most_labelled(previews[-1], blocks * _ROWS)
    pages = {preview.images: _frame(preview, blocks, chosen) for preview in previews}
    palette = _palette(list(pages.values()))
    frames = {images: page.quantize(palette=palette, dither=Image.Dither.NONE) for images, page in pages.items()}
    count = min(_FRAMES, len(previews))
    while True:
        selected = [frames[images] for images in _thin(previews, count)]
        pauses = [_FIRST, *[_PAUSE] * (len(selected) - 2), _LAST]
        file = BytesIO()
        selected[0].save(
            file, format="GIF", save_all=True, append_images=selected[1:], duration=pauses, loop=0, comment=LIMITS
        )
        size = file.getbuffer().nbytes
        if size <= _BYTES or count <= _FEWEST:
            return file.getvalue()
        count = max(_FEWEST, int(0.9 * count * _BYTES / size))


def _thin(previews: list[Preview], count: int) -> list[int]:
    """Choose about `count` previews (the first, the last of each size, some others); return their training images."""
    needed = {previews[0].images, *(preview.images for preview in last_of_each_size(previews))}
    others = [preview.images for preview in previews if preview.images not in needed]
    pick = np.linspace(0, len(others) - 1, min(max(count - len(needed), 0), len(others))).round().astype(int)
    return sorted(needed | {others[i] for i in pick})


def _frame(preview: Preview, blocks: int, chosen: list[int]) -> Image.Image:
    layout, pictures = preview.layout, _pictures(preview)
    width, height = (n // _factor(layout) for n in layout.cell)
    head, apart = 58, 14
    gutter = 8 + round(max(_font(12).getlength(preview.rows[latent]) for latent in chosen))
    block = gutter + len(layout.columns) * (width + _GAP) - _GAP
    rows = -(-len(chosen) // blocks)
    tops = [head + row * (height + _GAP) for row in range(rows)]
    page_size = (2 * _MARGIN + blocks * (block + apart) - apart, head + rows * (height + _GAP) + _FOOT)
    page = Image.new("RGB", page_size, _PAPER)
    draw = ImageDraw.Draw(page)
    draw.text((_MARGIN, 26), caption(preview.images, preview.size, preview.alpha), _INK, _font(16), anchor="ls")
    _draw_legend(draw, preview, _MARGIN + gutter, page.height)
    for start in range(0, len(chosen), rows):
        latents, left = chosen[start : start + rows], _MARGIN + gutter + start // rows * (block + apart)
        for column, name in enumerate(layout.columns):
            x = left + column * (width + _GAP) + width / 2
            draw.text((x, head - 8), name, _FAINT, _font(12), anchor="ms")
        columns = [[pictures[latent][column] for latent in latents] for column in range(len(layout.columns))]
        _draw_table(page, left, tops, [preview.rows[latent] for latent in latents], columns)
    return page


def _draw_table(
    page: Image.Image, left: int, tops: Sequence[int], names: Sequence[str], columns: Sequence[Sequence[Image.Image]]
) -> None:
    """Paste columns of pictures, with a name beside each row."""
    draw = ImageDraw.Draw(page)
    for index, pictures in enumerate(columns):
        for picture, top, name in zip(pictures, tops, names, strict=False):
            page.paste(picture, (left + index * (picture.width + _GAP), top))
            if index == 0:
                draw.text((left - 8, top + picture.height / 2), name, _FAINT, _font(12), anchor="rm")


def _pictures(preview: Preview) -> list[list[Image.Image]]:
    """Return the pictures of each latent, box-averaged if they are large."""
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
    """Return one palette for all frames, so that none flickers: greys, and the colours of the labels.

    Colours are chosen separately from greys, since labels have too few pixels to get any otherwise.
    """
    sample = pages[:: max(len(pages) // 6, 1)] + pages[-1:]
    pixels = np.concatenate([np.asarray(page).reshape(-1, 3) for page in sample])
    colored = pixels[np.ptp(pixels.astype(np.int16), axis=1) > 16]
    colors = [value for i in range(_GREYS) for value in 3 * (round(255 * i / (_GREYS - 1)),)]
    if len(colored):
        label_colors = Image.fromarray(colored[None]).quantize(_COLORS, Image.Quantize.MEDIANCUT).getpalette() or []
        colors += label_colors[: 3 * _COLORS]
    palette = Image.new("P", (1, 1))
    palette.putpalette(colors)
    return palette


def _draw_legend(draw: ImageDraw.ImageDraw, preview: Preview, left: int, bottom: int) -> None:
    """Draw the labels' colours and names, and the notice of every synthetic image."""
    font = _font(12)
    draw.text((left, bottom - 9), LIMITS, _FAINT, font, anchor="ls")
    for name, color in preview.labels:
        draw.rectangle((left, bottom - 38, left + 11, bottom - 27), color, _FAINT)
        draw.text((left + 16, bottom - 28), name, _INK, font, anchor="ls")
        left += 32 + round(draw.textlength(name, font))


@functools.cache
def _font(size: int) -> ImageFont.FreeTypeFont:
    return cast(ImageFont.FreeTypeFont, ImageFont.load_default(size))
