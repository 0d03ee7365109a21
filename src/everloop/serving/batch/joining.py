"""Features beside the rows of a batch, as known at each row's own moment, or at one moment for all."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from everloop.features.pointintime import joined
from everloop.features.timeline import Timeline
from everloop.kernel.errors import InvalidInput

_NOW = "everloop.now"


def with_features(batch: pa.RecordBatch, timelines: Sequence[Timeline], at: str, now: int) -> pa.RecordBatch:
    """The rows with a column for every feature as known at the column `at`, or at `now` (microseconds) without one.

    Raises:
        InvalidInput: a key or a time is of the wrong type.
    """
    rows = pa.Table.from_batches([batch])
    if at:
        rows = _with_times(rows, at)
    else:
        moments = pa.array(np.full(rows.num_rows, now), pa.timestamp("us", "UTC"))
        rows = rows.append_column(_NOW, moments)
    found = joined(rows, at or _NOW, timelines).combine_chunks().to_batches()
    return found[0] if found else batch


def _with_times(rows: pa.Table, at: str) -> pa.Table:
    """Times that are written as text, as times: formats of text know nothing else."""
    if not pa.types.is_string(rows.schema.field(at).type):
        return rows
    try:
        times = rows[at].cast(pa.timestamp("us", "UTC"))
    except pa.ArrowInvalid as error:
        raise InvalidInput(f"{at} must be times: {error}.", hint="Write 2026-01-31T12:00:00Z.") from None
    return rows.set_column(rows.column_names.index(at), at, times)
