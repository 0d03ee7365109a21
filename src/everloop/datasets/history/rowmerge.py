"""Merging rows: what each side did to a table since their common version, row by row and cell by cell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from everloop.datasets.history.columnmerge import Columns, merge_columns
from everloop.datasets.history.entities import MergeConflict, OnConflict
from everloop.datasets.history.lineup import Lineup, line_up
from everloop.datasets.history.rowdiff import shown_values
from everloop.datasets.history.wholemerge import merge_whole
from everloop.kernel.usecase import Json

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    Mask = npt.NDArray[np.bool_]

LISTED = 100
"""So many conflicts of each kind are listed; all are counted."""


@dataclass
class RowMerge:
    """The merged table (with conflicts decided for one side), how many conflicts there were, and the first of them."""

    table: pa.Table
    count: int = 0
    listed: list[MergeConflict] = field(default_factory=list)


def merge_rows(
    base: pa.Table, ours: pa.Table, theirs: pa.Table, keys: Sequence[str], prefer: OnConflict = "fail"
) -> RowMerge:
    """One table of two that grew from a base, by key; without keys by whole rows, which cannot disagree.

    A cell is as the side has it that changed it; a row that one side removed is gone, one that a side added is there.
    Where both changed a cell differently, or one removed what the other changed, they disagree. Rows stand in our
    order, those that they added at the end.

    Raises:
        InvalidInput: a key is no column of all three, or two rows of one have one key.
        Conflict: a side changed the type of a column into one that the other's values do not fit.
    """
    import pyarrow as pa

    columns = merge_columns(base.schema, ours.schema, theirs.schema, prefer)
    merged = RowMerge(ours, len(columns.conflicts), list(columns.conflicts))
    if columns.conflicts and prefer == "fail":
        return merged
    tables = [columns.cast(table) for table in (base, ours, theirs)]
    if not keys:
        merged.table = merge_whole(tables, columns.types)
        return merged
    lineup = line_up(tables, keys)
    kept = [*columns.types, *_kept_after_all(lineup, columns, prefer, merged)]
    stays = _rows_that_stay(lineup, prefer, merged)
    cells = {name: _cells(lineup, name, prefer, merged) for name in kept}
    merged.table = pa.table(cells).take(lineup.order[stays[lineup.order]])
    return merged


def _kept_after_all(lineup: Lineup, columns: Columns, prefer: OnConflict, merged: RowMerge) -> list[str]:
    """The columns that one side removed and the other changed, if the other is preferred."""
    kept = []
    for name in columns.removed:
        ours_has = name in lineup.tables[1].column_names
        touched = lineup.differs(name, 0, 1 if ours_has else 2)
        if touched.any():
            merged.count += 1
            states = ("changed", "removed") if ours_has else ("removed", "changed")
            reason = "one side removed the column, the other changed it"
            merged.listed.append(MergeConflict(reason=reason, column=name, ours=states[0], theirs=states[1]))
            if ours_has == (prefer != "theirs"):
                kept.append(name)
    return kept


def _rows_that_stay(lineup: Lineup, prefer: OnConflict, merged: RowMerge) -> Mask:
    """Which keys the merged table has."""
    base, ours, theirs = lineup.has
    ours_wins = base & ~theirs & lineup.changed(1) & ours
    theirs_wins = base & ~ours & lineup.changed(2) & theirs
    _list_rows(lineup, "we changed the row, they removed it", ours_wins, merged)
    _list_rows(lineup, "we removed the row, they changed it", theirs_wins, merged)
    added = ~base & (ours | theirs)
    disputed = theirs_wins if prefer == "theirs" else ours_wins
    found: Mask = added | (base & ours & theirs) | disputed
    return found


def _cells(lineup: Lineup, name: str, prefer: OnConflict, merged: RowMerge) -> pa.ChunkedArray:
    """A column of the merged table, for every key."""
    import pyarrow as pa
    import pyarrow.compute as pc

    inside = [name in table.column_names for table in lineup.tables]
    if not inside[1]:
        return lineup.tables[2][name]
    if not inside[2]:
        return lineup.tables[1][name]
    _, ours, theirs = lineup.has
    apart = lineup.differs(name, 1, 2)
    known = lineup.has[0] & inside[0]
    untouched = known & ~lineup.differs(name, 0, 1)
    conflict = apart & ~untouched & ~(known & ~lineup.differs(name, 0, 2))
    _list_cells(lineup, name, conflict, merged)
    take_theirs = (theirs & ~ours) | (apart & untouched) | (conflict & (prefer == "theirs"))
    return pc.if_else(pa.array(take_theirs), lineup.tables[2][name], lineup.tables[1][name])


def _list_rows(lineup: Lineup, reason: str, where: Mask, merged: RowMerge) -> None:
    import numpy as np

    merged.count += int(where.sum())
    numbers = np.flatnonzero(where)[:LISTED]
    shown = [_shown(table, has, numbers) for table, has in zip(lineup.tables, lineup.has, strict=True)]
    for row, key in enumerate(lineup.keys_of(numbers)):
        merged.listed.append(
            MergeConflict(reason=reason, key=key, base=shown[0][row], ours=shown[1][row], theirs=shown[2][row])
        )


def _list_cells(lineup: Lineup, name: str, where: Mask, merged: RowMerge) -> None:
    import numpy as np

    merged.count += int(where.sum())
    numbers = np.flatnonzero(where)[:LISTED]
    base, ours, theirs = (
        shown_values(table[name].take(numbers)) if name in table.column_names else [None] * len(numbers)
        for table in lineup.tables
    )
    for row, key in enumerate(lineup.keys_of(numbers)):
        merged.listed.append(
            MergeConflict(
                reason="both sides changed the cell",
                column=name,
                key=key,
                base=base[row],
                ours=ours[row],
                theirs=theirs[row],
            )
        )


def _shown(table: pa.Table, has: Mask, numbers: npt.NDArray[np.int64]) -> list[Json]:
    """Some rows as JSON objects; none where the side has no such row."""
    rows = table.take(numbers)
    columns = [shown_values(column) for column in rows.columns]
    objects = [dict(zip(rows.column_names, row, strict=True)) for row in zip(*columns, strict=True)]
    return [found if has[number] else None for found, number in zip(objects, numbers, strict=True)]
