"""What one can ask of points: columns page by page, and charts of several metrics of several runs."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

import pytest

from everloop.catalog.session import Session
from everloop.kernel.clock import SimulatedClock, micros
from everloop.kernel.errors import InvalidInput, NotFound
from everloop.tracking import service as runs
from everloop.tracking.entities import MetricPoint
from everloop.tracking.series import service
from tests.tracking.series.conftest import Wanted, log, made, seal

AT = datetime(2026, 1, 1, tzinfo=UTC)


def logged(session: Session, run: str, *values: float, key: str = "loss") -> None:
    """Values at the steps from 0 on, ten seconds apart."""
    points = (MetricPoint(key, value, step, AT + timedelta(seconds=10 * step)) for step, value in enumerate(values))
    runs.log(session, run, tuple(points))


def test_points_are_columns_with_the_cursor_of_the_next_page(session: Session, run: str) -> None:
    logged(session, run, 1.0, 2.0, 3.0)
    first = service.points(session, run, "loss", limit=2)
    assert (first.step, first.value) == ([0, 1], [1.0, 2.0])
    assert first.at == [micros(AT), micros(AT) + 10_000_000]
    rest = service.points(session, run, "loss", limit=2, after=first.after)
    assert (rest.step, rest.after) == ([2], "")


def test_numbers_that_json_has_no_word_for_are_told_by_their_place(session: Session, run: str) -> None:
    logged(session, run, math.nan, 1.0, math.inf, -math.inf)
    found = service.points(session, run, "loss")
    assert found.value == [None, 1.0, None, None]
    assert found.special == {0: "NaN", 2: "Infinity", 3: "-Infinity"}


def test_a_chart_has_the_least_the_largest_the_first_and_the_last_value_of_each_pixel(
    session: Session, run: str
) -> None:
    logged(session, run, 1.0, 9.0, math.nan, 4.0)
    chart = service.chart(session, run, "loss", points=2)
    assert (chart.minimum, chart.maximum) == ([1.0, 4.0], [9.0, 4.0])
    assert (chart.first, chart.last) == ([1.0, None], [9.0, 4.0])
    assert (chart.count, chart.gaps, chart.points) == ([2, 2], [0, 1], 4)
    assert (chart.step, chart.low, chart.high) == ([1, 3], 0.0, 3.0)


def test_a_pixel_of_gaps_has_no_extremes(session: Session, run: str) -> None:
    logged(session, run, math.nan, math.inf)
    chart = service.chart(session, run, "loss", points=1)
    assert (chart.minimum, chart.maximum, chart.last, chart.gaps) == ([None], [None], [None], [2])


@pytest.mark.parametrize(
    ("axis", "low", "high"), [("time", AT.timestamp(), AT.timestamp() + 30), ("relative", 0.0, 30.0)]
)
def test_a_chart_is_along_time_or_the_time_since_the_start(
    session: Session, run: str, axis: str, low: float, high: float
) -> None:
    logged(session, run, 1.0, 2.0, 3.0, 4.0)
    chart = service.chart(session, run, "loss", axis=axis)  # type: ignore[arg-type]  # an Axis
    assert (chart.low, chart.high, chart.last) == (low, high, [1.0, 2.0, 3.0, 4.0])
    zoomed = service.chart(session, run, "loss", axis=axis, low=low + 5, high=low + 20)  # type: ignore[arg-type]
    assert zoomed.last == [2.0, 3.0]


def test_several_metrics_of_several_runs_are_drawn_at_once(session: Session, run: str) -> None:
    other = runs.start(session, "trial").id
    logged(session, run, 1.0)
    logged(session, run, 2.0, key="auc")
    logged(session, other, 3.0)
    charts = service.charts(session, (run, other, run), ("loss", "auc"))
    assert [(chart.run, chart.key, chart.last) for chart in charts] == [
        (run, "loss", [1.0]), (run, "auc", [2.0]), (other, "loss", [3.0]),
    ]  # fmt: skip


def test_a_metric_without_points_is_an_empty_chart_and_none_among_several(session: Session, run: str) -> None:
    assert service.chart(session, run, "loss").points == 0
    assert service.charts(session, (run,), ("loss",)) == []


@pytest.mark.parametrize("count", [3, 5_000, 300_000])
def test_a_chart_of_however_many_points_has_as_many_as_were_asked_for(session: Session, run: str, count: int) -> None:
    seal(session, run, [made(Wanted("steady", count, 1))])
    chart = service.chart(session, run, "loss", points=50)
    assert (len(chart.step), chart.points) == (min(count, 50), count)


def test_what_lies_in_blocks_and_what_lies_in_tails_is_one_chart(
    session: Session, run: str, clock: SimulatedClock
) -> None:
    seal(session, run, [made(Wanted("steady", 5_000, 1))])
    log(session, run, made(Wanted("steady", 7, 2)))
    assert service.chart(session, run, "loss").points == 5_007


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"points": 0}, "1 to 10,000 points, not 0"),
        ({"points": 10_001}, "not 10,001"),
        ({"low": 5.0, "high": 1.0}, "between 5.0 and 1.0"),
        ({"low": math.nan}, "cannot end at nan"),
        ({"high": math.inf}, "cannot end at inf"),
    ],
)
def test_what_cannot_be_drawn_is_refused(session: Session, run: str, asked: dict[str, float], said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        service.chart(session, run, "loss", **asked)  # type: ignore[arg-type]  # one of its parameters


def test_ends_beyond_64_bits_are_as_far_as_steps_go(session: Session, run: str) -> None:
    logged(session, run, 1.0, 2.0)
    assert service.chart(session, run, "loss", low=-1e300, high=1e300).points == 2


def test_a_run_that_is_not_there_is_named(session: Session) -> None:
    for ask in (service.points, service.chart):
        with pytest.raises(NotFound, match="no run 'elsewhere'"):
            ask(session, "elsewhere", "loss")  # type: ignore[operator]


def test_a_page_of_less_than_nothing_is_refused(session: Session, run: str) -> None:
    with pytest.raises(InvalidInput, match="-1 points"):
        service.points(session, run, "loss", limit=-1)


def test_more_charts_than_can_be_looked_at_are_refused(session: Session, run: str) -> None:
    with pytest.raises(InvalidInput, match="1,001"):
        service.charts(session, (run,), tuple(map(str, range(1_001))))
