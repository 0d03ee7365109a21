"""Times of a table as microseconds since 1970."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, cast

import numpy as np

from everloop.datasets.splits.keyhash import require_columns
from everloop.kernel.errors import InvalidInput

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

NEVER = 1 << 62
"""What stands for a time that is missing, where one may be: later than all others."""


def moments_of(table: pa.Table, column: str, *, missing: bool = False) -> NDArray[np.int64]:
    """The times in a column; with `missing` those that are not there count as never.

    Raises:
        InvalidInput: the column is no time with a zone and no date, or a row has none.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    require_columns(table, (column,))
    times = table[column]
    dated = pa.types.is_date(times.type)
    if not dated and (not pa.types.is_timestamp(times.type) or times.type.tz is None):
        raise InvalidInput(
            f"Column {column!r} is {times.type}, not a time with a zone.", hint="Split by a timestamp in UTC."
        )
    if times.null_count and not missing:
        raise InvalidInput(
            f"{times.null_count} rows have no {column!r}.", hint="Leave them out first: they have no place in time."
        )
    wanted = pa.timestamp("us") if dated else pa.timestamp("us", times.type.tz)
    numbers = times.cast(wanted, safe=False).cast(pa.int64())
    return cast("NDArray[np.int64]", np.asarray(pc.fill_null(numbers, NEVER).combine_chunks()))


def micros_of(span: timedelta) -> int:
    """A span in microseconds."""
    return span // timedelta(microseconds=1)
