"""The demo runs from phantoms to samples."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from napari_pgan import load_model
from napari_pgan.cli.app import main


@pytest.mark.slow
def test_the_demo_writes_a_model_a_sheet_and_nifti_and_can_be_repeated(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["demo", "--out", str(tmp_path / "demo"), "--minutes", "0.3", "--json"]
    assert main(command) == 0
    out = tmp_path / "demo"
    model = load_model(out / "run32" / "model.safetensors")
    assert model.card.channels.modalities == ("t1", "t1ce", "t2", "flair")
    assert len(model.card.channels.labels) == 3
    assert model.card.grid.shape == (32, 32)
    assert np.asarray(Image.open(out / "sheet.png")).std() > 10
    seg = nib.load(next((out / "nifti").glob("*_seg.nii.gz")))
    assert seg.shape[:2] == (32, 32)
    assert np.allclose(seg.header.get_zooms()[:2], model.card.grid.spacing)
    captured = capsys.readouterr()
    assert "open it: napari" in captured.err
    assert json.loads(captured.out)["model"] == str(out / "run32" / "model.safetensors")
    before = (out / "run32" / "model.safetensors").read_bytes()
    assert main(command) == 0
    assert (out / "run32" / "model.safetensors").read_bytes() == before


def test_the_demo_refuses_an_unsupported_size(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "--out", str(tmp_path / "demo"), "--size", "48"]) == 2
    assert "32 or 64" in capsys.readouterr().err
    assert not (tmp_path / "demo").exists()
