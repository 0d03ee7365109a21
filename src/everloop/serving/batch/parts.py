"""Parts of a table: what one thread reads, predicts and writes. They are plain data, so that they can travel."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from everloop.kernel.errors import EverloopError, InvalidInput, Unavailable
from everloop.store.entities import Digest
from everloop.store.ranged import opened
from everloop.store.service import Store

if TYPE_CHECKING:
    import pyarrow as pa

BATCH_ROWS = 32_768
"""So many rows are in memory at once in each thread: with 30 numbers a row some 8 MB, and as much again as a matrix."""


class Part(Protocol):
    """Rows that stand together; `first` is the number that the first one has in the whole input."""

    @property
    def number(self) -> int:
        """Its place among the parts."""
        ...

    @property
    def first(self) -> int:
        """The number of its first row."""
        ...

    @property
    def name(self) -> str:
        """What people call where it is."""
        ...

    def batches(self, store: Store) -> Iterator[pa.RecordBatch]:
        """The rows, some at a time.

        Raises:
            InvalidInput: the file is damaged.
        """
        ...


@dataclass(frozen=True)
class ParquetPart:
    """Row groups of a Parquet file: at a path, or kept in the store."""

    number: int
    first: int
    name: str
    groups: tuple[int, ...]
    columns: tuple[str, ...]
    kept: Digest | None = None

    def batches(self, store: Store) -> Iterator[pa.RecordBatch]:
        """The rows, decoded page by page, so that a row group of any size needs little memory."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            if self.kept is None:
                with pq.ParquetFile(self.name, pre_buffer=False) as file:
                    yield from self._read(file)
                return
            source = opened(store, self.kept)
            yield from self._read(pq.ParquetFile(pa.BufferReader(source) if isinstance(source, bytes) else source))
        except (pa.ArrowException, OSError) as error:
            raise unreadable(self.name, error) from None

    def _read(self, file: object) -> Iterator[pa.RecordBatch]:
        read = file.iter_batches  # type: ignore[attr-defined]  # PyArrow has no types.
        yield from read(BATCH_ROWS, row_groups=list(self.groups), columns=list(self.columns), use_threads=False)


@dataclass(frozen=True)
class TablePart:
    """Rows that were read already, because their format can be read from its beginning only."""

    number: int
    first: int
    name: str
    table: pa.Table

    def batches(self, store: Store) -> Iterator[pa.RecordBatch]:
        """The rows, without a copy."""
        yield from self.table.to_batches(max_chunksize=BATCH_ROWS)


@dataclass(frozen=True)
class LinesPart:
    """Whole lines of JSON, which are parsed by who predicts them."""

    number: int
    first: int
    name: str
    lines: bytes
    columns: tuple[str, ...]
    types: tuple[tuple[str, pa.DataType], ...]

    def batches(self, store: Store) -> Iterator[pa.RecordBatch]:
        """The rows. A column that no line has is empty."""
        import pyarrow as pa
        import pyarrow.json as arrow_json

        whole = arrow_json.ReadOptions(block_size=len(self.lines) + 1, use_threads=False)
        known = arrow_json.ParseOptions(explicit_schema=pa.schema(self.types)) if self.types else None
        try:
            table = arrow_json.read_json(io.BytesIO(self.lines), read_options=whole, parse_options=known)
        except pa.ArrowException as error:
            raise InvalidInput(
                f"{self.name}, from line {self.first + 1:,} on, is not lines of JSON as they are wanted: {error}.",
                hint="Each line must be an object with values of the types that the model takes.",
            ) from None
        for missing in [name for name in self.columns if name not in table.column_names]:
            table = table.append_column(missing, pa.nulls(table.num_rows))
        yield from table.select(list(self.columns)).to_batches(max_chunksize=BATCH_ROWS)


def unreadable(name: str, error: Exception) -> EverloopError:
    """What is said of a file that cannot be read."""
    if isinstance(error, OSError) and error.errno is not None and not isinstance(error, FileNotFoundError):
        return Unavailable(f"{name} cannot be read: {error}.", hint="Nothing was written; try again with --resume.")
    return InvalidInput(
        f"{name} is damaged, or is not what its name says: {error}.", hint="Write it again; torn files are not guessed."
    )
