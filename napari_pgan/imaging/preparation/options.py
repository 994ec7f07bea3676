"""What the user may choose of a preparation."""

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
    """What the user may choose.

    Parameters
    ----------
    size
        Pixels along each side of a slice: 4, 5, 6 or 7 times a power of two.
    field_of_view
        Millimetres along each side of a slice; None: the smallest multiple of 16 that holds every head of the cohort
        with a margin of 4 mm on each side.
    axis
        ``"axial"``, ``"coronal"`` or ``"sagittal"``.
    split
        How many subjects train, validate, test.
    name
        Of the cohort; None: that of the store.
    sided
        Whether left and right matter (see `Grid`); None: nobody says, or what the store says stays.
    plan
        Which file is which; None: the cohort is in a known layout.
    register
        Whether each subject's modalities are registered to one of them.
    reference
        The modality that they are registered to, that the brain is sought in and that is fitted to the atlas; None: the
        cohort's own (see `CohortContent`).
    bias
        Correct the coil's shading.
    strip
        Take the brain out of heads with skull; a plan that names brain masks says so too.
    atlas
        A volume, or ``"template"``: fit every subject to it, and give all its grid; None: they keep their own.
    labels
        Resampling of label maps, one of `LABEL_INTERPOLATIONS`; None: the plan's choice, else nearest neighbour.
    folder
        For the quality page with its pictures and the transforms; None: none are written. They show the subjects and
        name them, so this is no place in the store.
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
            raise InputError(f"--size {self.size} is too small; give 8 at least, such as 128")
        try:
            base_of(self.size)
        except InputError as error:
            raise InputError(f"--{error}") from None
        if self.field_of_view is not None and not 0 < self.field_of_view < 10_000:
            raise InputError(f"--fov {self.field_of_view:g} is no length; give millimetres, such as 192")
        if self.axis not in ORIENTATIONS:
            raise InputError(f"--axis {self.axis!r} is unknown; give {', '.join(ORIENTATIONS)}")
        moved = self.register or self.atlas is not None
        if not (moved or self.stripped) and self.reference is not None:
            raise InputError("--reference says what to register to; give --register, --strip or --atlas too")
        if not (moved or self.stripped) and self.folder is not None:
            raise InputError(
                "--quality shows how subjects were registered and stripped; give --register, --atlas or --strip too"
            )
        if self.labels not in (None, *LABEL_INTERPOLATIONS):
            raise InputError(f"--labels {self.labels!r} is unknown; give {' or '.join(LABEL_INTERPOLATIONS)}")
        if not moved and self._labels is not None:
            raise InputError("--labels says how label maps come onto another grid; give --register or --atlas too")

    @property
    def stripped(self) -> bool:
        """Whether skulls are taken off."""
        return self.strip or (self.plan is not None and self.plan.brain_mask is not None)

    @property
    def _labels(self) -> str | None:
        return self.labels or (self.plan.label_interpolation if self.plan is not None else None)

    def steps_for(self, content: CohortContent) -> PreprocessingSteps:
        """What is done to each subject of a cohort before it is scaled.

        Raises
        ------
        InputError
            The reference is none of the cohort's modalities, or the cohort is of photographs.
        """
        if content.photographs and (self.register or self.bias or self.strip or self.atlas is not None):
            raise InputError(
                "--register, --bias, --strip and --atlas are for volumes, and these are photographs; leave them out"
            )
        needed = self.register or self.stripped or self.atlas is not None
        reference = (self.reference or content.reference) if needed else None
        if reference not in (None, *content.modalities):
            raise InputError(
                f"--reference {reference!r} is no modality of this cohort; give {', '.join(content.modalities)}"
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
