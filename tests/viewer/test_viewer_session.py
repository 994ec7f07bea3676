"""The state that a viewer's docks share."""

from __future__ import annotations

import gc
from collections.abc import Callable

import numpy as np
import pytest

from napari_pgan.errors import InputError
from napari_pgan.model import Condition, Model
from napari_pgan.viewer.session import LatentSource, Session, session_of


class Viewer:
    """Stands for a napari viewer."""


def test_a_viewer_finds_its_own_session_again() -> None:
    one, other = Viewer(), Viewer()
    assert session_of(one) is session_of(one)
    assert session_of(one) is not session_of(other)


def test_a_session_goes_with_its_viewer() -> None:
    import weakref

    viewer = Viewer()
    session = weakref.ref(session_of(viewer))
    del viewer
    gc.collect()
    assert session() is None


def test_undo_walks_back_through_seeds_and_latents() -> None:
    session, seen = Session(), []
    session.latent_changed.connect(lambda place: seen.append(place.seed))
    found = LatentSource(2, np.ones((1, 8), np.float32))
    for place in (LatentSource(1), found, LatentSource(3)):
        session.set_latent(place)
    session.undo()
    assert session.latent is found
    session.undo()
    session.undo()
    assert session.latent.seed == 0
    assert not session.can_undo
    session.undo()
    assert seen == [1, 2, 3, 2, 1, 0]


def test_going_nowhere_is_nothing_to_undo() -> None:
    session = Session()
    session.set_latent(LatentSource(0))
    assert not session.can_undo


def test_a_request_is_a_moment_and_can_be_made_later(model: Model) -> None:
    session = Session()
    session.use(model, "small")
    session.change(count=3, truncation=0.7)
    session.set_latent(LatentSource(2**32 - 1))
    request = session.request()
    session.change(count=1)
    assert request is not None
    assert request.seeds == [2**32 - 1, 0, 1]  # seeds count on, round the end
    batch = request.run()
    np.testing.assert_array_equal(batch.latents, model.latents([2**32 - 1, 0, 1]))
    assert batch.truncation == 0.7


def test_latents_are_shown_instead_of_the_seed(model: Model) -> None:
    session = Session()
    session.use(model, "small")
    latents = model.latents([9]) * -1
    session.set_latent(LatentSource(9, latents))
    request = session.request()
    assert request is not None
    assert request.seeds is None
    np.testing.assert_array_equal(request.run().latents, latents)


def test_other_offsets_are_another_place() -> None:
    latents, offset = np.ones((1, 8), np.float32), np.ones((1, 8, 4, 4), np.float32)
    assert LatentSource(0, latents, (offset,)).same(LatentSource(3, latents.copy(), (offset.copy(),)))
    assert not LatentSource(0, latents, (offset,)).same(LatentSource(0, latents))
    assert not LatentSource(0, latents, (offset,)).same(LatentSource(0, latents, (2 * offset,)))


def test_another_model_keeps_seed_and_truncation_and_drops_the_rest(
    model: Model, make_session_model: Callable[..., Model]
) -> None:
    session = Session()
    session.use(model, "small")
    session.set_latent(LatentSource(5, model.latents([5]) * 2))
    session.change(truncation=0.6, stage=1)
    other = make_session_model(
        seed=1, conditions=(Condition("grade", levels=("low", "high")), Condition("age", range=(20.0, 80.0)))
    )
    session.use(other, "other")
    assert session.latent.latents is None
    assert (session.latent.seed, session.settings.truncation, session.settings.stage) == (5, 0.6, None)
    assert session.settings.conditions == {"grade": "low", "age": 50.0}
    request = session.request()
    assert request is not None
    assert request.run().conditions == {"grade": "low", "age": 50.0}


def test_truncation_out_of_range_raises_an_input_error(model: Model) -> None:
    session = Session()
    session.use(model, "small")
    session.change(truncation=3.0)
    request = session.request()
    assert request is not None
    with pytest.raises(InputError, match="truncation 3 is out of range"):
        request.run()
