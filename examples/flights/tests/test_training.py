"""Training: nothing is learned from what was not known yet, and the same rows give the same model."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from flights.sabotage import backwards
from flights.training import LABEL, LABEL_DELAY, Split, backtest, evaluate, train
from flights.world import FIRST_DAY

import everloop as el
from everloop.tracking.recording import recording


@pytest.fixture(autouse=True)
def run(weeks: el.Everloop, schedule: pa.Table) -> Iterator[str]:
    """The run that the steps log to."""
    started = weeks.runs.start("tests")
    with recording(weeks.session(), started.id):
        yield started.id


def greatest(rows: pa.Table, column: str) -> datetime:
    """The last moment in a column."""
    found: datetime = pc.max(rows[column]).as_py()
    return found


def test_examples_are_flights_whose_delay_was_known(known: el.Snapshot, since: datetime) -> None:
    rows = el.read_table(known)
    assert greatest(rows, "landed_at") <= FIRST_DAY - LABEL_DELAY
    assert pc.min(rows["predicted_at"]).as_py() >= since
    assert rows[LABEL].null_count == 0


def test_examples_know_no_flight_of_the_day_that_they_are_made_on_before_it_landed(known: el.Snapshot) -> None:
    schedule = el.read_table(el.snapshot("schedule"))
    asked = pc.sum(pc.less(schedule["predicted_at"], pa.scalar(FIRST_DAY, schedule["predicted_at"].type))).as_py()
    assert 0 < el.read_table(known).num_rows < asked


def test_training_knows_nothing_of_the_time_that_it_is_judged_on(parts: Split, cut: datetime) -> None:
    training, holdout = el.read_table(parts.training), el.read_table(parts.holdout)
    assert greatest(training, "landed_at") <= cut - LABEL_DELAY < pc.min(holdout["predicted_at"]).as_py()
    assert not set(training["flight_id"].to_pylist()) & set(holdout["flight_id"].to_pylist())


def test_a_flight_on_its_way_at_the_cut_is_in_neither_part(known: el.Snapshot, parts: Split, cut: datetime) -> None:
    rows = el.read_table(known)
    apart = rows.num_rows - parts.training.rows - parts.holdout.rows
    asked, landed = rows["predicted_at"].to_pylist(), rows["landed_at"].to_pylist()
    assert apart == sum(one <= cut and other > cut - LABEL_DELAY for one, other in zip(asked, landed, strict=True)) > 0


def test_what_a_model_was_trained_with_is_tracked(weeks: el.Everloop, run: str, parts: Split) -> None:
    with recording(weeks.session(), run):
        train(parts, el.pin("delay"), leaves=5)
    assert weeks.runs.get(run).parameters["leaves"] == "5"
    assert weeks.runs.get(run).parameters["rows"] == str(parts.training.rows)


def test_the_same_examples_give_the_same_model(parts: Split) -> None:
    first, again = (train(parts, el.pin("delay")) for _ in range(2))
    assert first.digest == again.digest
    assert first.training == el.urn_of(parts.training)


def test_an_evaluation_looks_at_each_carrier_and_origin(model: el.Model, parts: Split) -> None:
    found = evaluate(model, parts)
    assert found.n == parts.holdout.rows
    assert 0.6 < found.roc_auc < 0.85
    assert {"EWR", "JFK", "LGA"} <= {one.value for one in found.slices if one.column == "origin"}
    assert sum(one.n for one in found.slices if one.column == "origin") == found.n


def test_a_backtest_learns_from_more_each_time(known: el.Snapshot, since: datetime) -> None:
    folds = backtest(known, el.pin("delay"))
    assert [fold.rows for fold in folds] == sorted({fold.rows for fold in folds})
    assert all(since < fold.at < FIRST_DAY and 0.5 < fold.roc_auc < 0.9 for fold in folds)


class TestSabotage:
    def test_late_and_punctual_are_exchanged_in_training_alone(self, parts: Split) -> None:
        planted = backwards(parts)
        before, after = (el.read_table(one.training)[LABEL].to_numpy() for one in (parts, planted))
        np.testing.assert_array_equal(after, 1 - before)
        assert planted.holdout == parts.holdout

    def test_a_model_that_learned_backwards_is_worse_than_chance(self, parts: Split) -> None:
        planted = backwards(parts)
        assert evaluate(train(planted, el.pin("delay")), planted).roc_auc < 0.5
