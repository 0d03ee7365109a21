"""Sealing: the points of a run's tails put into blocks, and what the ledger tells of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from blake3 import blake3

from everloop.catalog.session import Session
from everloop.tracking import rows
from everloop.tracking.entities import MetricsSealed
from everloop.tracking.points import by_key, unpack_all
from everloop.tracking.rows import Held
from everloop.tracking.series.sealing import append

if TYPE_CHECKING:
    from everloop.tracking.points import Columns

POINTS = 16_384
"""Tails that hold so many are sealed: a run logs several metrics, and of each there should be something to encode."""
BYTES = 1 << 15
LOOSE = 8
"""So are tails of so many bytes, where a point takes more of them than these: calls of a point or two."""


def due(held: Held) -> bool:
    """Whether the tails of a run, with what is about to be added to them, hold enough to be sealed."""
    fresh = sum(map(len, held.fresh))
    loose = held.tail_bytes >= max(BYTES, LOOSE * held.tail_points)
    return loose or held.tail_points + fresh >= POINTS


def seal(session: Session, held: Held) -> None:
    """Put every point of a run that is in no block yet into blocks, and tell the ledger."""
    kept = (
        [points for tail in rows.tails_of(session, held.id) for points in unpack_all(tail)] if held.tail_points else []
    )
    series = by_key([*kept, *held.fresh])
    if not series:
        return
    before = {key: held.latest[key].points - len(columns[0]) for key, columns in series.items()}
    append(session, held.id, series, before)
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
