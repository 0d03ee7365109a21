"""How the rows of two tables differ: added, removed and changed, by key, with the cells that changed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from everloop.datasets.history.entities import CellChange, RowChange
from everloop.datasets.history.rowkeys import alike, codes, pairs, twice
from everloop.datasets.text import json_values
from everloop.kernel.errors import InvalidInput
from everloop.kernel.usecase import Json

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa

    from everloop.datasets.history.rowkeys import Places


class RowDifference(msgspec.Struct, frozen=True):
    """How two tables differ: how many rows of each kind, in how many of them each column differs, and a sample."""

    added: int
    removed: int
    changed: int
    unchanged: int
    changed_cells: dict[str, int]
    sample: tuple[RowChange, ...]


def difference(before: pa.Table, after: pa.Table, keys: Sequence[str], limit: int) -> RowDifference:
    """How one table became the other; the sample has up to `limit` rows of each kind.

    Rows with one key are the same row, changed or not; without keys, rows are compared whole. Where several rows have
    one key, those that are equal stay, and of the others the nth became the nth. Missing is a value like any other, and
    NaN equals NaN. Only columns that both tables have are compared.

    Raises:
        InvalidInput: a key is no column of both.
    """
    import numpy as np

    both = [name for name in before.column_names if name in after.column_names]
    _require(keys, both)
    old, new = alike([before, after], both)
    left, right = _matched(old, new, list(keys or both))
    cells = [] if not keys else [name for name in both if name not in keys]
    differs = {name: _differs(old[name], new[name], left, right) for name in cells}
    touched = _any(differs, len(left))
    shown = list(keys or before.column_names)
    return RowDifference(
        added=after.num_rows - len(right),
        removed=before.num_rows - len(left),
        changed=int(touched.sum()),
        unchanged=int(len(left) - touched.sum()),
        changed_cells={name: int(mask.sum()) for name, mask in differs.items() if mask.any()},
        sample=(
            *_changed(before, after, (left, right), keys, differs, np.flatnonzero(touched)[:limit]),
            *_whole("removed", before, _rest(before.num_rows, left)[:limit], shown),
            *_whole("added", after, _rest(after.num_rows, right)[:limit], list(keys or after.column_names)),
        ),
    )


def _require(keys: Sequence[str], both: Sequence[str]) -> None:
    missing = [key for key in keys if key not in both]
    if missing:
        raise InvalidInput(
            f"{', '.join(missing)} cannot be a key: it is no column of both versions.",
            hint=f"Both have {', '.join(both) or 'none'}.",
        )


def _matched(old: pl.DataFrame, new: pl.DataFrame, keys: list[str]) -> tuple[Places, Places]:
    """The places of each row that is on both sides; equal ones of those that share a key find each other first."""
    import numpy as np

    if not keys:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    before, after = codes([old, new], keys)
    shared = np.union1d(twice(before), twice(after))
    if not len(shared):
        return pairs(before, after)
    left, right = np.flatnonzero(np.isin(before, shared)), np.flatnonzero(np.isin(after, shared))
    equal = pairs(*codes([old[left], new[right]], old.columns))
    left, right = left[equal[0]], right[equal[1]]
    rest_left, rest_right = _rest(len(before), left), _rest(len(after), right)
    others = pairs(before[rest_left], after[rest_right])
    left = np.concatenate((left, rest_left[others[0]]))
    right = np.concatenate((right, rest_right[others[1]]))
    order = np.argsort(left)
    return left[order], right[order]


def _rest(rows: int, places: Places) -> Places:
    """The places that are not among these."""
    import numpy as np

    free = np.ones(rows, dtype=bool)
    free[places] = False
    return np.flatnonzero(free)


def _differs(old: pl.Series, new: pl.Series, left: Places, right: Places) -> Places:
    found: Places = old.gather(left).ne_missing(new.gather(right)).to_numpy()
    return found


def _any(masks: dict[str, Places], rows: int) -> Places:
    import numpy as np

    found = np.zeros(rows, dtype=bool)
    for mask in masks.values():
        found |= mask
    return found


def _changed(
    before: pa.Table,
    after: pa.Table,
    matched: tuple[Places, Places],
    keys: Sequence[str],
    differs: dict[str, Places],
    wanted: Places,
) -> list[RowChange]:
    """The wanted ones of the matched rows, with the cells that differ."""
    columns = [*keys, *differs]
    old, new = _shown(before, matched[0][wanted], columns), _shown(after, matched[1][wanted], columns)
    return [
        RowChange(
            "changed",
            {key: new[key][row] for key in keys},
            tuple(CellChange(name, old[name][row], new[name][row]) for name in differs if differs[name][place]),
        )
        for row, place in enumerate(wanted)
    ]


def _whole(change: str, table: pa.Table, places: Places, columns: Sequence[str]) -> list[RowChange]:
    shown = _shown(table, places, columns)
    return [
        msgspec.convert({"change": change, "key": {name: shown[name][row] for name in columns}}, RowChange)
        for row in range(len(places))
    ]


def _shown(table: pa.Table, places: Places, columns: Sequence[str]) -> dict[str, list[Json]]:
    """Some rows as JSON, column by column; NaN and infinities by their names, for missing is something else."""
    rows = table.select(list(columns)).take(places)
    return {name: shown_values(rows[name]) for name in columns}


def shown_values(values: pa.ChunkedArray) -> list[Json]:
    """Values as JSON that tells all of them apart: NaN and infinities are called by their names."""
    import pyarrow as pa

    if not pa.types.is_floating(values.type):
        return json_values(values)
    return [value if value is None or math.isfinite(value) else str(value) for value in values.to_pylist()]
