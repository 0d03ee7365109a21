"""Merging tables without a key: rows as a bag, in which each stands a number of times."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from everloop.datasets.history.rowkeys import alike, codes, nth

if TYPE_CHECKING:
    import pyarrow as pa


def merge_whole(tables: Sequence[pa.Table], types: Mapping[str, pa.DataType]) -> pa.Table:
    """The rows of the base, ours and theirs, each as often as the side has it that changed how often it is there.

    When both did, differently, what they added and removed adds up. A column that a table lacks is missing in its rows.
    """
    import numpy as np
    import pyarrow as pa

    filled = [_filled(table, types) for table in tables]
    numbers = codes(alike(filled, list(types)), list(types))
    size = max((int(found.max(initial=-1)) for found in numbers), default=-1) + 1
    base, ours, theirs = (np.bincount(found, minlength=size) for found in numbers)
    wanted = np.where(ours == theirs, ours, np.maximum(ours + theirs - base, 0))
    found, firsts = np.unique(numbers[2], return_index=True)
    order = np.argsort(firsts)
    come = np.repeat(firsts[order], np.maximum(wanted - ours, 0)[found[order]])
    stay = nth(numbers[1]) < wanted[numbers[1]]
    return pa.concat_tables([filled[1].filter(pa.array(stay)), filled[2].take(come)])


def _filled(table: pa.Table, types: Mapping[str, pa.DataType]) -> pa.Table:
    """The table with exactly these columns."""
    import pyarrow as pa

    return pa.table(
        {
            name: table[name] if name in table.column_names else pa.nulls(table.num_rows, kind)
            for name, kind in types.items()
        }
    )
