"""Sealing: whole blocks never change, short ones stay few, and a crash in the middle changes nothing."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select, update

from everloop.app.platform import Platform
from everloop.catalog.session import Session
from everloop.kernel.errors import Corrupted
from everloop.tracking import service
from everloop.tracking.series import read, sealing
from everloop.tracking.series.blocks import FULL
from everloop.tracking.tables import metric_blocks, metric_levels
from tests.tracking.series.conftest import KINDS, Wanted, cut, log, made, seal

SIZES = st.lists(st.integers(1, 3_000) | st.sampled_from([1, 64, 4_096, 9_000]), min_size=1, max_size=8)


def counts(session: Session, run: str) -> list[tuple[int, int]]:
    query = select(metric_blocks.c.first, metric_blocks.c.count).where(metric_blocks.c.run == run)
    return [(first, count) for first, count in session.connection.execute(query.order_by(metric_blocks.c.first))]


def levels(session: Session, run: str) -> dict[int, int]:
    query = select(metric_levels.c.level, func.count()).where(metric_levels.c.run == run).group_by("level")
    return {level: rows for level, rows in session.connection.execute(query)}  # noqa: C416 - a Row is no tuple to mypy


@pytest.mark.slow
@given(SIZES)
@settings(deadline=None, max_examples=25)
def test_whole_blocks_stand_first_and_short_ones_behind_each_half_as_large(
    shared_platform: Platform, sizes: list[int]
) -> None:
    with shared_platform.session().begin() as session:
        run = service.start(session, "trial").id
        seal(session, run, cut(made(Wanted("steady", sum(sizes), 1)), np.cumsum(sizes)[:-1].tolist()))
        blocks = counts(session, run)
        assert [first for first, _ in blocks] == [0, *np.cumsum([count for _, count in blocks])[:-1]]
        short = [count for _, count in blocks if count < FULL]
        assert [count for _, count in blocks] == [FULL] * (len(blocks) - len(short)) + short
        assert all(before > 2 * after for before, after in pairwise(short))


@pytest.mark.slow
@given(SIZES, st.sampled_from(KINDS), st.integers(0, 99))
@settings(deadline=None, max_examples=25)
def test_every_point_is_there_once_in_whatever_parts_it_came(
    shared_platform: Platform, sizes: list[int], kind: str, seed: int
) -> None:
    columns = made(Wanted(kind, sum(sizes), seed, 0.01))  # type: ignore[arg-type]  # one of KINDS
    with shared_platform.session().begin() as session:
        run = service.start(session, "trial").id
        seal(session, run, cut(columns, np.cumsum(sizes)[:-1].tolist()))
        step, at, value = columns
        order = np.lexsort((value, step, at))
        found = read.history(session, run, "loss").columns
        assert all(np.array_equal(a, b[order], equal_nan=True) for a, b in zip(found, columns, strict=True))


def test_a_thousand_points_one_by_one_make_a_handful_of_blocks(session: Session, run: str) -> None:
    seal(session, run, cut(made(Wanted("steady", 1_000, 1)), range(1, 1_000)))
    assert len(counts(session, run)) <= 10


def test_each_level_has_a_row_for_so_many_of_the_one_below(session: Session, run: str) -> None:
    seal(session, run, [made(Wanted("steady", 70 * FULL + 5, 1))])
    assert levels(session, run) == {0: 70, 1: 2, 2: 1}


def test_levels_are_the_same_in_however_many_parts_points_came(session: Session, run: str) -> None:
    columns, other = made(Wanted("jitter", 70 * FULL, 1)), service.start(session, "trial").id
    seal(session, run, [columns])
    seal(session, other, cut(columns, range(3 * FULL, 70 * FULL, 3 * FULL)))
    rows = [
        session.connection.execute(
            select(*metric_levels.c["level", "place", "spans"])
            .where(metric_levels.c.run == id)
            .order_by(metric_levels.c.level, metric_levels.c.place)
        ).all()
        for id in (run, other)
    ]
    assert rows[0] == rows[1]


def sealed_and_crashed(platform: Platform, run: str) -> None:
    with platform.session().begin() as session:
        sealing.append(session, run, {"loss": made(Wanted("steady", 9_000, 2))}, {"loss": 0})
        raise ZeroDivisionError


def test_a_crash_in_the_middle_leaves_what_was_there(platform: Platform) -> None:
    with platform.session().begin() as session:
        run = service.start(session, "trial").id
        log(session, run, made(Wanted("steady", 3_000, 1)))
    for _ in range(3):
        with pytest.raises(ZeroDivisionError):
            sealed_and_crashed(platform, run)
    with platform.session().begin() as session:
        assert (counts(session, run), levels(session, run)) == ([], {})
        assert len(read.history(session, run, "loss").columns[0]) == 3_000
    platform.call("runs.finish", {"id": run})
    with platform.session().begin() as session:
        assert counts(session, run) == [(0, 3_000)]
        assert len(read.history(session, run, "loss").columns[0]) == 3_000


def test_several_metrics_are_sealed_at_once(session: Session, run: str) -> None:
    series = {f"m{number}": made(Wanted("steady", 100 + number, number)) for number in range(30)}
    sealing.append(session, run, series, dict.fromkeys(series, 0))
    for key, (_, _, value) in series.items():
        assert np.array_equal(read.history(session, run, key).columns[2], value)


@pytest.mark.parametrize(("table", "column"), [(metric_blocks, "points"), (metric_levels, "spans")])
def test_damage_is_told_and_not_drawn(session: Session, run: str, table: object, column: str) -> None:
    seal(session, run, [made(Wanted("steady", 2 * FULL, 1))])
    session.execute(update(table).values({column: b"damaged"}))  # type: ignore[arg-type]  # a Table
    with pytest.raises(Corrupted):
        read.history(session, run, "loss", limit=10)
