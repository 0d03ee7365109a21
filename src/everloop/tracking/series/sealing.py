"""Putting points into blocks: short blocks grow by merging, whole ones never change and raise the pyramid."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import msgspec

from everloop.catalog import driver
from everloop.catalog.session import Session
from everloop.tracking.series import blocks, pyramid
from everloop.tracking.series.blocks import FULL
from everloop.tracking.series.pyramid import FAN, Summary

if TYPE_CHECKING:
    from everloop.tracking.points import Columns


_SHORT = (  # The count is written out, since an index knows the short blocks by this condition.
    f"SELECT key, first, count, points FROM metric_blocks WHERE project = ? AND run = ? AND count < {FULL}"  # noqa: S608  # Nobody's input.
)
_SHORT_OF = f"{_SHORT} AND key = ?"
_LEVEL = "SELECT spans FROM metric_levels WHERE project = ? AND run = ? AND key = ? AND level = ? AND place = ?"
_DROP_BLOCK = "DELETE FROM metric_blocks WHERE project = ? AND run = ? AND key = ? AND first = ?"
_ADD_BLOCK = "INSERT INTO metric_blocks (project, run, key, first, count, points) VALUES (?, ?, ?, ?, ?, ?)"
_PUT_LEVEL = (
    "INSERT INTO metric_levels (project, run, key, level, place, spans) VALUES (?, ?, ?, ?, ?, ?)"
    " ON CONFLICT (project, run, key, level, place) DO UPDATE SET spans = excluded.spans"
)
_Row = tuple[str, str, str, int]


class Block(msgspec.Struct, frozen=True):
    """A block as its row holds it."""

    key: str
    first: int
    count: int
    points: bytes


def append(session: Session, run: str, series: Mapping[str, Columns], before: Mapping[str, int]) -> None:
    """Put points of a run into blocks, behind those that it has of each key already (`before`), in this transaction.

    New points swallow the short blocks before them that hold at most twice as many: so a point is written again some
    ten times at most, however few come at once, and a series has a dozen short blocks at most.
    """
    short = short_blocks(session, run)
    gone: list[_Row] = []
    made: list[dict[str, object]] = []
    rows: list[dict[str, object]] = []
    for key, columns in series.items():
        swallowed, merged = _merged(short.get(key, []), columns)
        first = before[key] - sum(block.count for block in swallowed)
        gone += [(session.project, run, key, block.first) for block in swallowed]
        made += [_named(session, run, key) | block for block in _cut(first, merged)]
        rows += list(_raised(session, run, key, first // FULL, merged))
    driver.run(session.connection, _DROP_BLOCK, gone)
    driver.run(session.connection, _ADD_BLOCK, [tuple(block.values()) for block in made])
    driver.run(session.connection, _PUT_LEVEL, [tuple(row.values()) for row in rows])


def begun(
    session: Session, run: str, series: Mapping[str, Columns]
) -> tuple[list[dict[str, object]], list[dict[str, object]]]:
    """The rows of blocks and of the pyramid that hold all points of a run which has none yet: for many runs at once."""
    made: list[dict[str, object]] = []
    levels: list[dict[str, object]] = []
    for key, columns in series.items():
        whole = ordered(columns)
        made += [_named(session, run, key) | block for block in _cut(0, whole)]
        levels += _raised(session, run, key, 0, whole)
    return made, levels


def ordered(columns: Columns) -> Columns:
    """Points by time, then step, then value, NaN last: the order in which they are kept and read."""
    import numpy as np

    step, at, value = columns
    if pyramid.rising(at, step, value):
        return columns
    # Mostly a few runs in order that have to be merged, which a stable sort by one column does in linear time.
    order = np.argsort(at, kind="stable")
    step, at, value = step[order], at[order], value[order]
    if pyramid.rising(at, step, value):
        return step, at, value
    order = np.lexsort((value, step, at))
    return step[order], at[order], value[order]


def joined(parts: list[Columns]) -> Columns:
    """The points of several parts, one behind the other."""
    import numpy as np

    if len(parts) == 1:
        return parts[0]
    step, at, value = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    return step, at, value


def short_blocks(session: Session, run: str, *keys: str) -> Mapping[str, list[Block]]:
    """The short blocks of a run (of some keys, where they are named) by key, in order."""
    mine, connection = (session.project, run), session.connection
    rows = [] if keys else driver.asked(connection, _SHORT, mine)
    for key in keys:
        rows += driver.asked(connection, _SHORT_OF, (*mine, key))
    found = defaultdict(list)
    for row in rows:
        found[row[0]].append(Block(*row))
    for of_key in found.values():
        of_key.sort(key=lambda block: block.first)
    return found


def _merged(short: list[Block], columns: Columns) -> tuple[list[Block], Columns]:
    """The short blocks that new points swallow, and the points of all of them in order."""
    size, start = len(columns[0]), len(short)
    while start and short[start - 1].count <= 2 * size:
        start -= 1
        size += short[start].count
    parts = [blocks.decode(block.points) for block in short[start:]]
    return short[start:], ordered(joined([*parts, columns]))


def _cut(first: int, columns: Columns) -> Iterator[dict[str, object]]:
    for start in range(0, len(columns[0]), FULL):
        step, at, value = (column[start : start + FULL] for column in columns)
        yield {"first": first + start, "count": len(step), "points": blocks.encode(step, at, value)}


def _raised(session: Session, run: str, key: str, place: int, columns: Columns) -> Iterator[dict[str, object]]:
    """The rows of the pyramid that change when whole blocks are added from a place on."""
    import numpy as np

    whole = len(columns[0]) // FULL * FULL
    if not whole:
        return
    step, at, value = (column[:whole] for column in columns)
    spans, level, start = pyramid.summed(step, at, value, np.arange(0, whole, pyramid.FINEST)), 0, place * FAN
    while len(spans.steps.points):
        size = pyramid.row_size(level)
        row, held = divmod(start, size)
        if held:
            spans = _both(_read(session, run, key, level, row), spans)
        for number, begin in enumerate(range(0, len(spans.steps.points), size), row):
            packed = pyramid.packed(_part(spans, begin, begin + size))
            yield _named(session, run, key) | {"level": level, "place": number, "spans": packed}
        # Groups that were whole before have their span in the next level already.
        level, start = level + 1, start // FAN
        spans = _grouped(_part(spans, start * FAN - row * size, len(spans.steps.points)))


def _grouped(spans: Summary) -> Summary:
    """The spans of the next level over these, as many as are whole."""
    import numpy as np

    usable = len(spans.steps.points) // FAN * FAN
    if not usable:
        return _part(spans, 0, 0)
    groups, chosen = np.arange(0, usable, FAN), _part(spans, 0, usable)
    return Summary(pyramid.merged(chosen.steps, groups), pyramid.merged(chosen.times, groups))


def _read(session: Session, run: str, key: str, level: int, place: int) -> Summary:
    [(row,)] = driver.asked(session.connection, _LEVEL, (session.project, run, key, level, place))
    return Summary(pyramid.unpacked([row], "step"), pyramid.unpacked([row], "time"))


def _both(one: Summary, other: Summary) -> Summary:
    return Summary(pyramid.joined([one.steps, other.steps]), pyramid.joined([one.times, other.times]))


def _part(summary: Summary, start: int, end: int) -> Summary:
    return Summary(pyramid.taken(summary.steps, slice(start, end)), pyramid.taken(summary.times, slice(start, end)))


def _named(session: Session, run: str, key: str) -> dict[str, object]:
    return {"project": session.project, "run": run, "key": key}
