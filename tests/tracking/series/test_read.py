"""Histories: in MLflow's order, page by page, whatever is logged meanwhile."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from everloop.app.platform import Platform
from everloop.catalog.session import Session
from everloop.kernel.errors import InvalidInput
from everloop.tracking import service
from everloop.tracking.series import read
from tests.tracking.series.conftest import KINDS, Wanted, cut, log, made, seal

if TYPE_CHECKING:
    from everloop.tracking.points import Columns


def column(*values: float) -> np.ndarray:
    return np.array(values, np.float64)


def points(*listed: tuple[int, int, float]) -> Columns:
    """Points, each as time, step and value."""
    at, step, value = zip(*listed, strict=True)
    return np.array(step, np.int64), np.array(at, np.int64), column(*value)


def shown(columns: Columns) -> list[tuple[int, int, str]]:
    step, at, value = columns
    return [(a, s, repr(v)) for s, a, v in zip(step.tolist(), at.tolist(), value.tolist(), strict=True)]


def pages(session: Session, run: str, limit: int, *, distinct: bool = False) -> list[tuple[int, int, str]]:
    found: list[tuple[int, int, str]] = []
    cursor = ""
    while True:
        page = read.history(session, run, "loss", after=cursor, limit=limit, distinct=distinct)
        assert len(page.columns[0]) <= limit
        found, cursor = found + shown(page.columns), page.cursor
        if not cursor:
            return found


@pytest.mark.slow
@given(
    st.sampled_from(KINDS), st.integers(0, 20_000), st.integers(0, 4_000), st.integers(100, 30_000), st.integers(0, 99)
)
@settings(deadline=None, max_examples=25)
def test_pages_put_together_are_the_history(
    shared_platform: Platform, kind: str, sealed: int, tail: int, limit: int, seed: int
) -> None:
    columns = made(Wanted(kind, sealed + tail, seed, 0.01))  # type: ignore[arg-type]  # one of KINDS
    early, late = cut(columns, [sealed])
    with shared_platform.session().begin() as session:
        run = service.start(session, "trial").id
        seal(session, run, cut(early, [sealed // 2]))
        log(session, run, late)
        whole = shown(read.history(session, run, "loss").columns)
        assert sorted(whole) == sorted(shown(columns))
        assert pages(session, run, limit) == whole
        once = pages(session, run, limit, distinct=True)
        assert once == list(dict.fromkeys(whole))


def test_points_come_by_time_then_step_then_value_with_nan_last(session: Session, run: str) -> None:
    log(session, run, points((2, 0, 1.0), (1, 5, 0.0), (1, 3, math.nan), (1, 3, 9.0), (1, 3, -1.0)))
    found = shown(read.history(session, run, "loss").columns)
    assert found == [(1, 3, "-1.0"), (1, 3, "9.0"), (1, 3, "nan"), (1, 5, "0.0"), (2, 0, "1.0")]


def test_the_very_same_point_is_there_as_often_as_it_was_logged_or_once(session: Session, run: str) -> None:
    for _ in range(3):
        log(session, run, points((1, 1, 0.5), (1, 1, math.nan)))
    assert len(read.history(session, run, "loss").columns[0]) == 6
    assert shown(read.history(session, run, "loss", distinct=True).columns) == [(1, 1, "0.5"), (1, 1, "nan")]


@pytest.mark.parametrize("limit", [1, 2, 3, 7])
def test_a_page_can_end_among_points_that_are_the_same(session: Session, run: str, limit: int) -> None:
    log(session, run, points(*[(1, 1, 0.5)] * 5, *[(1, 1, math.nan)] * 4))
    assert len(pages(session, run, limit)) == 9
    assert len(pages(session, run, limit, distinct=True)) == 2


def test_what_is_logged_between_two_pages_moves_nothing(session: Session, run: str) -> None:
    log(session, run, points((1, 1, 1.0), (2, 2, 2.0), (3, 3, 3.0)))
    first = read.history(session, run, "loss", limit=2)
    log(session, run, points((0, 0, 0.0), (4, 4, 4.0)))
    second = read.history(session, run, "loss", limit=2, after=first.cursor)
    assert shown(second.columns) == [(3, 3, "3.0"), (4, 4, "4.0")]


def test_a_page_stays_where_it_was_when_its_points_are_sealed(session: Session, run: str) -> None:
    log(session, run, made(Wanted("steady", 3_000, 1)))
    first = read.history(session, run, "loss", limit=1_000)
    service.finish(session, run)
    rest = read.history(session, run, "loss", after=first.cursor)
    assert (len(rest.columns[0]), rest.cursor) == (2_000, "")


@pytest.mark.parametrize("cursor", ["x", "00", "zz" * 32, "00" * 31, "é"])
def test_what_is_no_cursor_is_refused(session: Session, run: str, cursor: str) -> None:
    with pytest.raises(InvalidInput, match="no cursor"):
        read.history(session, run, "loss", after=cursor)


def test_a_metric_without_points_has_an_empty_history(session: Session, run: str) -> None:
    assert shown(read.history(session, run, "nothing").columns) == []
    assert pages(session, run, 10) == []
