"""Forms for the preprocessing steps of an exam or a cohort."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, TypeVar

from qtpy.QtWidgets import QComboBox, QWidget

from napari_pgan.viewer.docks.common.forms import Form
from napari_pgan.viewer.docks.prepare.atlas_choice import AtlasChoice
from napari_pgan.viewer.docks.prepare.form_rows import choice, options, put_beside, replace_choices

_REGISTER = options("Register to", "Align each modality with the reference and resample it once")
_REFERENCE = ("", "The modality that stays in place, is searched for the brain first, and is fitted to the atlas")
_LABELS = (
    "Label maps",
    "Interpolation of label maps: nearest neighbour, or Gaussian, which smooths borders and loses single voxels",
)
_INTERPOLATIONS = (("nearest neighbour", "nearest"), ("Gaussian", "gaussian"))
_BIAS = options("Correct bias field", "Divide each image by the coil's smooth sensitivity (N4)")
_STRIP = "Find the brain with the shipped template, in the reference first; your own mask is used if "
_NORMALISE = options("Normalise to −1 … 1", "Background −1, the brightest of the head 1, as in a store; models need it")


@dataclass(frozen=True)
class CohortSteps:
    """Preprocessing steps of a cohort; None leaves a value to the plan or the command."""

    register: Annotated[bool, _REGISTER] = False
    reference: Annotated[
        str | None, choice(*_REFERENCE, ("", None), *((m, m) for m in ("t1", "t1ce", "t2", "flair")))
    ] = None
    labels: Annotated[str | None, choice(*_LABELS, ("plan or nearest", None), *_INTERPOLATIONS)] = None
    bias: Annotated[bool, _BIAS] = False
    strip: Annotated[bool, options("Strip skull", _STRIP + "the plan names one as brain_mask")] = False


@dataclass(frozen=True)
class ExamSteps:
    """Preprocessing steps of an exam."""

    register: Annotated[bool, _REGISTER] = True
    reference: Annotated[str | None, choice(*_REFERENCE, ("", None))] = None
    labels: Annotated[str | None, choice(*_LABELS, *_INTERPOLATIONS)] = "nearest"
    bias: Annotated[bool, _BIAS] = False
    strip: Annotated[bool, options("Strip skull", _STRIP + "a volume above is marked as brain mask")] = False
    normalise: Annotated[bool, _NORMALISE] = True


T = TypeVar("T", bound=CohortSteps | ExamSteps)


class StepsForm(Form[T]):
    """Preprocessing steps, with the choice of an atlas.

    Parameters
    ----------
    model
        `CohortSteps` or `ExamSteps`.
    """

    def __init__(self, model: type[T], parent: QWidget | None = None) -> None:
        super().__init__(model, parent)
        self._is_exam, self._has_mask = model is ExamSteps, False
        self.atlas = AtlasChoice()
        self._reference: QComboBox = self.fields["reference"].native
        label = self.rows.labelForField(self._reference)
        assert label is not None
        self.rows.takeRow(self._reference)
        label.deleteLater()
        put_beside(self, "register", self._reference, wide=True)
        self.rows.insertRow(1, "Fit to", self.atlas)
        self.atlas.changed.connect(lambda: self.changed.emit("atlas", self.atlas.value))
        self.changed.connect(lambda *_: self._update())
        if not self._is_exam:  # a cohort's modalities are not known, so they can be typed
            self._reference.setEditable(True)
            line = self._reference.lineEdit()
            assert line is not None
            line.setPlaceholderText("cohort's default")
            line.textEdited.connect(lambda text: self.changed.emit("reference", text))
        self._update()

    def read(self) -> T:
        """Return the steps that will run: without the interpolation of labels if nothing is resampled."""
        return replace(
            super().read(),
            reference=self._reference.currentText().strip() or None,
            labels=self.fields["labels"].value if self._resamples else None,
            strip=self._strips,
        )

    def set_modalities(self, modalities: Sequence[str], has_mask: bool) -> None:
        """List the modalities that can be the reference; keep the choice if it is still there, otherwise prefer T1.

        Parameters
        ----------
        modalities
            The exam's modalities.
        has_mask
            Whether the exam has a brain mask.
        """
        before = [self._reference.itemText(i) for i in range(self._reference.count())]
        if before == list(modalities) and has_mask == self._has_mask:
            return
        self._has_mask = has_mask
        replace_choices(self.fields["reference"], [(modality, modality) for modality in modalities], "t1")
        self.changed.emit("reference", self.fields["reference"].value)

    @property
    def _resamples(self) -> bool:
        return self.fields["register"].value or self.atlas.value is not None

    @property
    def _strips(self) -> bool:
        return self.fields["strip"].value or self._has_mask

    def _update(self) -> None:
        no_reference = no_labels = has_mask = ""
        if not (self._resamples or self._strips or self._is_exam):
            no_reference = "Choose Register, Strip skull or an atlas: each starts from the reference"
        if not self._resamples:
            no_labels = "Label maps are not resampled unless images are registered or fitted to an atlas"
        if self._has_mask:
            has_mask = "The brain mask among the volumes above is used"
        self.allow(reference=no_reference, labels=no_labels, strip=has_mask)
