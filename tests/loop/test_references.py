"""What a champion's windows are compared with, and the windows of a simulation."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

import msgspec
import numpy as np
import pytest

from everloop.kernel.clock import micros
from everloop.kernel.errors import InvalidInput, NotFound, Refused
from everloop.loop import declare as el
from everloop.loop.driftwatch import DriftWatch
from everloop.loop.history import History, months_of, read_history
from everloop.loop.references import contributions_of, reference_of
from everloop.loop.reproduction import model_of
from everloop.registry.entities import Field, Model
from everloop.registry.save import load_model
from tests.loop.world import A_DAY, OPENING, World, toy_loop


@pytest.fixture
def model(world: World) -> Model:
    """The toy's first model."""
    until = world.clock.now().isoformat()
    return model_of(world.call("pipelines.run", name="fit", arguments={"until": until}))


def history(world: World, model: Model, days: int = 6) -> History:
    return read_history(world.platform.session(), toy_loop(), model, OPENING, OPENING + timedelta(days=days))


def test_a_reference_is_made_of_the_holdout_with_its_times_and_labels(world: World, model: Model) -> None:
    reference = reference_of(world.platform.session(), toy_loop(), model, version=3)
    assert [feature.name for feature in reference.features] == ["weight", "depot"]
    assert (reference.rows, reference.model_version) == (300, 3)
    assert reference.end < OPENING
    assert reference.performance is not None
    assert reference.performance.roc_auc == pytest.approx(0.87, abs=0.05)


def test_a_holdout_that_does_not_say_when_still_makes_a_reference(world: World, model: Model) -> None:
    timeless = toy_loop(label=el.Label("late", at="nowhere"))
    assert reference_of(world.platform.session(), timeless, model).rows == 300


def test_a_model_whose_holdout_is_gone_makes_none(world: World, model: Model) -> None:
    gone = msgspec.structs.replace(model, holdout="dataset:default/parcels_holdout@9")
    with pytest.raises(NotFound):
        reference_of(world.platform.session(), toy_loop(), gone)


def test_a_history_holds_what_was_asked_in_a_span_in_order(world: World, model: Model) -> None:
    found = history(world, model)
    assert len(found.at) == 6 * A_DAY
    assert (np.diff(found.at) >= 0).all()
    assert (found.at[0], set(found.columns)) == (micros(OPENING), {"weight", "depot"})


def test_a_history_needs_the_column_that_its_label_names(world: World, model: Model) -> None:
    loop = toy_loop(label=el.Label("late", source="parcels", at="asked"))
    with pytest.raises(InvalidInput, match="no column 'asked'"):
        read_history(world.platform.session(), loop, model, OPENING, OPENING + timedelta(days=1))


def test_windows_of_a_history_without_drift_have_no_impact(world: World, model: Model) -> None:
    watch = DriftWatch(history(world, model), reference_of(world.platform.session(), toy_loop(), model), OPENING)
    windows = watch.until(OPENING + timedelta(days=6), np.full(6 * A_DAY, 0.3))
    assert len(windows) == 6
    assert max(window.impact for window in windows) == 0.0


def test_a_shifted_feature_moves_the_windows_impact_and_leads_it(world: World, model: Model) -> None:
    quiet = history(world, model)
    shifted = History(quiet.at, quiet.truth, quiet.columns | {"weight": quiet.columns["weight"] + 3.0})
    watch = DriftWatch(shifted, reference_of(world.platform.session(), toy_loop(), model), OPENING)
    windows = watch.until(OPENING + timedelta(days=3), np.full(6 * A_DAY, 0.3))
    assert [window.feature for window in windows] == ["weight"] * 3
    assert min(window.impact for window in windows) > 0.1


def test_windows_come_one_after_the_other_whenever_they_are_asked_for(world: World, model: Model) -> None:
    reference = reference_of(world.platform.session(), toy_loop(), model)
    daily, at_once = (DriftWatch(history(world, model), reference, OPENING) for _ in range(2))
    scores = np.full(6 * A_DAY, 0.3)
    for day in range(1, 7):
        found = daily.until(OPENING + timedelta(days=day), scores)
        assert len(found) == day
    assert found == at_once.until(OPENING + timedelta(days=6), scores)


def test_months_are_cut_to_the_span_and_meet_without_a_gap() -> None:
    months = list(months_of(OPENING, OPENING + timedelta(days=60), "America/New_York"))
    assert [name for name, _, _ in months] == ["2026-01", "2026-02", "2026-03"]
    assert (months[0][1], months[-1][2]) == (OPENING, OPENING + timedelta(days=60))
    assert [end for _, _, end in months[:-1]] == [start for _, start, _ in months[1:]]


def test_a_model_that_cannot_say_what_moved_a_score_is_watched_without_it() -> None:
    class Silent:
        inputs = (Field("weight", "float64"), Field("depot", "string"))

        def predict(self, columns: Mapping[str, np.ndarray]) -> np.ndarray:
            return columns["weight"]

        def contributions(self, columns: Mapping[str, np.ndarray]) -> np.ndarray:
            raise Refused("It cannot say.")

    assert contributions_of(Silent()) is None


def test_a_model_that_can_say_it_is_asked(world: World, model: Model) -> None:
    asked = contributions_of(load_model(world.platform.session(), model))
    assert asked is not None
    assert asked({"weight": np.ones(3), "depot": np.array(["a"] * 3, dtype=object)}).shape == (3, 2)
