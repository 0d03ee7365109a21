"""Splits of a table into what is learned from and what is held out, with proof that they share nothing."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

import msgspec

from everloop.kernel.errors import InvalidInput, Refused

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa


class DisjointnessProof(msgspec.Struct, frozen=True):
    """What was compared to see that two parts of a table share no row: their sizes and their different keys."""

    on: tuple[str, ...]
    rows: tuple[int, int]
    keys: tuple[int, int]


def by_time(table: pa.Table, column: str, at: datetime) -> tuple[pa.Table, pa.Table]:
    """The rows before a moment, and those at or after it, each in input order.

    Raises:
        InvalidInput: the column is no time with a zone, or a row has none.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    _require(table, (column,))
    times = table[column]
    if not pa.types.is_timestamp(times.type) or times.type.tz is None:
        raise InvalidInput(
            f"Column {column!r} is {times.type}, not a time with a zone.", hint="Split by a timestamp in UTC."
        )
    if times.null_count:
        raise InvalidInput(
            f"{times.null_count} rows have no {column!r}.", hint="Leave them out first: they have no place in time."
        )
    earlier = pc.less(times, pa.scalar(at, pa.timestamp("us", "UTC")))
    return table.filter(earlier), table.filter(pc.invert(earlier))


def at_random(
    table: pa.Table, share: float, generator: np.random.Generator, keep_together: Sequence[str] = ()
) -> tuple[pa.Table, pa.Table]:
    """A random `share` of the rows, and the rest, each in input order.

    Rows that agree in the columns `keep_together` (one person's, one machine's) go to one side; the share is of groups.
    """
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    if not 0 <= share <= 1:
        raise InvalidInput(f"{share} is not a share of rows.", hint="Give a number from 0 to 1.")
    groups = _groups(table, keep_together)
    count = int(groups.max()) + 1 if len(groups) else 0
    chosen = np.zeros(count, dtype=bool)
    chosen[generator.permutation(count)[: round(share * count)]] = True
    mask = pa.array(chosen[groups])
    return table.filter(mask), table.filter(pc.invert(mask))


def prove_disjoint(one: pa.Table, other: pa.Table, on: Sequence[str]) -> DisjointnessProof:
    """Proof that no row of one table has the key of a row of the other.

    Raises:
        Refused: some have; what was learned from one would be known in the other.
    """
    _require(one, on)
    _require(other, on)
    keys = [part.select(list(on)).group_by(list(on)).aggregate([]) for part in (one, other)]
    shared = keys[0].join(keys[1], keys=list(on), join_type="inner").num_rows
    if shared:
        raise Refused(
            f"The two parts share {shared} keys ({', '.join(on)}).", hint="Split by time, or keep their rows together."
        )
    return DisjointnessProof(tuple(on), (one.num_rows, other.num_rows), (keys[0].num_rows, keys[1].num_rows))


def _groups(table: pa.Table, columns: Sequence[str]) -> np.ndarray:
    """A number for each row, the same for rows that agree in the columns; without columns each row has its own."""
    import numpy as np

    if not columns:
        return np.arange(table.num_rows)
    _require(table, columns)
    codes = np.zeros(table.num_rows, dtype=np.int64)
    for name in columns:
        encoded = table[name].combine_chunks().dictionary_encode(null_encoding="encode")
        codes = np.unique(
            codes * (len(encoded.dictionary) + 1) + encoded.indices.to_numpy(zero_copy_only=False), return_inverse=True
        )[1]
    return codes


def _require(table: pa.Table, columns: Sequence[str]) -> None:
    missing = [name for name in columns if name not in table.column_names]
    if missing:
        raise InvalidInput(
            f"The table has no column {', '.join(missing)}.", hint=f"It has {', '.join(table.column_names)}."
        )
