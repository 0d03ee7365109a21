"""What is predicted: files, folders and patterns of them, what lies under a URL, and snapshots, cut into parts."""

from __future__ import annotations

import glob
from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from everloop.datasets.entities import Snapshot
from everloop.datasets.formats import ENDINGS, format_of, format_said_by
from everloop.kernel.errors import InvalidInput, NotFound
from everloop.serving.batch.entities import InputFile
from everloop.serving.batch.parts import LinesPart, ParquetPart, Part, TablePart, unreadable

if TYPE_CHECKING:
    import pyarrow as pa

    from everloop.catalog.session import Session

_LINES = 16 << 20
"""Bytes of text in a part."""


class Input(Protocol):
    """Rows to predict. Equal inputs give equal parts, every time."""

    def schema(self) -> pa.Schema:
        """The columns that all of it has, and their types.

        Raises:
            InvalidInput: two files do not agree, one is damaged, or there is nothing.
        """
        ...

    def parts(self, columns: Sequence[str], part_rows: int) -> Iterator[Part]:
        """The rows of some columns."""
        ...

    @property
    def rows(self) -> int | None:
        """How many there are, where that is known without reading them."""
        ...


def files_at(where: str) -> tuple[InputFile, ...]:
    """The tables at a path, in a folder (and below), or that a pattern finds, by their names.

    What begins with a dot or an underscore is left out, as it is by everything that writes folders of Parquet.

    Raises:
        NotFound: there is none.
        InvalidInput: one of them is no table by its name.
    """
    path = Path(where)
    if path.is_dir():
        found = sorted(one for one in path.rglob("*") if one.is_file() and _is_told(one.relative_to(path)))
        found = [one for one in found if format_said_by(one.name)]
    elif path.is_file():
        found = [path]
    else:
        found = sorted(Path(one) for one in glob.glob(where, recursive=True) if Path(one).is_file())  # noqa: PTH207
    if not found:
        raise NotFound(f"There is no table at {where}.", hint=f"Tables end in {', '.join(ENDINGS)}.")
    for one in found:
        format_of(one.name)
    return tuple(InputFile(str(one), (told := one.stat()).st_size, told.st_mtime_ns) for one in found)


class Files:
    """Files of tables, one after another; all must have the columns that are asked for, of the same types."""

    def __init__(self, files: Sequence[InputFile], types: Sequence[tuple[str, pa.DataType]] = ()) -> None:
        self._files = files
        self._types = dict(types)
        self._schemas: dict[str, pa.Schema] = {}
        self._footers: dict[str, list[int]] = {}

    @property
    def rows(self) -> int | None:
        """How many rows Parquet says that there are."""
        if all(format_of(file.path) == "parquet" for file in self._files):
            return sum(sum(self._groups(file.path)) for file in self._files)
        return None

    def schema(self) -> pa.Schema:
        """The columns that every file has; what is in the first and differs in another is refused when asked for."""
        import pyarrow as pa

        schemas = [self._schema(file.path) for file in self._files]
        names = [name for name in schemas[0].names if all(name in other.names for other in schemas)]
        return pa.schema([schemas[0].field(name) for name in names])

    def check(self, columns: Sequence[str]) -> None:
        """Make sure that every file has some columns, of one type each.

        Raises:
            InvalidInput: one has not; the message says which and what.
        """
        first = self._files[0].path
        for file in self._files:
            schema, before = self._schema(file.path), self._schema(first)
            for name in columns:
                if name not in schema.names:
                    raise InvalidInput(
                        f"{file.path} has no column {name!r}.", hint=f"It has {', '.join(schema.names) or 'none'}."
                    )
                if schema.field(name).type != before.field(name).type:
                    raise InvalidInput(
                        f"Column {name!r} is {before.field(name).type} in {first}, and {schema.field(name).type} in "
                        f"{file.path}.",
                        hint="Predict files of one schema at a time.",
                    )

    def parts(self, columns: Sequence[str], part_rows: int) -> Iterator[Part]:
        """The parts of each file in turn; no part has rows of two files."""
        self.check(columns)
        numbers, first = count(), 0
        for file in self._files:
            for part, rows in self._parts_of(file.path, (numbers, first), columns, part_rows):
                yield part
                first += rows

    def _parts_of(
        self, path: str, start: tuple[Iterator[int], int], columns: Sequence[str], part_rows: int
    ) -> Iterator[tuple[Part, int]]:
        numbers, first = start
        kind = format_of(path)
        if kind == "parquet":
            for groups, rows in grouped(self._groups(path), part_rows):
                yield ParquetPart(next(numbers), first, path, groups, tuple(columns)), rows
                first += rows
            return
        if kind == "jsonl":
            for lines in _blocks(path):
                rows = _count_lines(lines)
                types = tuple((name, kind) for name, kind in self._types.items() if name in columns)
                yield LinesPart(next(numbers), first, path, lines, tuple(columns), types), rows
                first += rows
            return
        for table in _tables(path, columns, part_rows, text=kind == "csv"):
            yield TablePart(next(numbers), first, path, table), table.num_rows
            first += table.num_rows

    def _groups(self, path: str) -> list[int]:
        self._schema(path)
        return self._footers[path]

    def _schema(self, path: str) -> pa.Schema:
        if path not in self._schemas:
            self._schemas[path] = self._looked_at(path)
        return self._schemas[path]

    def _looked_at(self, path: str) -> pa.Schema:
        import pyarrow as pa
        import pyarrow.parquet as pq

        kind = format_of(path)
        try:
            if kind == "parquet":
                with pq.ParquetFile(path) as file:
                    footer = file.metadata
                    self._footers[path] = [footer.row_group(at).num_rows for at in range(footer.num_row_groups)]
                    schema: pa.Schema = file.schema_arrow
                    return schema
            if kind == "jsonl":
                return _schema_of_lines(path, self._types)
            with _opened_text(path) if kind == "csv" else _opened_arrow(path) as reader:
                return reader.schema
        except (pa.ArrowException, OSError) as error:
            raise unreadable(path, error) from None


class Table:
    """The rows of a snapshot. One that is a single Parquet in the store is read by row groups, others as a whole."""

    def __init__(self, session: Session, snapshot: Snapshot) -> None:
        self._session = session
        self._snapshot = snapshot
        self._name = f"{snapshot.dataset}@{snapshot.version}"
        self._plain = not snapshot.layers and snapshot.selection is None and snapshot.foreign is None

    @property
    def rows(self) -> int:
        """How many there are."""
        return self._snapshot.rows

    def schema(self) -> pa.Schema:
        """Its columns."""
        from everloop.datasets.content import read_table

        if self._plain:
            schema: pa.Schema = self._footer().schema.to_arrow_schema()
            return schema
        return read_table(self._session, self._snapshot).schema

    def parts(self, columns: Sequence[str], part_rows: int) -> Iterator[Part]:
        """Row groups, or slices."""
        from everloop.datasets import reads
        from everloop.datasets.content import read_table

        if self._plain:
            reads.read(self._snapshot)
            footer = self._footer()
            sizes = [footer.row_group(at).num_rows for at in range(footer.num_row_groups)]
            first = 0
            for number, (groups, rows) in enumerate(grouped(sizes, part_rows)):
                yield ParquetPart(number, first, self._name, groups, tuple(columns), self._snapshot.digest)
                first += rows
            return
        table = read_table(self._session, self._snapshot, list(columns))
        for number, first in enumerate(range(0, table.num_rows, part_rows)):
            yield TablePart(number, first, self._name, table.slice(first, part_rows))

    def _footer(self) -> pa.parquet.FileMetaData:
        import pyarrow as pa
        import pyarrow.parquet as pq

        from everloop.store.ranged import opened

        source = opened(self._session.store, self._snapshot.digest)
        return pq.ParquetFile(pa.BufferReader(source) if isinstance(source, bytes) else source).metadata


def grouped(sizes: Sequence[int], most: int) -> Iterator[tuple[tuple[int, ...], int]]:
    """Row groups that follow each other, together up to so many rows, but at least one; empty ones go along."""
    groups: list[int] = []
    rows = 0
    for at, size in enumerate(sizes):
        if groups and rows + size > most:
            yield tuple(groups), rows
            groups, rows = [], 0
        groups.append(at)
        rows += size
    if rows:
        yield tuple(groups), rows


def _is_told(path: Path) -> bool:
    return not any(part.startswith((".", "_")) for part in path.parts)


def _blocks(path: str) -> Iterator[bytes]:
    """Whole lines, some megabytes at a time."""
    import pyarrow as pa

    try:
        with pa.input_stream(path) as file:  # It unpacks what .gz and .zst say.
            rest = b""
            while data := file.read(_LINES):
                block, newline, rest_after = (rest + data).rpartition(b"\n")
                rest = rest_after
                if newline and block.strip():
                    yield block + newline
            if rest.strip():
                yield rest
    except (pa.ArrowException, OSError) as error:
        raise unreadable(path, error) from None


def _count_lines(lines: bytes) -> int:
    return sum(1 for line in lines.split(b"\n") if line.strip())


def _schema_of_lines(path: str, types: dict[str, pa.DataType]) -> pa.Schema:
    """The columns of the first lines, and those that are known anyway: later lines may leave anything out."""
    import pyarrow as pa
    import pyarrow.json as arrow_json

    for block in _blocks(path):
        whole = arrow_json.ReadOptions(block_size=len(block) + 1)
        known = arrow_json.ParseOptions(explicit_schema=pa.schema(types)) if types else None
        schema: pa.Schema = arrow_json.read_json(pa.BufferReader(block), read_options=whole, parse_options=known).schema
        return schema
    return pa.schema(types)


def _opened_text(path: str) -> pa.csv.CSVStreamingReader:
    """A CSV whose columns are all text: what a column is must not depend on where in the file it is looked at."""
    import pyarrow as pa
    from pyarrow import csv

    with pa.input_stream(path) as file:
        head = file.read(1 << 20)
    if not head.strip():
        raise InvalidInput(f"{path} is empty.", hint="A CSV begins with the names of its columns.")
    names = csv.open_csv(pa.BufferReader(head[: head.find(b"\n") + 1] or head)).schema.names
    convert = csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=True)
    return csv.open_csv(path, read_options=csv.ReadOptions(block_size=4 << 20), convert_options=convert)


def _opened_arrow(path: str) -> pa.ipc.RecordBatchStreamReader:
    import pyarrow as pa
    from pyarrow import ipc

    with Path(path).open("rb") as file:
        is_file = file.read(6) == b"ARROW1"
    return _FileReader(ipc.open_file(path)) if is_file else ipc.open_stream(pa.OSFile(path))


class _FileReader:
    """Arrow's file format read as if it were a stream."""

    def __init__(self, file: pa.ipc.RecordBatchFileReader) -> None:
        self._file = file
        self.schema = file.schema

    def __enter__(self) -> _FileReader:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.__exit__(None, None, None)

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        return (self._file.get_batch(at) for at in range(self._file.num_record_batches))


def _tables(path: str, columns: Sequence[str], part_rows: int, text: bool) -> Iterator[pa.Table]:
    """The rows of what can only be read from its beginning, in tables of so many rows."""
    import pyarrow as pa

    held: list[pa.RecordBatch] = []
    rows = 0
    try:
        with _opened_text(path) if text else _opened_arrow(path) as reader:
            for batch in reader:
                chosen = batch.select(list(columns))
                while chosen.num_rows:
                    held.append(chosen.slice(0, part_rows - rows))
                    chosen = chosen.slice(held[-1].num_rows)
                    rows += held[-1].num_rows
                    if rows == part_rows:
                        yield pa.Table.from_batches(held)
                        held, rows = [], 0
    except (pa.ArrowException, OSError) as error:
        raise unreadable(path, error) from None
    if rows:
        yield pa.Table.from_batches(held)
