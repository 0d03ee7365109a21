"""Frames of other libraries as Arrow tables: pandas, Polars, DuckDB relations, and plain rows."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

from everloop.kernel.errors import InvalidInput

if TYPE_CHECKING:
    import pyarrow as pa


class ArrowStream(Protocol):
    """What gives its rows by Arrow's PyCapsule interface, as frames of all libraries do today."""

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """A capsule with a stream of record batches."""
        ...


Frame = ArrowStream | Sequence[Mapping[str, object]]
"""A table of Arrow, pandas, Polars or DuckDB (a relation), or rows as dictionaries."""


def as_arrow(frame: Frame) -> pa.Table:
    """The rows of a frame. An index of pandas is a column if it has a name.

    Raises:
        InvalidInput: it is no frame, or a column of it holds what has no type.
    """
    import pyarrow as pa

    try:
        pandas = sys.modules.get("pandas")
        if pandas is not None and isinstance(frame, pandas.DataFrame):
            named = any(name is not None for name in frame.index.names)
            return pa.Table.from_pandas(frame, preserve_index=named)
        if hasattr(frame, "__arrow_c_stream__"):
            return pa.table(frame)
        return pa.Table.from_pylist(list(frame))
    except (pa.ArrowException, TypeError, AttributeError) as error:
        raise InvalidInput(
            f"A {type(frame).__name__} cannot be kept as a table: {error}.",
            hint="Give a frame of Arrow, pandas, Polars or DuckDB, or a list of dictionaries.",
        ) from None
