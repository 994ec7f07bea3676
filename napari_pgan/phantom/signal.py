"""MR signal of tissues: relaxation, sequences, contrast agent, noise.

Relaxation times are for 3 T. White and grey matter: Wansapura et al. 1999, JMRI 9:531. Fluid: T1 from Lin et al.
2001, MRM 45:893. Water contents: Whittall et al. 1997, MRM 37:34. Values of lesions vary; ours follow relaxometry of
gliomas (Badve et al. 2017, AJNR 38:492; Blystad et al. 2020, Sci Rep 10:17986). The contrast
agent shortens the T1 of the enhancing part by about 840 ms (Nöth et al. 2020, NMR Biomed 33:e4242). Values of bone,
fat and muscle are approximate.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Tissue:
    """Proton density (water = 1), T1 and T2 in ms, contrast agent in mmol/l, and relative variation of these."""

    density: float
    t1: float
    t2: float
    uptake: float = 0.0
    variation: float = 0.04


TISSUES = {
    "white": Tissue(0.70, 832, 79.6, uptake=0.005, variation=0.035),
    "grey": Tissue(0.83, 1331, 110, uptake=0.015, variation=0.045),
    "fluid": Tissue(1.00, 4160, 1500, variation=0.02),
    "oedema": Tissue(0.86, 1400, 215, uptake=0.01, variation=0.10),
    "solid": Tissue(0.87, 1500, 190, uptake=0.03, variation=0.12),
    "enhancing": Tissue(0.86, 1450, 190, uptake=0.20, variation=0.16),
    "necrosis": Tissue(0.93, 1950, 320, uptake=0.01, variation=0.20),
    "vessel": Tissue(0.75, 1900, 40, uptake=0.55, variation=0.15),
    "bone": Tissue(0.10, 900, 8, variation=0.10),
    "marrow": Tissue(0.45, 400, 60, uptake=0.02, variation=0.15),
    "fat": Tissue(0.70, 370, 90, uptake=0.01, variation=0.08),
    "muscle": Tissue(0.78, 1400, 45, uptake=0.05, variation=0.12),
}
NAMES = tuple(TISSUES)
RELAXIVITY = 4.0e-3  # of gadolinium chelates at 3 T, 1/(ms mmol/l)
MODALITIES = ("t1", "t1ce", "t2", "flair")


def spin_echo(density: np.ndarray, t1: np.ndarray, t2: np.ndarray, tr: float, te: float) -> np.ndarray:
    """Return a spin echo signal; times in ms (Bernstein, King, Zhou 2004, Handbook of MRI Pulse Sequences, 14.3)."""
    return density * (1 - np.exp(-tr / t1)) * np.exp(-te / t2)


def inversion_recovery(
    density: np.ndarray, t1: np.ndarray, t2: np.ndarray, tr: float, ti: float, te: float
) -> np.ndarray:
    """Return the signal magnitude of an inversion recovery; times in ms (Bernstein, King, Zhou 2004, 14.2)."""
    return np.abs(density * (1 - 2 * np.exp(-ti / t1) + np.exp(-tr / t1)) * np.exp(-te / t2))


@dataclass(frozen=True)
class Protocol:
    """One scanner's settings: times in ms; `t1_inversion` None means T1 images by spin echo."""

    t1_inversion: float | None
    t1_repetition: float
    t2_echo: float
    flair_echo: float
    flair_inversion: float
    dose: float

    def signal(
        self, modality: str, density: np.ndarray, t1: np.ndarray, t2: np.ndarray, uptake: np.ndarray
    ) -> np.ndarray:
        """Return the signal of tissue parameters (any shape) in one modality, relative to fully relaxed water."""
        if modality == "t2":
            return spin_echo(density, t1, t2, 5000, self.t2_echo)
        if modality == "flair":
            return inversion_recovery(density, t1, t2, 9000, self.flair_inversion, self.flair_echo)
        if modality == "t1ce":
            t1 = 1 / (1 / t1 + RELAXIVITY * self.dose * uptake)
        if self.t1_inversion is None:
            return spin_echo(density, t1, t2, self.t1_repetition, 10)
        return inversion_recovery(density, t1, t2, self.t1_repetition, self.t1_inversion, 5)


def draw_protocol(rng: np.random.Generator) -> Protocol:
    """Draw settings that vary between hospitals; most T1 images use an inversion."""
    inversion = rng.uniform() < 0.6
    return Protocol(
        t1_inversion=float(rng.uniform(880, 960)) if inversion else None,
        t1_repetition=float(rng.uniform(2000, 2200) if inversion else rng.uniform(420, 560)),
        t2_echo=float(rng.uniform(75, 100)),
        flair_echo=float(rng.uniform(85, 110)),
        flair_inversion=float(rng.uniform(2400, 2470)),
        dose=float(rng.uniform(0.8, 1.3)),
    )


def mixed_signal(
    protocol: Protocol, shares: dict[str, np.ndarray], texture: dict[str, np.ndarray], modality: str
) -> np.ndarray:
    """Return the signal of voxels with several tissues: the mean weighted by their fractions.

    Parameters
    ----------
    protocol
        Scanner settings.
    shares
        Tissue name → fraction (n,).
    texture
        Tissue name → random field of variance 1, (n,); positive values mean higher water content (longer T1 and T2).
    modality
        One of `MODALITIES`.

    Returns
    -------
    numpy.ndarray
        (n,) float32.
    """
    total = np.zeros(next(iter(shares.values())).shape, np.float32)
    for name, share in shares.items():
        held = share > 1e-3
        if not held.any():
            continue
        tissue = TISSUES[name]
        wet = np.exp(tissue.variation * texture[name][held])
        uptake = tissue.uptake * np.clip(1 + 2.5 * tissue.variation * texture[name][held], 0.1, 3)
        density = np.minimum(tissue.density * wet**0.3, 1)
        total[held] += share[held] * protocol.signal(modality, density, tissue.t1 * wet, tissue.t2 * wet**1.5, uptake)
    return total


def rician(rng: np.random.Generator, signal: np.ndarray, sigma: float) -> np.ndarray:
    """Return the magnitude of a signal with complex Gaussian noise (Gudbjartsson and Patz 1995, MRM 34:910)."""
    real = signal + sigma * rng.standard_normal(signal.shape, np.float32)
    return np.hypot(real, sigma * rng.standard_normal(signal.shape, np.float32))
