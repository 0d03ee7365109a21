"""What queries read: tables, and files of snapshots that hold tables."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from everloop.catalog.session import Session
from everloop.datasets import reads
from everloop.datasets.content import read_table, require_files, resolve
from everloop.datasets.engine import TableEngine
from everloop.datasets.entities import Snapshot
from everloop.datasets.formats import format_of, from_bytes, normalised
from everloop.kernel.errors import InvalidInput, NotFound

if TYPE_CHECKING:
    import pyarrow as pa


def sources_of(session: Session, references: Iterable[str]) -> tuple[list[Snapshot], dict[str, pa.Table]]:
    """The snapshots that references name, and their tables by the names that a query calls them.

    `flights@2` is called flights, and `photos@2/meta/labels.csv`, a file of a snapshot of files, labels.

    Raises:
        InvalidInput: two are called alike, or a file is no table.
        NotFound: there is no such snapshot or file.
    """
    found: list[Snapshot] = []
    tables: dict[str, pa.Table] = {}
    for reference in references:
        snapshot, called, table = _source(session, reference)
        if called in tables:
            raise InvalidInput(f"Two inputs are called {called!r} in the query.", hint="Take one of them at a time.")
        found.append(snapshot)
        tables[called] = table
    return found, tables


def read_file(session: Session, snapshot: Snapshot, path: str) -> pa.Table:
    """The table in a file of a snapshot of files, in the format that its name says.

    Raises:
        NotFound: the snapshot has no such file.
        InvalidInput: the file is no table.
    """
    reads.read(require_files(snapshot))
    entries = {entry.path: entry for entry in session.store.tree(snapshot.digest)}
    if path not in entries:
        raise NotFound(f"{snapshot.dataset}@{snapshot.version} has no file {path}.", hint="List them: datasets.files.")
    data = session.store.get(entries[path].digest)
    return normalised(from_bytes(session.ports.get(TableEngine), data, format_of(path)))


def _source(session: Session, reference: str) -> tuple[Snapshot, str, pa.Table]:
    name, _, path = reference.removeprefix(f"dataset:{session.project}/").partition("/")
    snapshot = resolve(session, name)
    if path:
        return snapshot, PurePosixPath(path).name.partition(".")[0], read_file(session, snapshot, path)
    return snapshot, snapshot.dataset, read_table(session, snapshot)
