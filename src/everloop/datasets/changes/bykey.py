"""Which rows of a table a change by key touches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from everloop.datasets.text import texts, type_name
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
    import pyarrow as pa
    import pyarrow.compute as pc

    missing = [key for key in keys if key not in rows.column_names]
    if missing or not keys:
        raise InvalidInput(
            f"The rows have no column {', '.join(missing)}." if missing else "No key is named.",
            hint=f"Say in keys what tells rows apart; they have {', '.join(rows.column_names)}.",
        )
    for key in keys:
        if pa.types.is_nested(rows.schema.field(key).type):
            raise InvalidInput(f"Key {key!r} is {type_name(rows.schema.field(key).type)}.", hint="Use plain values.")
        nulls = pc.sum(_missing(rows[key])).as_py() or 0
        if nulls:
            raise InvalidInput(
                f"Key {key!r} is missing in {nulls} of {rows.num_rows} rows.", hint="Give each row its key."
            )
    if unique:
        _require_different(rows.select(list(keys)))


def matches(
    table: pa.Table, rows: pa.Table, keys: Sequence[str]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
    """The numbers of the table's rows that have the key of a row, the number of that row, and which rows have none.

    Of rows that share a key, the first stands for all.

    Raises:
        InvalidInput: a key has another type than in the table.
    """
    import numpy as np

    for key in keys:
        known, sent = (type_name(side.schema.field(key).type) for side in (table, rows))
        if known != sent:
            raise InvalidInput(f"Key {key!r} is {known}, but in the rows it is {sent}.")
    ours, theirs = _numbered(table.select(list(keys)), rows.select(list(keys)))
    owner = np.full(rows.num_rows + 1, -1)
    owner[theirs[::-1]] = np.arange(rows.num_rows)[::-1]
    owner[-1] = -1
    touched = np.flatnonzero(ours >= 0)
    by = owner[ours[touched]]
    fresh = np.ones(rows.num_rows, bool)
    fresh[by] = False
    return touched, by, fresh


def changed(table: pa.Table, rows: pa.Table) -> NDArray[np.bool_]:
    """Where two tables of the same rows differ; missing values are equal, and so are NaN."""
    import numpy as np

    different = np.full(rows.num_rows, rows.column_names != table.column_names)
    for name in table.column_names:
        if not different.all():
            different |= _different(table[name], rows[name])
    return different


def _different(before: pa.ChunkedArray, after: pa.ChunkedArray) -> NDArray[np.bool_]:
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    if before.type != after.type:
        return np.ones(len(after), bool)
    if pa.types.is_nested(after.type):
        pairs = zip(before.to_pylist(), after.to_pylist(), strict=True)
        return np.array([one != other for one, other in pairs], dtype=bool)
    same = pc.or_kleene(pc.equal(before, after), pc.and_(_missing(before), _missing(after)))
    either = pc.xor(before.is_null(), after.is_null())
    found: NDArray[np.bool_] = pc.or_(either, pc.invert(pc.fill_null(same, False))).to_numpy()
    return found


def _missing(values: pa.ChunkedArray) -> pa.ChunkedArray:
    import pyarrow.compute as pc

    return pc.is_null(values, nan_is_null=True)


def _numbered(table: pa.Table, rows: pa.Table) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """A number for each row of both, below the number of `rows`: equal if they agree; -1 for what only `table` has."""
    import numpy as np

    ours, theirs = np.zeros(table.num_rows, np.int64), np.zeros(rows.num_rows, np.int64)
    for values, wanted in zip(table.columns, rows.columns, strict=True):
        known = _comparable(wanted).unique()
        mine, yours = (_places(_comparable(side), known) for side in (values, wanted))
        ours = np.where((ours < 0) | (mine < 0), -1, ours * len(known) + mine)
        both = theirs * len(known) + yours
        combinations, theirs = np.unique(both, return_inverse=True)
        at = np.minimum(np.searchsorted(combinations, ours), max(len(combinations) - 1, 0))
        ours = np.where(combinations[at] == ours, at, -1) if len(combinations) else np.full(len(ours), -1)
    return ours, theirs


def _places(values: pa.ChunkedArray, known: pa.Array) -> NDArray[np.int64]:
    import numpy as np
    import pyarrow.compute as pc

    found = pc.fill_null(pc.index_in(values, value_set=known), -1)
    places: NDArray[np.int64] = found.to_numpy().astype(np.int64)
    return np.where(values.is_null().to_numpy(), -1, places) if values.null_count else places


def _comparable(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """Values that are equal where their bytes are: of floats, 0 stands for -0, too."""
    import pyarrow as pa
    import pyarrow.compute as pc

    return pc.add(values, 0.0) if pa.types.is_floating(values.type) else values


def _require_different(keys: pa.Table) -> None:
    import numpy as np

    numbers, _ = _numbered(keys, keys)
    _, first, counts = np.unique(numbers, return_index=True, return_counts=True)
    if (counts > 1).any():
        twin = keys.slice(int(first[counts > 1].min()), 1)
        named = ", ".join(f"{name} = {texts(twin[name])[0]}" for name in keys.column_names)
        raise InvalidInput(
            f"{int((counts > 1).sum())} keys stand in several rows, the first is {named}.",
            hint="Keep the row that counts of each key.",
        )
