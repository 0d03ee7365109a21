"""History as a simulation goes through it: what was asked, what was known of it then, and what came true."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np

from everloop.catalog.session import Session
from everloop.datasets.content import read_table, snapshot_of
from everloop.datasets.engine import TableEngine
from everloop.features import service as features
from everloop.features.pointintime import join
from everloop.kernel.clock import micros
from everloop.kernel.errors import InvalidInput
from everloop.loop.entities import Loop
from everloop.registry.columns import columns_of
from everloop.registry.entities import Model

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

    Columns = dict[str, NDArray[np.generic]]

TRUTH = "everloop:truth"
"""The column that a label's expression becomes."""


@dataclass(frozen=True)
class History:
    """Rows in order of the time that they were asked about (µs); the truth is NaN where none is known."""

    at: NDArray[np.int64]
    truth: NDArray[np.float64]
    columns: Columns

    def between(self, start: datetime, end: datetime) -> slice:
        """The rows of [start, end)."""
        first, last = np.searchsorted(self.at, (micros(start), micros(end)))
        return slice(int(first), int(last))


def read_history(session: Session, loop: Loop, model: Model, start: datetime, end: datetime) -> History:
    """What was asked in [start, end), out of the label's source, joined point in time once for all policies.

    Raises:
        InvalidInput: the loop's label does not say where the truth of the past is, or nothing happened in that time.
    """
    label = loop.label
    if not label.source or not label.at:
        raise InvalidInput(
            f"The label of loop {loop.name} names no source and no time of prediction, so there is no history.",
            hint='Declare el.Label("late", source="flights", at="predicted_at", …).',
        )
    rows = _labelled(session, loop)
    moments = moments_of(rows, label.at)
    wanted = np.flatnonzero((moments >= micros(start)) & (moments < micros(end)))
    wanted = wanted[np.argsort(moments[wanted], kind="stable")]
    if len(wanted) == 0:
        raise InvalidInput(f"Nothing was asked between {start:%Y-%m-%d} and {end:%Y-%m-%d}.", hint="Choose other days.")
    taken = rows.take(wanted)
    if model.features:
        with session.begin(write=False) as unit:
            pinned = features.pin(unit, model.features, model.features_version)
        taken = join(session, taken, label.at, pinned)
    inputs = [field.name for field in model.signature.inputs]
    truth = taken[TRUTH].to_numpy(zero_copy_only=False).astype(np.float64)
    return History(moments[wanted], truth, columns_of(taken, inputs))


def months_of(start: datetime, end: datetime, timezone: str) -> Iterator[tuple[str, datetime, datetime]]:
    """The calendar months of a time zone that [start, end) touches, as `2013-03`, cut to that span.

    Raises:
        InvalidInput: there is no such time zone.
    """
    try:
        zone = ZoneInfo(timezone)
    except (ZoneInfoNotFoundError, ValueError):
        raise InvalidInput(
            f"There is no time zone {timezone!r}.", hint="Write UTC, or such as America/New_York."
        ) from None
    at = start.astimezone(zone).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    while at < end:
        following = at.replace(year=at.year + at.month // 12, month=at.month % 12 + 1)
        yield f"{at:%Y-%m}", max(at, start), min(following, end)
        at = following


def _labelled(session: Session, loop: Loop) -> pa.Table:
    """The source with the truth beside each row."""
    source = loop.label.source
    table = read_table(session, snapshot_of(session, source))
    query = f'SELECT *, CAST(({loop.label.expression}) AS DOUBLE) AS "{TRUTH}" FROM "{source}"'  # noqa: S608
    return session.ports.get(TableEngine).query(query, {source: table})


def moments_of(rows: pa.Table, column: str) -> NDArray[np.int64]:
    """The times of a column, in µs; a missing one is before all others.

    Raises:
        InvalidInput: there is no such column.
    """
    import pyarrow as pa

    if column not in rows.column_names:
        raise InvalidInput(
            f"There is no column {column!r} to say when each row was asked.",
            hint=f"It has {', '.join(rows.column_names)}.",
        )
    stamps = rows[column].cast(pa.timestamp("us", "UTC")).cast(pa.int64()).fill_null(np.iinfo(np.int64).min)
    moments: NDArray[np.int64] = stamps.to_numpy()
    return moments
