"""User options of a preparation."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from napari_pgan.errors import InputError
from napari_pgan.imaging.cohorts.cohort import CohortContent
from napari_pgan.imaging.cohorts.plan import CohortPlan
from napari_pgan.imaging.preprocessing.steps import LABEL_INTERPOLATIONS, PreprocessingSteps
from napari_pgan.imaging.preprocessing.subject import ORIENTATIONS
from napari_pgan.imaging.registration.atlas import load_atlas
from napari_pgan.schema import base_of
from napari_pgan.store import SplitRule


@dataclass(frozen=True)
class Options:
    """User options of a preparation.

    Parameters
    ----------
    size
        Pixels along each side of a slice: 4, 5, 6 or 7 times a power of two.
    field_of_view
        Side of a slice in mm; None selects the smallest multiple of 16 that contains all heads with 4 mm margins.
    axis
        ``"axial"``, ``"coronal"`` or ``"sagittal"``.
    split
        Sizes of train, val and test.
    name
        Name of the cohort; None takes it from the store.
    sided
        Whether left and right differ (see `Grid`); None leaves it unspecified or as recorded in the store.
    plan
        Assignment of files to modalities; None for cohorts in a known layout.
    register
        Register each subject's modalities to one of them.
    reference
        Modality used as registration target, for brain extraction and for the fit to the atlas; None takes the
        cohort's default (see `CohortContent`).
    bias
        Correct the bias field.
    strip
        Remove the skull; implied by a plan with brain masks.
    atlas
        Volume file or ``"template"`` to which all subjects are registered; None leaves them in their own space.
    labels
        Interpolation of label maps, one of `LABEL_INTERPOLATIONS`; None takes the plan's choice or nearest neighbour.
    folder
        Folder for the quality page, its pictures and the transforms; None writes none. They show and name the
        subjects, so the folder must be outside the store.
    """

    size: int = 128
    field_of_view: float | None = None
    axis: str = "axial"
    split: SplitRule = field(default_factory=SplitRule)
    name: str | None = None
    sided: bool | None = None
    plan: CohortPlan | None = None
    register: bool = False
    reference: str | None = None
    bias: bool = False
    strip: bool = False
    atlas: str | None = None
    labels: str | None = None
    folder: Path | None = None

    def __post_init__(self) -> None:
        if self.size < 8:
            raise InputError(f"--size {self.size} is too small; give at least 8, such as 128")
        try:
            base_of(self.size)
        except InputError as error:
            raise InputError(f"--{error}") from None
        if self.field_of_view is not None and not 0 < self.field_of_view < 10_000:
            raise InputError(f"--fov {self.field_of_view:g} is not a valid length; give millimetres, such as 192")
        if self.axis not in ORIENTATIONS:
            raise InputError(f"--axis {self.axis!r} is unknown; give {', '.join(ORIENTATIONS)}")
        resampled = self.register or self.atlas is not None
        if not (resampled or self.stripped) and self.reference is not None:
            raise InputError("--reference has an effect only with --register, --strip or --atlas; add one of them")
        if not (resampled or self.stripped) and self.folder is not None:
            raise InputError("--quality has an effect only with --register, --atlas or --strip; add one of them")
        if self.labels not in (None, *LABEL_INTERPOLATIONS):
            raise InputError(f"--labels {self.labels!r} is unknown; give {' or '.join(LABEL_INTERPOLATIONS)}")
        if not resampled and self._labels is not None:
            raise InputError("--labels has an effect only with --register or --atlas; add one of them")

    @property
    def stripped(self) -> bool:
        """Whether skulls are removed."""
        return self.strip or (self.plan is not None and self.plan.brain_mask is not None)

    @property
    def _labels(self) -> str | None:
        return self.labels or (self.plan.label_interpolation if self.plan is not None else None)

    def steps_for(self, content: CohortContent) -> PreprocessingSteps:
        """Return the preprocessing steps of each subject before intensity scaling.

        Raises
        ------
        InputError
            The reference is not a modality of the cohort, or the steps do not apply to photographs.
        """
        if content.photographs and (self.register or self.bias or self.strip or self.atlas is not None):
            raise InputError(
                "--register, --bias, --strip and --atlas are for volumes, and these are photographs; leave them out"
            )
        needed = self.register or self.stripped or self.atlas is not None
        reference = (self.reference or content.reference) if needed else None
        if reference not in (None, *content.modalities):
            raise InputError(
                f"--reference {reference!r} is not a modality of this cohort; give {', '.join(content.modalities)}"
            )
        atlas = load_atlas(self.atlas, ORIENTATIONS[self.axis]).identity if self.atlas is not None else None
        return PreprocessingSteps(
            reference=reference,
            register=self.register,
            bias=self.bias,
            strip=self.stripped,
            atlas=atlas,
            labels=self._labels or LABEL_INTERPOLATIONS[0],
        )
