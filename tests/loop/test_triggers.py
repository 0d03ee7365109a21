"""When a loop asks for a new candidate."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import numpy as np

from everloop.kernel.clock import micros
from everloop.loop.declare import drift, every, new_data, performance
from everloop.loop.metrics import NOTHING, Outcomes
from everloop.loop.triggers import DriftWindow, Observation, fired, first_fired
from tests.loop.conftest import DAY, scored

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def seen(days: float = 60, **changes: object) -> Observation:
    since = NOW - timedelta(days=days)
    return Observation(**({"now": NOW, "since": since, "champion_since": since} | changes))  # type: ignore[arg-type]


def windows(*impacts: float) -> list[DriftWindow]:
    return [
        DriftWindow(NOW - DAY * age, impact, "wind")
        for age, impact in zip(range(len(impacts), 0, -1), impacts, strict=True)
    ]


def served(skill: float, days: int = 60, a_day: int = 200) -> Mapping[str, object]:
    at = micros(NOW) - np.arange(days * a_day, 0, -1) * (86_400_000_000 // a_day)
    truth = (np.random.default_rng(1).random(len(at)) < 0.25).astype(float)
    outcomes = Outcomes(at, scored(skill, truth, 2), truth)
    return {"outcomes": lambda start, end: outcomes.between(micros(start), micros(end)), "reference": {"roc_auc": 0.76}}


def test_a_schedule_fires_when_its_period_has_passed_and_not_a_moment_before() -> None:
    assert fired(every("30d"), seen(30)) == "30 days since the last candidate."
    assert fired(every("30d"), seen(29.999)) == ""


def test_drift_fires_when_its_impact_lasts_for_the_windows_that_were_asked_for() -> None:
    assert "0.050 (wind first)" in fired(drift(0.02, windows=3), seen(windows=windows(0.0, 0.03, 0.05, 0.02)))


def test_drift_that_came_and_went_does_not_fire() -> None:
    assert fired(drift(0.02, windows=3), seen(windows=windows(0.09, 0.09, 0.09, 0.01))) == ""


def test_too_few_windows_of_drift_do_not_fire() -> None:
    assert fired(drift(0.02, windows=3), seen(windows=windows(0.09, 0.09))) == ""


def test_drift_that_a_candidate_has_answered_already_does_not_fire_again() -> None:
    assert fired(drift(0.02, windows=3), seen(2.5, windows=windows(0.05, 0.05, 0.05, 0.05))) == ""


def test_a_drop_in_performance_fires_with_both_figures() -> None:
    reason = fired(performance("roc_auc", drop=0.03), seen(**served(skill=0.3)))
    assert "0.7600 at promotion" in reason
    assert "2800 labelled predictions" in reason


def test_performance_as_it_was_does_not_fire() -> None:
    assert fired(performance("roc_auc", drop=0.03), seen(**served(skill=1.0))) == ""


def test_a_loss_that_rises_is_a_drop_in_performance() -> None:
    worse = dict(served(skill=0.0)) | {"reference": {"log_loss": 0.3}}
    assert fired(performance("log_loss", drop=0.1), seen(**worse)) != ""
    assert fired(performance("log_loss", drop=0.1), seen(**(worse | {"reference": {"log_loss": 2.0}}))) == ""


def test_predictions_that_may_still_get_their_label_are_not_counted() -> None:
    asked: list[tuple[datetime, datetime]] = []

    def outcomes(start: datetime, end: datetime) -> Outcomes:
        asked.append((start, end))
        return NOTHING

    watching = seen(60, mature=7 * DAY, reference={"roc_auc": 1.0}, outcomes=outcomes)
    assert fired(performance(over="14d"), watching) == ""
    assert asked == [(NOW - 21 * DAY, NOW - 7 * DAY)]


def test_a_champion_is_not_judged_before_it_has_served_half_of_the_span() -> None:
    fresh = seen(60, **served(skill=0.0), champion_since=NOW - 6 * DAY)
    assert fired(performance(over="14d"), fresh) == ""


def test_too_few_labels_say_nothing() -> None:
    assert fired(performance(over="14d"), seen(**served(skill=0.0, a_day=20))) == ""


def test_new_rows_fire_when_there_are_enough() -> None:
    assert fired(new_data("flights", rows=100), seen(rows={"flights": 100})) == "flights has grown by 100 rows."
    assert fired(new_data("flights", rows=101), seen(rows={"flights": 100, "planes": 999})) == ""


def test_the_first_trigger_that_fires_gives_the_reason() -> None:
    kind, reason = first_fired([drift(0.01), every("30d"), new_data("flights")], seen(31, rows={"flights": 5}))
    assert (kind, reason) == ("schedule", "31 days since the last candidate.")
    assert first_fired([every("90d")], seen(31)) == ("", "")
