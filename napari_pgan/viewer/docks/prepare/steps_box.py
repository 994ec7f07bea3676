"""The box that says by which steps an exam or a cohort is prepared."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QCheckBox, QComboBox, QFormLayout, QHBoxLayout, QWidget

from napari_pgan.viewer.docks.common.availability import allow
from napari_pgan.viewer.docks.common.sections import narrow
from napari_pgan.viewer.docks.prepare.atlas_choice import AtlasChoice

_OWN_MASK = "A brain mask is among the volumes above, so the brain is what that marks"


class StepsBox(QWidget):
    """Registration, atlas, labels, shading, skull, and for an exam the intensities.

    Signals: `changed()`.

    Parameters
    ----------
    exam
        Whether it is for an exam, whose modalities are known and which need not be normalised.
    """

    changed = Signal()

    def __init__(self, exam: bool, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._exam, self._own_mask = exam, False
        self.register = QCheckBox("Register to")
        self.register.setChecked(exam)
        self.reference = narrow(QComboBox())
        self.reference.setEditable(not exam)
        self.atlas = AtlasChoice()
        self.labels = narrow(QComboBox())
        if not exam:
            self.labels.addItem("plan's, or nearest", None)
        self.labels.addItem("nearest label", "nearest")
        self.labels.addItem("Gaussian votes", "gaussian")
        self.bias = QCheckBox("Take out shading")
        self.strip = QCheckBox("Keep the brain alone")
        self.normalise = QCheckBox("Normalise to −1 … 1")
        self.normalise.setChecked(True)
        row = QHBoxLayout()
        row.addWidget(self.register)
        row.addWidget(self.reference, 1)
        form = QFormLayout(self)
        form.setContentsMargins(0, 0, 0, 0)
        form.addRow(row)
        form.addRow("Fit to", self.atlas)
        form.addRow("Labels by", self.labels)
        form.addRow(self.bias)
        form.addRow(self.strip)
        if exam:
            form.addRow(self.normalise)
        else:
            self.reference.addItems(["", "t1", "t1ce", "t2", "flair"])
            line = self.reference.lineEdit()
            assert line is not None
            line.setPlaceholderText("the cohort's own")
        for box in (self.register, self.bias, self.strip):
            box.toggled.connect(self._on_change)
        self.reference.currentTextChanged.connect(self._on_change)
        self.atlas.changed.connect(self._on_change)
        self.labels.currentIndexChanged.connect(self._on_change)
        self.register.setToolTip("Move each modality to where it agrees with the reference, and resample it once")
        self.bias.setToolTip("Divide each image by the smooth field of the coil (N4)")
        self.normalise.setToolTip("As in a store: background −1, the brightest of the head 1; models need it")
        self._allow()

    @property
    def strips(self) -> bool:
        """Whether skulls are taken off: that is asked for, or a brain mask is among the volumes."""
        return self.strip.isChecked() or self._own_mask

    @property
    def smooth_labels(self) -> str | None:
        """How labels come onto another grid; None: nobody says, or they stay on their own."""
        return self.labels.currentData() if self.labels.isEnabled() else None

    def offer(self, modalities: Sequence[str], own_mask: bool = False) -> None:
        """Offer modalities as the reference; the one chosen stays while it is among them, else the first that is T1.

        Parameters
        ----------
        modalities
            Of the exam.
        own_mask
            Whether it has a brain mask.
        """
        before = self.reference.currentText()
        known = [self.reference.itemText(i) for i in range(self.reference.count())]
        if known == list(modalities) and own_mask == self._own_mask:
            return
        self._own_mask = own_mask
        self.reference.blockSignals(True)
        self.reference.clear()
        self.reference.addItems(list(modalities))
        preferred = before if before in modalities else "t1"
        self.reference.setCurrentIndex(max(0, self.reference.findText(preferred)))
        self.reference.blockSignals(False)
        self._on_change()

    def values(self) -> dict[str, Any]:
        """What is chosen, by the names that `imaging.steps.Steps` has for it."""
        return {
            "reference": self.reference.currentText().strip() or None,
            "register": self.register.isChecked(),
            "bias": self.bias.isChecked(),
            "strip": self.strips,
            "labels": self.smooth_labels,
        }

    def _on_change(self, _: object = None) -> None:
        self._allow()
        self.changed.emit()

    def _allow(self) -> None:
        moved = self.register.isChecked() or self.atlas.value is not None
        needed = moved or self.strips or self._exam
        why_not = "" if needed else "Tick Register or Keep the brain alone, or choose an atlas: all begin with it"
        allow(
            self.reference,
            "The modality that stays where it is, that the brain is sought in first, and that is fitted to the atlas",
            why_not,
        )
        allow(
            self.labels,
            "The nearest label; or Gaussian votes of those around, which round the steps of oblique borders and lose "
            "single voxels",
            "" if moved else "Labels stay on their own voxels unless images are registered or fitted to an atlas",
        )
        allow(
            self.strip,
            "Find the brain with the shipped template, in the reference first; a mask of your own in its place is "
            + ("a volume above that is called brain mask" if self._exam else "named in the plan, as brain_mask"),
            _OWN_MASK if self._own_mask else "",
        )
