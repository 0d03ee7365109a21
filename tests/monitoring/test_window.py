"""Windows: what flows in comes out as reports, the same however it was cut and whatever crashed meanwhile."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pyarrow as pa
import pytest
from msgspec.structs import replace

from everloop.monitoring.entities import MonitorDefinition, Reference, WindowReport
from everloop.monitoring.window import WindowMonitor
from tests.monitoring.logs import DAY, ROWS, START, Columns, contributions, days, logged, outputs, told, truth

HOUR = timedelta(hours=1)
Day = tuple[pa.RecordBatch, pa.RecordBatch]


def monitor(reference: Reference, last: WindowReport | None = None, **settings: object) -> WindowMonitor:
    return WindowMonitor("delay", (reference,), MonitorDefinition(**settings), contributions, last)


def day(number: int, columns: Columns, random: np.random.Generator) -> Day:
    batch = logged(columns, START + number * DAY)
    return batch, told(batch, truth(columns, random))


def quiet_days(count: int, seed: int = 5, **world: float) -> list[Day]:
    random = np.random.default_rng(seed)
    return [day(number, days(1, random, **world), random) for number in range(count)]


def watched(reference: Reference, logs: list[Day], until: int) -> list[WindowReport]:
    """All reports of some days, asked for at midnight."""
    watching = monitor(reference)
    reports = []
    for number in range(until):
        if number < len(logs):
            watching.predictions([logs[number][0]])
            watching.labels([logs[number][1]])
        reports += watching.advance(START + (number + 1) * DAY)
    return reports


def test_a_window_is_reported_when_it_ends_and_again_when_its_labels_are_there(reference: Reference) -> None:
    reports = watched(reference, quiet_days(1), 2)
    assert [(one.start, one.final, one.performance is not None) for one in reports] == [
        (START, False, False),
        (START, True, True),
    ]
    assert (reports[1].rows, reports[1].labels, reports[1].model_version) == (ROWS, ROWS, 3)


def test_quiet_days_have_no_drift_and_the_performance_of_the_reference(reference: Reference) -> None:
    reports = watched(reference, quiet_days(20), 21)
    assert not any(one.drifted for report in reports for one in (*report.drift, *report.performance_drift))
    assert not any(one.drifted for report in reports for one in report.attribution)
    areas = [one.performance.roc_auc for one in reports if one.performance]
    assert reference.performance is not None
    assert np.mean(areas) == pytest.approx(reference.performance.roc_auc, abs=0.02)
    assert {report.impact for report in reports} == {0.0}


def test_drift_is_ranked_by_impact_and_summed(reference: Reference) -> None:
    report = watched(reference, quiet_days(1, wind=1.0, missing=0.2), 1)[0]
    assert [one.feature for one in report.drift if one.drifted] == ["wind", "seats"]
    assert report.impact == pytest.approx(sum(one.impact for one in report.drift))
    assert report.impact > 0.1
    assert report.prediction is not None
    assert report.prediction.drifted


def test_a_model_that_has_become_worse_is_told_by_its_labels(reference: Reference) -> None:
    random = np.random.default_rng(6)
    logs = []
    for number in range(3):
        batch = logged(days(1, random), START + number * DAY)
        logs.append((batch, told(batch, (random.random(ROWS) < 0.3).astype(float))))
    worse = watched(reference, logs, 4)[-1].performance_drift
    assert {one.feature for one in worse if one.drifted} == {"roc_auc", "log_loss"}
    assert all(one.effect > 0 for one in worse)


def test_a_better_model_does_not_alarm(reference: Reference) -> None:
    random = np.random.default_rng(7)
    logs = []
    for number in range(5):
        columns = days(1, random)
        batch = logged(columns, START + number * DAY)
        logs.append((batch, told(batch, (outputs(columns) > 0.3).astype(float))))
    assert not any(one.drifted for report in watched(reference, logs, 6) for one in report.performance_drift)


def test_attribution_is_watched_on_a_sample(reference: Reference) -> None:
    random = np.random.default_rng(8)
    logs = [day(n, days(1, random) | {"wind": np.zeros(ROWS)}, random) for n in range(10)]
    last = watched(reference, logs, 10)[-2]
    wind = last.attribution[0]
    assert (wind.feature, wind.share, wind.drifted) == ("wind", 0.0, True)
    assert wind.reference_share > 0.4


def test_the_same_requests_are_sampled_whatever_their_predictions_are_called(reference: Reference) -> None:
    batch = quiet_days(1)[0][0]
    place = batch.schema.get_field_index("prediction_id")
    again = batch.set_column(place, "prediction_id", pa.array([f"other-{number}" for number in range(ROWS)]))
    reports = []
    for one in (batch, again):
        watching = monitor(reference, sample=50)
        watching.predictions([one])
        reports += watching.advance(START + DAY)
    assert reports[0].attribution == reports[1].attribution != ()


def test_small_batches_and_whole_days_give_the_same_reports(reference: Reference) -> None:
    logs = quiet_days(3, wind=0.3)
    whole, cut = watched(reference, logs, 4), []
    watching = monitor(reference)
    for number, (batch, labels) in enumerate(logs):
        for row in range(0, ROWS, 37):
            watching.predictions([batch.slice(row, 37)])
            watching.labels([labels.slice(row, 37)])
            cut += watching.advance(START + number * DAY + row * timedelta(minutes=4))
        cut += watching.advance(START + (number + 1) * DAY)
    cut += watching.advance(START + 4 * DAY)
    assert [(one.start, one.final) for one in cut] == [(one.start, one.final) for one in whole]
    for one, other in zip(cut, whole, strict=True):
        assert [s.evidence for s in one.drift] == pytest.approx([s.evidence for s in other.drift], abs=1e-6)
        assert one.performance == other.performance


def test_a_monitor_rebuilt_after_a_crash_goes_on_as_if_nothing_had_happened(reference: Reference) -> None:
    logs = quiet_days(8, wind=0.2)
    lived = watched(reference, logs, 9)
    crash = 5
    last = next(one for one in reversed(watched(reference, logs, crash)) if one.final)
    again = monitor(reference, last)
    again.predictions([batch for batch, _ in logs[:crash]])
    again.labels([labels for _, labels in logs[:crash]])
    reports = again.advance(START + crash * DAY)
    for number in range(crash, 9):
        if number < 8:
            again.predictions([logs[number][0]])
            again.labels([logs[number][1]])
        reports += again.advance(START + (number + 1) * DAY)
    assert reports == [one for one in lived if one.start > last.start]


def test_shadows_are_not_seen_and_a_canary_counts_for_features_only(reference: Reference) -> None:
    random = np.random.default_rng(9)
    watching = monitor(reference)
    for role in ("stable", "canary", "shadow"):
        watching.predictions([logged(days(1, random), START, role, tag=role)])
    report = watching.advance(START + DAY)[0]
    assert report.rows == 2 * ROWS
    batch = logged(days(1, random), START, "canary", tag="canary")
    watching.labels([told(batch, np.ones(ROWS))])
    assert watching.advance(START + 2 * DAY)[0].labels == 0


def test_rows_of_closed_windows_come_too_late(reference: Reference) -> None:
    watching = monitor(reference)
    (batch, _) = quiet_days(1)[0]
    watching.predictions([batch.slice(0, 100)])
    assert watching.advance(START + DAY)[0].rows == 100
    watching.predictions([batch.slice(100)])
    assert [one.rows for one in watching.advance(START + 3 * DAY)] == [100]


def test_days_without_rows_are_not_reported(reference: Reference) -> None:
    assert monitor(reference).advance(START + 30 * DAY) == []


def test_too_few_rows_are_reported_without_a_judgement(reference: Reference) -> None:
    watching = monitor(reference)
    watching.predictions([quiet_days(1)[0][0].slice(0, 10)])
    report = watching.advance(START + DAY)[0]
    assert (report.rows, report.drift, report.prediction) == (10, (), None)


def test_a_new_reference_holds_for_windows_that_end_after_it_was_set(reference: Reference) -> None:
    watching = monitor(reference)
    logs = quiet_days(3)
    watching.predictions([logs[0][0], logs[1][0]])
    watching.use(replace(reference, since=START + DAY + 6 * HOUR), contributions)
    reports = watching.advance(START + 2 * DAY)
    assert [one.reference for one in reports if not one.final] == [reference.since, START + DAY + 6 * HOUR]


def test_an_endpoint_without_a_reference_still_has_its_performance_measured() -> None:
    watching = WindowMonitor("delay", ())
    batch, labels = quiet_days(1)[0]
    watching.predictions([batch])
    watching.labels([labels])
    assert [one.performance is not None for one in watching.advance(START + 3 * DAY)] == [False, True]


def test_a_feature_that_the_log_no_longer_holds_is_missing_everywhere(reference: Reference) -> None:
    watching = monitor(reference)
    batch = quiet_days(1)[0][0]
    watching.predictions([batch.drop_columns(["feature:rain"])])
    found = {one.feature: one for one in watching.advance(START + DAY)[0].drift}
    assert found["rain"].drifted


def test_a_large_window_is_folded_as_it_grows(reference: Reference) -> None:
    random = np.random.default_rng(10)
    watching, whole = monitor(reference), []
    for part in range(80):
        batch = logged(days(1, random), START, tag=f"-{part}")
        watching.predictions([batch])
        whole.append(batch)
    assert watching.advance(START + DAY)[0].rows == 80 * ROWS


def test_old_labels_are_forgotten(reference: Reference) -> None:
    watching = monitor(reference)
    for batch, labels in quiet_days(10):
        watching.predictions([batch])
        watching.labels([labels])
    watching.advance(START + 12 * DAY)
    assert len(watching._labels) <= 2 * ROWS
