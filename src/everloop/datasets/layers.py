"""Tables in layers: what a table began with, then what each change added and where it deleted.

A snapshot with layers is a tree of ordinary Parquet files, that any engine can read:

- `rows/00000.parquet`, `rows/00003.parquet`: the rows that layer 0 (the base), layer 3 brought;
- `deletes/00003.parquet`: which rows of the layers before it layer 3 took away, as `file_path` (in the tree) and `pos`
  (from 0), ordered by both: the columns of Iceberg's position deletes.

The rows of the table are those of the files in `rows`, one file after the other, without the deleted ones. Columns that
a file does not have are NULL in its rows; types are the widest that the files have.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import msgspec

from everloop.datasets.entities import Layer
from everloop.datasets.evolution import widest
from everloop.datasets.parquet import put_table
from everloop.kernel.errors import InvalidInput
from everloop.store.entities import Digest, TreeEntry
from everloop.store.service import Store

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

MOST_LAYERS = 32
"""From so many layers on, compaction is due."""
MOST_DELETED = 0.2
"""From this share of deleted rows on, compaction is due."""

Read = Callable[[Digest, Sequence[str]], "pa.Table"]
"""Gives those of the columns that the Parquet at an address has."""


class Shape(msgspec.Struct, frozen=True):
    """What a table in layers costs its readers: files, rows in them, rows of those that are deleted."""

    layers: int
    rows: int
    deleted: int

    @property
    def compaction_due(self) -> bool:
        """Whether writing the table anew as one file would pay."""
        return self.layers >= MOST_LAYERS or self.deleted > MOST_DELETED * self.rows


def shape_of(layers: Sequence[Layer]) -> Shape:
    """What the layers add up to."""
    rows = sum(layer.added.rows for layer in layers if layer.added)
    return Shape(len(layers), rows, sum(layer.deleted.rows for layer in layers if layer.deleted))


def tree_of(layers: Sequence[Layer]) -> list[TreeEntry]:
    """The files of the tree that the layers are."""
    added = [(rows_path(number), layer.added) for number, layer in enumerate(layers)]
    deleted = [(_deletes_path(number), layer.deleted) for number, layer in enumerate(layers)]
    return [TreeEntry(path, part.digest, part.bytes) for path, part in [*added, *deleted] if part]


def rows_path(number: int) -> str:
    """Where in the tree the rows are that a layer brought."""
    return f"rows/{number:05}.parquet"


def _deletes_path(number: int) -> str:
    return f"deletes/{number:05}.parquet"


def merged(layers: Sequence[Layer], columns: Sequence[str], read: Read) -> pa.Table:
    """Columns of the rows that the layers add up to, in their order.

    Raises:
        InvalidInput: a column has no type that all of its values have a place in.
    """
    import pyarrow as pa

    parts = [read(layer.added.digest, columns) for layer in layers if layer.added]
    kinds = {name: widest([part.schema.field(name).type for part in parts if name in part.column_names], name)
             for name in columns}  # fmt: skip
    masks = alive_rows(layers, read)
    kept = [part if mask is None else part.filter(pa.array(mask)) for part, mask in zip(parts, masks, strict=True)]
    return pa.concat_tables([_fitted(part, kinds) for part in kept]).combine_chunks()


def positions(layers: Sequence[Layer], rows: NDArray[np.int64], read: Read) -> pa.Table:
    """Where the rows with these numbers (in the merged table, from 0) stand in the files, as position deletes."""
    import numpy as np
    import pyarrow as pa

    files, places = [], []
    numbered = [number for number, layer in enumerate(layers) if layer.added]
    first = 0
    for number, mask in zip(numbered, alive_rows(layers, read), strict=True):
        part = layers[number].added
        left = np.arange(part.rows if part else 0) if mask is None else np.flatnonzero(mask)
        here = rows[(rows >= first) & (rows < first + len(left))] - first
        files += [rows_path(number)] * len(here)
        places.append(np.sort(left[here]))
        first += len(left)
    return pa.table({"file_path": pa.array(files, pa.string()), "pos": pa.array(np.concatenate(places), pa.int64())})


def layer_of(store: Store, added: pa.Table, deleted: pa.Table) -> Layer:
    """Keep a change as a layer; a side of it that is empty is left out."""
    return Layer(*(put_table(store, side) if side.num_rows else None for side in (added, deleted)))


def alive_rows(layers: Sequence[Layer], read: Read) -> list[NDArray[np.bool_] | None]:
    """Of each file of rows, which ones are not deleted; None means all of them."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    deletes = [read(layer.deleted.digest, ["file_path", "pos"]) for layer in layers if layer.deleted]
    gone = pa.concat_tables(deletes) if deletes else None
    masks: list[NDArray[np.bool_] | None] = []
    for number, layer in enumerate(layers):
        if layer.added is None:
            continue
        here = [] if gone is None else gone.filter(pc.equal(gone["file_path"], rows_path(number)))["pos"].to_numpy()
        mask = np.ones(layer.added.rows, bool) if len(here) else None
        if mask is not None:
            mask[here] = False
        masks.append(mask)
    return masks


def _fitted(part: pa.Table, kinds: dict[str, pa.DataType]) -> pa.Table:
    import pyarrow as pa

    fields = [pa.field(name, kind) for name, kind in kinds.items()]
    columns = [
        part[name] if name in part.column_names else pa.nulls(part.num_rows, kind) for name, kind in kinds.items()
    ]
    try:
        return pa.table(columns, names=list(kinds)).cast(pa.schema(fields))
    except pa.ArrowInvalid as error:
        raise InvalidInput(
            f"The types of the rows do not fit together: {error}.", hint="Commit the whole table with its new types."
        ) from None
