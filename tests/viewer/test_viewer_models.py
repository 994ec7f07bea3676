"""Opening models, and what is said of them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from napari_pgan.errors import InputError
from napari_pgan.model import Model
from napari_pgan.schema import Grid
from napari_pgan.viewer import model_files
from napari_pgan.viewer.card_text import describe_grid, summary
from napari_pgan.viewer.model_files import RecentModels, open_model


def test_a_file_is_opened(model_file: Path) -> None:
    opened = open_model(str(model_file))
    assert opened.model is not None
    assert opened.model.card.name == "small"


@pytest.mark.parametrize(
    ("content", "said"), [(b"garbage", "damaged"), (b"PK\x03\x04", "pickle"), (None, "does not exist")]
)
def test_a_bad_file_is_a_sentence(content: bytes | None, said: str, tmp_path: Path) -> None:
    file = tmp_path / "bad.safetensors"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(InputError, match=said) as raised:
        open_model(str(file))
    assert str(file) in str(raised.value)


def test_the_error_names_a_remedy_if_torch_cannot_be_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    import builtins

    real = builtins.__import__

    def refuse(name: str, *args: object, **kwargs: object) -> object:
        if name == "torch":
            raise OSError("[WinError 1114] A dynamic link library (DLL) initialization routine failed.\nmore")
        return real(name, *args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(InputError, match=r"WinError 1114.*start napari with python") as raised:
        model_files.require_torch()
    assert "\n" not in str(raised.value)


def test_recent_files_are_listed_newest_first(tmp_path: Path) -> None:
    kept = tmp_path / "deep" / "recent.json"
    files = [tmp_path / f"{i}.safetensors" for i in range(12)]
    for file in files:
        file.touch()
        RecentModels(kept).add(file)
    RecentModels(kept).add(files[10])
    files[9].unlink()
    names = [Path(f).stem for f in RecentModels(kept).files()]
    assert names[:3] == ["10", "11", "8"]
    assert len(names) <= 8
    kept.write_text("{")
    assert RecentModels(kept).files() == []


def test_the_card_is_shown_and_escaped(model: Model) -> None:
    text = summary(model.card)
    for part in ("t1, t1ce, t2, flair", "#e41a1c", "16 × 16 pixels of 2 × 3 mm (48 × 32 mm), axial", "CC0", "12,345"):
        assert part in text
    assert "nobody &lt;b&gt;, 7 subjects" in text


@pytest.mark.parametrize(
    ("grid", "text"),
    [
        (Grid((64, 64)), "64 × 64 pixels"),
        (Grid((64, 64), (3.0, 3.0), "IP"), "64 × 64 pixels of 3 mm (192 × 192 mm), sagittal"),
        (Grid((64, 64), (3.0, 3.0), "IL"), "64 × 64 pixels of 3 mm (192 × 192 mm), coronal"),
        (Grid((8, 8, 8), (1.5, 1.5, 1.5), "SPL"), "8 × 8 × 8 pixels of 1.5 mm (12 × 12 × 12 mm)"),
    ],
)
def test_grids_in_words(grid: Grid, text: str) -> None:
    assert describe_grid(grid) == text


def test_the_manifest_and_the_docks_bring_no_torch() -> None:
    code = (
        "import sys; import napari_pgan.viewer.readers, napari_pgan.viewer.writers, napari_pgan.viewer.sample_data;"
        "import napari_pgan.viewer.session, napari_pgan.viewer.model_files, napari_pgan.viewer.layers;"
        "print('torch' in sys.modules, 'napari' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
