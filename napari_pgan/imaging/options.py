"""What the user may choose of a preparation."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from napari_pgan.errors import InputError
from napari_pgan.imaging.cohorts.found import Content
from napari_pgan.imaging.plan import Plan
from napari_pgan.imaging.steps import Steps
from napari_pgan.imaging.subject import ORIENTATIONS
from napari_pgan.spec import base_of
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
        The modality that they are registered to; None: the cohort's own (see `Content`).
    bias
        Correct the coil's shading.
    strip
        Take the brain out of heads with skull.
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
    plan: Plan | None = None
    register: bool = False
    reference: str | None = None
    bias: bool = False
    strip: bool = False
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
        if not self.register and (self.reference is not None or self.folder is not None):
            raise InputError("--reference and --quality say how to register; give --register too")

    def steps_for(self, content: Content) -> Steps:
        """What is done to each subject of a cohort before it is scaled.

        Raises
        ------
        InputError
            The reference is none of the cohort's modalities, or the cohort is of photographs.
        """
        if content.photographs and (self.register or self.bias or self.strip):
            raise InputError(
                "--register, --bias and --strip are for volumes, and these are photographs; leave them out"
            )
        reference = (self.reference or content.reference) if self.register else None
        if reference not in (None, *content.modalities):
            raise InputError(
                f"--reference {reference!r} is no modality of this cohort; give {', '.join(content.modalities)}"
            )
        return Steps(reference, self.bias, self.strip)
