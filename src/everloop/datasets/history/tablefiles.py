"""Files of a tree that are tables: when both sides changed one, its rows can be merged."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from everloop.catalog.session import Session
from everloop.datasets.formats import normalised
from everloop.datasets.history.entities import MergeConflict, OnConflict
from everloop.datasets.history.filemerge import Settle, Sides, settle_whole
from everloop.datasets.history.rowmerge import merge_rows
from everloop.datasets.parquet import put_table
from everloop.kernel.errors import EverloopError
from everloop.store.entities import TreeEntry

if TYPE_CHECKING:
    import pyarrow as pa


def settle_rows(session: Session, keys: Sequence[str], prefer: OnConflict) -> Settle:
    """Settling a file that both sides changed by its rows, where it is a CSV or Parquet file with these keys.

    Values of CSV are compared and kept as they are written. Any other file is settled as a whole.
    """
    whole = settle_whole(prefer)

    def settle(path: str, sides: Sides) -> tuple[TreeEntry | None, list[MergeConflict]]:
        if not keys:
            return whole(path, sides)
        base, ours, theirs = (_table(session, path, side) for side in sides)
        if base is None or ours is None or theirs is None:
            return whole(path, sides)
        try:
            merged = merge_rows(base, ours, theirs, keys, prefer)
        except EverloopError:  # The keys are no keys of this file, or its columns do not fit: it is a file like any.
            return whole(path, sides)
        listed = [msgspec.structs.replace(conflict, path=path) for conflict in merged.listed]
        return _kept(session, path, sides, merged.table), listed

    return settle


def _table(session: Session, path: str, entry: TreeEntry | None) -> pa.Table | None:
    """The table that a file holds, if it is one."""
    import polars as pl
    import pyarrow as pa
    import pyarrow.parquet as pq

    if entry is None or entry.kind not in ("file", "executable"):
        return None
    try:
        if path.endswith(".csv"):
            texts = pl.read_csv(session.store.get(entry.digest), infer_schema=False, empty_string_is_null=False)
            return texts.to_arrow(compat_level=pl.CompatLevel.oldest())
        if path.endswith(".parquet"):
            return pq.ParquetFile(pa.BufferReader(session.store.get(entry.digest))).read()
    except (pl.exceptions.PolarsError, pa.ArrowException, OSError):
        return None
    return None


def _kept(session: Session, path: str, sides: Sides, table: pa.Table) -> TreeEntry:
    """The merged table in the store, in the format of the file."""
    import polars as pl

    kind = sides[1].kind if sides[1] is not None else "file"
    if path.endswith(".parquet"):
        part = put_table(session.store, normalised(table))
        return TreeEntry(path, part.digest, part.bytes, kind)
    sink = io.BytesIO()
    pl.DataFrame(table).write_csv(sink, quote_style="necessary", null_value="")
    return TreeEntry(path, session.store.put(sink.getvalue()), sink.tell(), kind)
