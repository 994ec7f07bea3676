"""Facts about MR signal."""

from __future__ import annotations

import numpy as np
import pytest

from napari_pgan.phantom.signal import TISSUES, Protocol, inversion_recovery, mixed_signal, rician, spin_echo

ONE = np.ones(1)


def test_inversion_recovery_nulls_a_tissue_at_ln2_of_its_t1() -> None:
    nulled = inversion_recovery(ONE, 800 * ONE, 80 * ONE, tr=1e6, ti=800 * np.log(2), te=10)
    assert nulled == pytest.approx(0, abs=1e-9)


def test_a_spin_echo_loses_a_factor_e_in_one_t2() -> None:
    early, late = (spin_echo(ONE, 900 * ONE, 90 * ONE, tr=600, te=te) for te in (10, 100))
    assert late / early == pytest.approx(np.exp(-1))


def test_rician_noise_has_its_known_moments() -> None:
    rng = np.random.default_rng(0)
    air = rician(rng, np.zeros(200_000, np.float32), 3.0)
    assert air.mean() == pytest.approx(3 * np.sqrt(np.pi / 2), rel=0.01)
    assert (air**2).mean() == pytest.approx(18, rel=0.01)
    assert (rician(rng, np.full(200_000, 100, np.float32), 3.0) ** 2).mean() == pytest.approx(1e4 + 18, rel=0.01)


def test_partial_volume_is_the_mean_of_the_signals() -> None:
    protocol = Protocol(None, 500, 90, 100, 2430, 1.0)
    flat = {name: np.zeros(3, np.float32) for name in TISSUES}
    shares = {"white": np.array([1, 0, 0.3], np.float32), "fluid": np.array([0, 1, 0.7], np.float32)}
    white, fluid, both = mixed_signal(protocol, shares, flat, "t2")
    assert both == pytest.approx(0.3 * white + 0.7 * fluid, rel=1e-5)


@pytest.mark.parametrize("inversion", [None, 920.0])
def test_pure_tissues_rank_as_in_real_mri(inversion: float | None) -> None:
    protocol = Protocol(inversion, 500 if inversion is None else 2100, 90, 100, 2430, 1.0)
    names = ["white", "grey", "fluid", "oedema", "enhancing", "necrosis"]
    flat = {name: np.zeros(len(names), np.float32) for name in names}
    shares = {name: np.eye(len(names), dtype=np.float32)[i] for i, name in enumerate(names)}
    value = {
        m: dict(zip(names, mixed_signal(protocol, shares, flat, m), strict=True)) for m in ("t1", "t1ce", "t2", "flair")
    }
    assert value["t1"]["white"] > value["t1"]["grey"] > value["t1"]["necrosis"] > value["t1"]["fluid"]
    assert value["t2"]["fluid"] > value["t2"]["oedema"] > value["t2"]["grey"] > value["t2"]["white"]
    assert value["flair"]["oedema"] > value["flair"]["grey"] > value["flair"]["white"] > value["flair"]["fluid"]
    assert value["t1ce"]["enhancing"] > 1.3 * value["t1ce"]["white"] > value["t1ce"]["necrosis"]
    assert value["t1"]["enhancing"] < value["t1"]["white"]
