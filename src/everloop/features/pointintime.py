"""The point-in-time join: every row gets what was known of its entities at its own moment, and nothing later."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pyarrow as pa

from everloop.catalog.session import Session
from everloop.features.entities import PinnedFeatures, column_of
from everloop.features.keys import NULL
from everloop.features.timeline import Timeline, timeline, times
from everloop.kernel.errors import InvalidInput


def join(session: Session, rows: pa.Table, at: str, pinned: PinnedFeatures) -> pa.Table:
    """The rows, in their order and each once, with a column `view.feature` for every feature as known at column `at`.

    Looks backward, an equal time visible; a row of a source exactly as old as the TTL still counts; of equal times the
    source's last row wins, even if its value is missing; a missing key or moment joins nothing. Costs about 1 µs a row
    and feature; the sorted sources stay in memory for the next join.

    Raises:
        InvalidInput: a key column or `at` is missing or of a wrong type, or a column is there already.
    """
    return joined(rows, at, [timeline(session, view, pinned.sources[view.name]) for view in pinned.service.views])


def joined(rows: pa.Table, at: str, timelines: Iterable[Timeline]) -> pa.Table:
    """The rows with the features of some timelines; see `join`."""
    if at not in rows.column_names:
        raise InvalidInput(
            f"The rows have no column {at!r} to say when each one is.",
            hint=f"They have {', '.join(rows.column_names)}.",
        )
    moments, stamped = times(rows[at], at)
    for known in timelines:
        codes = known.keys.codes(rows)
        if known.view.timestamp:
            codes = np.where(stamped, codes, NULL)
        for feature, values in zip(known.view.features, known.join(codes, moments), strict=True):
            rows = _with_column(rows, column_of(known.view, feature), pa.array(values, from_pandas=True))
    return rows


def _with_column(rows: pa.Table, name: str, values: pa.Array) -> pa.Table:
    if name in rows.column_names:
        raise InvalidInput(f"The rows have a column {name!r} already.", hint="Drop or rename it before the join.")
    return rows.append_column(name, values)
