"""Names of the parts of a subject: modalities, and the masks drawn on them."""

MODALITIES = ("t1", "t1ce", "t2", "flair")  # of BraTS
SEGMENTATION = "seg"
BRAIN = "brain"  # an optional brain mask
ATLAS = "atlas"  # the registration to an atlas, listed beside those of modalities
MASKS = {SEGMENTATION: "segmentation", BRAIN: "brain mask"}


def describe_part(part: str, determiner: str = "the") -> str:
    """Return a part in words: ``the segmentation`` for a mask, its own name for a modality."""
    return f"{determiner} {MASKS[part]}" if part in MASKS else part
