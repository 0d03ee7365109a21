"""Merging columns: which there are, and of which type, when two sides changed a table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from everloop.datasets.history.entities import MergeConflict, OnConflict
from everloop.datasets.text import type_name
from everloop.kernel.errors import Conflict

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class Columns:
    """The columns of the merged table with their types, those that one side removed, and what the sides disagree on."""

    types: Mapping[str, pa.DataType]
    removed: tuple[str, ...]
    conflicts: tuple[MergeConflict, ...]

    def cast(self, table: pa.Table) -> pa.Table:
        """The table in these types, with the columns that it has of these and the removed ones.

        Raises:
            Conflict: a value does not fit its column's new type.
        """
        kept = [name for name in table.column_names if name in self.types or name in self.removed]
        for place, name in enumerate(kept):
            table = table.select(kept) if place == 0 else table
            wanted = self.types.get(name, table[name].type)
            if table[name].type != wanted:
                table = table.set_column(place, name, _cast(name, table[name], wanted))
        return table


def merge_columns(base: pa.Schema, ours: pa.Schema, theirs: pa.Schema, prefer: OnConflict) -> Columns:
    """Each column as the side has it that changed it; in our order, those that they added at the end.

    A column that one side removed is gone; whether the other side changed its values is for the rows to say.
    """
    types: dict[str, pa.DataType] = {}
    removed, conflicts = [], []
    for name in dict.fromkeys([*ours.names, *theirs.names]):
        was, mine, yours = (_type(schema, name) for schema in (base, ours, theirs))
        if mine is not None and yours is not None:
            types[name] = yours if mine == was or (prefer == "theirs" and yours != was) else mine
            if mine != yours and was not in (mine, yours):
                conflicts.append(_disagreement(name, was, mine, yours))
        elif was is None:
            types[name] = mine or yours
        else:
            removed.append(name)
    return Columns(types, tuple(removed), tuple(conflicts))


def _type(schema: pa.Schema, name: str) -> pa.DataType | None:
    return schema.field(name).type if name in schema.names else None


def _disagreement(
    name: str, was: pa.DataType | None, mine: pa.DataType | None, yours: pa.DataType | None
) -> MergeConflict:
    base, ours, theirs = (None if kind is None else type_name(kind) for kind in (was, mine, yours))
    return MergeConflict(reason="the column has two types now", column=name, base=base, ours=ours, theirs=theirs)


def _cast(name: str, values: pa.ChunkedArray, wanted: pa.DataType) -> pa.ChunkedArray:
    import pyarrow as pa

    try:
        return values.cast(wanted)
    except pa.ArrowException as error:
        raise Conflict(
            f"Column {name!r} is {type_name(wanted)} now, and values of the other side do not fit ({error}).",
            hint="Change the values or the type on one side, commit, and merge again.",
        ) from None
