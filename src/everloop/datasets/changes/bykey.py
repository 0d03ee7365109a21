"""Which rows of a table a change by key touches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from everloop.datasets.history.rowkeys import alike, codes
from everloop.datasets.text import texts
from everloop.kernel.errors import InvalidInput

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray


def require_keys(rows: pa.Table, keys: Sequence[str], *, unique: bool) -> None:
    """Let rows pass whose keys are all there and, where they must be, all different.

    Raises:
        InvalidInput: naming the column that is not there or has missing values, or the key that is there twice.
    """
    import pyarrow.compute as pc

    missing = [key for key in keys if key not in rows.column_names]
    if missing or not keys:
        raise InvalidInput(
            f"The rows have no column {', '.join(missing)}." if missing else "No key is named.",
            hint=f"Say in keys what tells rows apart; they have {', '.join(rows.column_names)}.",
        )
    for key in keys:
        nulls = pc.sum(pc.is_null(rows[key], nan_is_null=True)).as_py() or 0
        if nulls:
            raise InvalidInput(
                f"Key {key!r} is missing in {nulls} of {rows.num_rows} rows.", hint="Give each row its key."
            )
    if unique:
        _require_different(rows.select(list(keys)))


def matches(
    table: pa.Table, rows: pa.Table, keys: Sequence[str]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
    """The numbers of the table's rows that have the key of a row, the number of that row, and which rows have none."""
    import numpy as np

    ours, theirs = codes(alike([table, rows], keys), keys)
    owner = np.full(max(ours.max(initial=-1), theirs.max(initial=-1)) + 1, -1)
    owner[theirs] = np.arange(len(theirs))
    touched = np.flatnonzero(owner[ours] >= 0)
    fresh = np.ones(len(theirs), bool)
    fresh[owner[ours[touched]]] = False
    return touched, owner[ours[touched]], fresh


def changed(table: pa.Table, rows: pa.Table) -> NDArray[np.bool_]:
    """Where two tables of the same rows differ."""
    if table.column_names != rows.column_names:
        import numpy as np

        return np.ones(rows.num_rows, bool)
    before, after = codes(alike([table, rows], table.column_names), table.column_names)
    different: NDArray[np.bool_] = before != after
    return different


def _require_different(keys: pa.Table) -> None:
    import numpy as np

    (numbers,) = codes(alike([keys], keys.column_names), keys.column_names)
    _, first, counts = np.unique(numbers, return_index=True, return_counts=True)
    if (counts > 1).any():
        twin = keys.slice(int(first[counts > 1].min()), 1)
        named = ", ".join(f"{name} = {texts(twin[name])[0]}" for name in keys.column_names)
        raise InvalidInput(
            f"{int((counts > 1).sum())} keys stand in several rows, the first is {named}.",
            hint="Keep the row that counts of each key.",
        )
