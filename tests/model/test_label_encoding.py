"""Labels are encoded as channels and decoded again."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from napari_pgan.errors import InputError
from napari_pgan.model import Encoding
from napari_pgan.model.label_encoding import Kind
from napari_pgan.model.layers import down
from napari_pgan.schema import Channels, Label

KINDS = get_args(Kind)


@st.composite
def _labelled(draw: st.DrawFn) -> tuple[Channels, np.ndarray]:
    """Draw channels with up to seven labels of any values, and a label map."""
    values = draw(st.lists(st.integers(1, 255), max_size=7, unique=True) | st.just([1, 2, 4]))
    channels = Channels(("t1", "t2"), tuple(Label(v, f"label {v}", "#ff0000") for v in values))
    shape = draw(st.sampled_from([(2, 4, 4), (1, 2, 4, 6)]))
    return channels, draw(arrays(np.uint8, shape, elements=st.sampled_from([0, *values])))


@pytest.mark.parametrize("kind", KINDS)
@given(_labelled())
def test_labels_are_decoded_exactly(kind: Kind, labelled: tuple[Channels, np.ndarray]) -> None:
    channels, labels = labelled
    encoding, images = Encoding(channels, kind), torch.zeros(labels.shape[0], 2, *labels.shape[1:])
    x = encoding.encode(images, encoding.fractions(torch.from_numpy(labels)))
    assert x.shape[1] == encoding.channel_count
    assert x.min() >= -1
    assert x.max() <= 1
    decoded = encoding.decode(x)
    assert decoded.dtype == torch.uint8
    np.testing.assert_array_equal(decoded, labels)
    torch.testing.assert_close(encoding.images(x), images)


@pytest.mark.parametrize("kind", KINDS)
@given(_labelled())
def test_probabilities_of_crisp_labels_are_their_one_hot(kind: Kind, labelled: tuple[Channels, np.ndarray]) -> None:
    channels, labels = labelled
    encoding = Encoding(channels, kind)
    fractions = encoding.fractions(torch.from_numpy(labels))
    x = encoding.encode(torch.zeros(labels.shape[0], 2, *labels.shape[1:]), fractions)
    torch.testing.assert_close(encoding.probabilities(x), fractions, rtol=0, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
@given(_labelled())
def test_a_box_average_is_the_encoding_of_averaged_fractions(kind: Kind, labelled: tuple[Channels, np.ndarray]) -> None:
    channels, labels = labelled
    encoding = Encoding(channels, kind)
    images = torch.linspace(-1, 1, 2 * labels.size).reshape(labels.shape[0], 2, *labels.shape[1:])
    fractions = encoding.fractions(torch.from_numpy(labels))
    smaller = down(fractions) if fractions.shape[1] else fractions[(..., *[slice(None, None, 2)] * (labels.ndim - 1))]
    torch.testing.assert_close(
        down(encoding.encode(images, fractions)), encoding.encode(down(images), smaller), rtol=0, atol=1e-6
    )


@pytest.mark.parametrize("kind", KINDS)
@given(_labelled(), st.floats(-0.12, 0.12))
def test_a_little_noise_changes_no_label(kind: Kind, labelled: tuple[Channels, np.ndarray], noise: float) -> None:
    channels, labels = labelled
    encoding = Encoding(channels, kind)
    x = encoding.encode(
        torch.zeros(labels.shape[0], 2, *labels.shape[1:]), encoding.fractions(torch.from_numpy(labels))
    )
    np.testing.assert_array_equal(encoding.decode(x + noise), labels)


def test_the_largest_channel_wins_if_it_is_above_zero() -> None:
    encoding = Encoding(Channels(("t1",), (Label(2, "a", "#ff0000"), Label(4, "b", "#00ff00"))))
    x = torch.tensor([[[-0.5]], [[0.2]], [[0.3]]])[None].transpose(0, 0)  # (1, 3, 1, 1): image, a, b
    assert encoding.decode(x).item() == 4
    assert encoding.decode(x - 0.25).item() == 4
    assert encoding.decode(x - 0.3).item() == 0


def test_probabilities_are_differentiable_in_between() -> None:
    for kind in KINDS:
        encoding = Encoding(Channels(("t1",), (Label(1, "a", "#ff0000"), Label(2, "b", "#00ff00"))), kind)
        x = torch.full((1, encoding.channel_count, 1, 1), 0.3, requires_grad=True)
        (gradient,) = torch.autograd.grad(encoding.probabilities(x).square().sum(), x)
        assert gradient[:, 1:].abs().max() > 0


def test_without_labels_there_is_no_channel_for_them() -> None:
    for kind in KINDS:
        encoding = Encoding(Channels(("t1", "t2")), kind)
        x = torch.randn(2, 2, 4, 4)
        assert encoding.channel_count == 2
        assert encoding.probabilities(x).shape == (2, 0, 4, 4)
        assert not encoding.decode(x).any()


def test_another_encoding_is_refused() -> None:
    with pytest.raises(InputError, match="onehot or grey"):
        Encoding(Channels(("t1",)), "colour")  # type: ignore[arg-type]
