"""Form for a cohort's folder, its plan, its store and the cluster."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from qtpy.QtWidgets import QFileDialog, QPushButton, QWidget

from napari_pgan.viewer.docks.common.forms import Form
from napari_pgan.viewer.docks.prepare.form_rows import options, put_beside

_MIN_WIDTH, _BUTTON_WIDTH = 60, 30  # pixels


@dataclass(frozen=True)
class CohortPaths:
    """Where a cohort is read from, written to, and prepared; texts, as a store can be a URL."""

    source: Annotated[
        str, options("Cohort", "BraTS, BIDS, DICOM, photographs with masks, or the layout that the plan names")
    ] = ""
    plan: Annotated[str, options("Plan", "YAML file that names the files; empty for a known layout")] = ""
    store: Annotated[str, options("Store", "The store to create or to complete, such as cohort.zarr")] = ""
    scheduler: Annotated[
        str, options("Cluster", "Address of a dask.distributed scheduler with workers, such as tcp://node7:8786")
    ] = ""


class CohortPathsForm(Form[CohortPaths]):
    """Text fields with a button that opens a file dialog."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(CohortPaths, parent)
        for field in self.fields.values():
            field.native.setMinimumWidth(_MIN_WIDTH)
        for name, ask in (("source", self._ask_source), ("plan", self._ask_plan), ("store", self._ask_store)):
            button = QPushButton("…")
            button.setMaximumWidth(_BUTTON_WIDTH)
            button.setToolTip(self.tips[name])
            button.clicked.connect(ask)
            put_beside(self, name, button)
        self.fields["plan"].native.setPlaceholderText("none")
        self.fields["scheduler"].native.setPlaceholderText("this machine")

    def read(self) -> CohortPaths:
        """Return the texts without surrounding spaces."""
        return CohortPaths(**{name: field.value.strip() for name, field in self.fields.items()})

    def _ask_source(self) -> None:
        if folder := QFileDialog.getExistingDirectory(self, "Folder of the cohort", self.read().source):
            self.fields["source"].value = folder
            if not self.read().store:
                self.fields["store"].value = str(Path(folder).with_name(Path(folder).name + ".zarr"))

    def _ask_plan(self) -> None:
        file, _ = QFileDialog.getOpenFileName(self, "Plan file", self.read().source, "Plans (*.yaml *.yml)")
        if file:
            self.fields["plan"].value = file

    def _ask_store(self) -> None:
        file, _ = QFileDialog.getSaveFileName(
            self,
            "Store",
            self.read().store or "cohort.zarr",
            "Stores (*.zarr)",
            options=QFileDialog.Option.DontConfirmOverwrite,
        )
        if file:
            self.fields["store"].value = file if file.endswith(".zarr") else f"{file}.zarr"
