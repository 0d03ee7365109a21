"""Charts: every point counts once, in its own pixel or beside it, from summaries as from points."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from everloop.app.platform import Platform
from everloop.catalog.session import Session
from everloop.tracking import service
from everloop.tracking.series import drawing, pyramid
from everloop.tracking.series.blocks import FULL
from everloop.tracking.series.drawing import Drawn
from everloop.tracking.series.pyramid import Along, Spans
from everloop.tracking.series.stored import Stored
from tests.tracking.series.conftest import KINDS, Wanted, cut, log, made, seal

if TYPE_CHECKING:
    from everloop.tracking.points import Columns

WANTED = st.builds(
    Wanted, st.sampled_from(KINDS), st.integers(1, 60_000), st.integers(0, 99), st.sampled_from([0.0, 0.01, 1.0])
)


def along_of(columns: Columns, along: Along) -> Columns:
    """The axis, the other column, and the values."""
    step, at, value = columns
    return (step, at, value) if along == "step" else (at, step, value)


def pixels_of(axis: np.ndarray, low: int, high: int, pixels: int) -> np.ndarray:
    return np.minimum((axis - low).astype(np.float64) * pixels / max(1, high - low), pixels - 1).astype(int)


def naive(axis: np.ndarray, other: np.ndarray, value: np.ndarray) -> tuple[object, ...]:
    """What is drawn of points: how many, how many gaps, the least, the largest, the first, the last."""
    finite = value[np.isfinite(value)]
    order = np.lexsort((value, other, axis))
    ends = (finite.min(), finite.max()) if len(finite) else (np.nan, np.nan)
    return len(value), len(value) - len(finite), *ends, value[order[0]], value[order[-1]]


def shown(spans: Spans) -> list[tuple[object, ...]]:
    columns = spans.points, spans.gaps, spans.minimum, spans.maximum, spans.first, spans.last
    return list(zip(*columns, strict=True))


def draw(session: Session, run: str, along: Along, pixels: int, *ends: int) -> Drawn:
    drawn = drawing.draw(Stored(session, run), "loss", along, pixels, *ends)
    assert drawn is not None
    return drawn


@pytest.mark.slow
@given(WANTED, st.sampled_from(["step", "time"]), st.integers(1, 400), st.floats(0, 1))
@settings(deadline=None, max_examples=30)
@example(Wanted("steady", 300_000, 1), "step", 20, 0.999)
@example(Wanted("jitter", 300_000, 1, 0.01), "time", 7, 1.0)
@example(Wanted("resumed", 200_000, 1), "step", 50, 0.5)
def test_every_point_counts_in_its_pixel_or_beside_it(
    shared_platform: Platform, wanted: Wanted, along: Along, pixels: int, sealed: float
) -> None:
    columns, edge = made(wanted), int(wanted.count * sealed)
    axis, _, value = along_of(columns, along)
    with shared_platform.session().begin() as session:
        run = service.start(session, "trial").id
        for part in cut(columns, sorted((edge // 3, edge))):
            log(session, run, part)
        spans, low, high = draw(session, run, along, pixels)
    assert (low, high) == (axis.min(), axis.max())
    assert (spans.points.sum(), spans.gaps.sum()) == (len(value), (~np.isfinite(value)).sum())
    assert len(spans.points) <= pixels
    assert_envelope(pixels_of(axis, low, high, pixels), value, pixels_of(spans.high, low, high, pixels), spans)


def assert_envelope(pixel: np.ndarray, value: np.ndarray, drawn: np.ndarray, spans: Spans) -> None:
    """Each span's extremes are values of pixels nearby, and every value lies between those of spans nearby."""
    finite = np.isfinite(value)
    for at, least, most in zip(drawn, spans.minimum, spans.maximum, strict=True):
        near = value[finite & (np.abs(pixel - at) <= 2)]
        assert np.isnan(least) or (least in near and most in near)
    for at in np.unique(pixel):
        near, mine = np.abs(drawn - at) <= 2, value[finite & (pixel == at)]
        if len(mine):
            assert np.nanmin(spans.minimum[near]) <= mine.min() <= mine.max() <= np.nanmax(spans.maximum[near])


@pytest.mark.slow
@given(
    st.sampled_from(KINDS), st.integers(1, 4_000), st.integers(0, 99), st.sampled_from(["step", "time"]),
    st.integers(1, 400),
)  # fmt: skip
@settings(deadline=None, max_examples=30)
def test_few_points_are_each_in_their_own_pixel(
    shared_platform: Platform, kind: str, count: int, seed: int, along: Along, pixels: int
) -> None:
    columns = made(Wanted(kind, count, seed, 0.05))  # type: ignore[arg-type]  # one of KINDS
    axis, other, value = along_of(columns, along)
    with shared_platform.session().begin() as session:
        run = service.start(session, "trial").id
        seal(session, run, cut(columns, [count // 3, count // 2]))
        spans, low, high = draw(session, run, along, pixels)
    pixel = pixels_of(axis, low, high, pixels)
    expected = [naive(*(column[pixel == at] for column in (axis, other, value))) for at in np.unique(pixel)]
    assert np.array_equal(np.array(shown(spans), float), np.array(expected, float), equal_nan=True)


@pytest.mark.parametrize("pixels", [3, 100, 1_000])
@pytest.mark.parametrize("along", ["step", "time"])
def test_what_is_drawn_of_steady_points_is_what_lies_between_the_ends_of_each_span(
    session: Session, run: str, along: Along, pixels: int
) -> None:
    columns = made(Wanted("steady", 40 * FULL + 100, 3, 0.01))
    step, at, value = columns[0], columns[1] + np.arange(len(columns[0])), columns[2]
    seal(session, run, [(step, at, value)])
    axis, other, _ = along_of((step, at, value), along)
    spans = draw(session, run, along, pixels).spans
    edges = np.searchsorted(axis, spans.low)
    parts = [np.split(column, edges[1:]) for column in (axis, other, value)]
    expected = [naive(*part) for part in zip(*parts, strict=True)]
    assert np.array_equal(np.array(shown(spans), float), np.array(expected, float), equal_nan=True)


@given(st.integers(0, 200_000), st.integers(0, 200_000))
@settings(deadline=None, max_examples=25)
def test_a_stretch_has_the_points_between_its_ends_and_no_others(
    sealed_run: tuple[Platform, str], a: int, b: int
) -> None:
    platform, run = sealed_run
    low, high = min(a, b), max(a, b)
    with platform.session().begin(write=False) as session:
        found = drawing.draw(Stored(session, run), "loss", "step", 100, low, high)
    count = max(0, min(high, 150_000 - 1) - low + 1)
    assert (0 if found is None else found.spans.points.sum()) == count


@pytest.fixture(scope="module")
def sealed_run(shared_platform: Platform) -> tuple[Platform, str]:
    """A run with 150,000 points at the steps from 0 on."""
    with shared_platform.session().begin() as session:
        run = service.start(session, "trial").id
        seal(session, run, [made(Wanted("steady", 150_000, 1))])
    return shared_platform, run


def test_a_million_points_are_drawn_from_few_blocks(
    session: Session, run: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    seal(session, run, [made(Wanted("steady", 1_000_000, 1))])
    read: list[int] = []
    whole = Stored.whole
    monkeypatch.setattr(Stored, "whole", lambda self, key, numbers: read.extend(numbers) or whole(self, key, numbers))
    assert draw(session, run, "step", 1_000).spans.points.sum() == 1_000_000
    assert read == []
    draw(session, run, "step", 1_000, 500_000, 501_000)
    assert len(read) == 1


def test_late_points_are_drawn_where_they_belong(session: Session, run: str) -> None:
    step, at, value = made(Wanted("steady", 10_000, 1))
    seal(session, run, [(step, at, value)])
    log(session, run, (np.array([5_000]), at[:1], np.array([99.0])))
    spans, *_ = draw(session, run, "step", 10)
    assert spans.maximum.argmax() == 5
    assert spans.maximum.max() == 99.0


def test_steps_at_both_ends_of_64_bits_are_drawn(session: Session, run: str) -> None:
    ends = np.array([-(1 << 63), 0, (1 << 63) - 1])
    seal(session, run, [(ends, np.zeros(3, np.int64), np.array([1.0, 2.0, 3.0]))])
    assert draw(session, run, "step", 2).spans.points.tolist() == [1, 2]


def test_a_metric_without_points_there_is_not_drawn(session: Session, run: str) -> None:
    assert drawing.draw(Stored(session, run), "loss", "step", 10) is None
    seal(session, run, [made(Wanted("steady", 5_000, 1))])
    assert drawing.draw(Stored(session, run), "loss", "step", 10, 5_000, 6_000) is None


@given(WANTED, st.sampled_from(["step", "time"]))
@settings(deadline=None, max_examples=30)
def test_a_row_gives_back_its_spans(wanted: Wanted, along: Along) -> None:
    step, at, value = made(wanted)
    summary = pyramid.summed(step, at, value, np.arange(0, len(step), 1_000))
    expected = summary.steps if along == "step" else summary.times
    for one, other in zip(pyramid.unpacked([pyramid.packed(summary)] * 2, along), expected, strict=True):
        assert np.array_equal(one, np.concatenate([other, other]), equal_nan=True)
