"""Subjects follow OME-Zarr 0.5, https://ngff.openmicroscopy.org/0.5."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture
def subject(make_store: Callable[..., Path]) -> Path:
    return make_store(4) / "0002"


def _node(path: Path) -> dict:
    document = json.loads((path / "zarr.json").read_text())
    assert document["zarr_format"] == 3
    return document


def test_image(subject: Path) -> None:
    ome = _node(subject)["attributes"]["ome"]
    assert ome["version"] == "0.5"
    (scales,) = ome["multiscales"]
    assert [axis["name"] for axis in scales["axes"]] == ["c", "z", "y", "x"]
    assert [axis["type"] for axis in scales["axes"]] == ["channel", "space", "space", "space"]
    assert [axis.get("unit") for axis in scales["axes"]] == [None, "millimeter", "millimeter", "millimeter"]
    (data,) = scales["datasets"]
    assert data["coordinateTransformations"] == [{"type": "scale", "scale": [1.0, 5.0, 3.0, 3.0]}]
    assert [channel["label"] for channel in ome["omero"]["channels"]] == ["t1", "flair"]
    array = _node(subject / data["path"])
    assert array["dimension_names"] == ["c", "z", "y", "x"]
    assert array["data_type"] == "float16"
    assert array["shape"] == [2, 6, 16, 16]


def test_labels(subject: Path) -> None:
    assert _node(subject / "labels")["attributes"]["ome"]["labels"] == ["segmentation"]
    ome = _node(subject / "labels" / "segmentation")["attributes"]["ome"]
    (scales,) = ome["multiscales"]
    assert scales["datasets"][0]["coordinateTransformations"] == [{"type": "scale", "scale": [5.0, 3.0, 3.0]}]
    assert {"label-value": 4, "rgba": [228, 26, 28, 255]} in ome["image-label"]["colors"]
    assert {"label-value": 1, "name": "core"} in ome["image-label"]["properties"]
    assert (subject / "labels" / "segmentation" / ome["image-label"]["source"]["image"]).resolve() == subject
    array = _node(subject / "labels" / "segmentation" / "0")
    assert (array["data_type"], array["dimension_names"]) == ("uint8", ["z", "y", "x"])


def test_a_chunk_is_a_slice_and_a_shard_a_subject(subject: Path) -> None:
    array = _node(subject / "0")
    assert array["chunk_grid"]["configuration"]["chunk_shape"] == [2, 6, 16, 16]
    (codec,) = array["codecs"]
    assert codec["name"] == "sharding_indexed"
    assert codec["configuration"]["chunk_shape"] == [2, 1, 16, 16]
    assert len([path for path in (subject / "0").rglob("*") if path.is_file()]) == 2  # metadata and one shard
