"""Sealing: the points of a run's tails put into blocks, and what the ledger tells of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from blake3 import blake3
from sqlalchemy import select

from everloop.catalog.session import Session
from everloop.tracking import rows
from everloop.tracking.entities import MetricPoint, MetricsSealed, Points
from everloop.tracking.metrics import unpack
from everloop.tracking.points import arrays, metric_points, unpack_all
from everloop.tracking.rows import Held
from everloop.tracking.tables import metric_blocks

if TYPE_CHECKING:
    import numpy as np

    Columns = tuple[np.ndarray, np.ndarray, np.ndarray]
"""The steps, times (µs) and values of one key."""

POINTS = 4_096
BYTES = 1 << 16
"""Tails that hold so much are sealed."""


def due(held: Held) -> bool:
    """Whether the tails of a run, with what is about to be added to them, hold enough to be sealed."""
    fresh = sum(map(len, held.fresh))
    return held.tail_points + fresh >= POINTS or held.tail_bytes >= BYTES


def seal(session: Session, held: Held) -> None:
    """Put every point of a run that is in no block yet into blocks, and tell the ledger."""
    kept = (
        [points for tail in rows.tails_of(session, held.id) for points in unpack_all(tail)] if held.tail_points else []
    )
    series = by_key([*kept, *held.fresh])
    if not series:
        return
    for key, columns in series.items():
        _put(session, held.id, key, held.latest[key].points - len(columns[0]), columns)
    if held.tail_points:
        rows.drop_tails(session, held.id)
    held.fresh, held.tail_points, held.tail_bytes, held.changed = [], 0, 0, True
    counts = {key: len(columns[0]) for key, columns in series.items()}
    session.emit(MetricsSealed(subject=session.urn("run", held.id), points=counts, digest=digest_of(series)))


def digest_of(series: Mapping[str, Columns]) -> str:
    """The digest that the ledger keeps of points: of the keys in order, each with its steps, times and values."""
    hasher = blake3()
    for key in sorted(series):
        hasher.update(key.encode())
        for column in series[key]:
            hasher.update(column.tobytes())
    return hasher.hexdigest()


def by_key(parts: Sequence[Points]) -> dict[str, Columns]:
    """The points of several segments by key, in the order in which they were logged."""
    import numpy as np

    index: dict[str, int] = {}
    columns = []
    for part in parts:
        key, *others = arrays(part)
        known = np.array([index.setdefault(name, len(index)) for name in part.keys], np.int64)
        columns.append((known[key], *others))
    if not columns:
        return {}
    key, step, at, value = (np.concatenate(column) for column in zip(*columns, strict=True))
    if len(index) == 1:
        return {next(iter(index)): (step, at, value)}
    order = np.argsort(key, kind="stable")
    edges = np.cumsum(np.bincount(key, minlength=len(index)))[:-1]
    split = [np.split(column[order], edges) for column in (step, at, value)]
    return {name: (s, a, v) for name, s, a, v in zip(index, *split, strict=True) if len(s)}


def _put(session: Session, run: str, key: str, first: int, columns: Columns) -> None:
    count = len(columns[0])
    for start in range(0, count, POINTS):
        cut = [column[start : start + POINTS] for column in columns]
        block = {"run": run, "key": key, "first": first + start, "count": len(cut[0])}
        session.insert(metric_blocks, block | {"points": b"".join(column.tobytes() for column in cut)})


def points_in(session: Session, run: str, key: str) -> Iterator[MetricPoint]:
    """The points of a metric, in the order in which they were logged: first those in blocks, then those in tails."""
    mine = metric_blocks.c.project == session.project, metric_blocks.c.run == run, metric_blocks.c.key == key
    blocks = select(metric_blocks.c.count, metric_blocks.c.points).where(*mine).order_by(metric_blocks.c.first)
    for count, block in session.connection.execute(blocks).all():
        yield from unpack(key, count, block)
    for tail in rows.tails_of(session, run):
        for points in unpack_all(tail):
            if key in points.keys:
                yield from (point for point in metric_points(points) if point.key == key)
