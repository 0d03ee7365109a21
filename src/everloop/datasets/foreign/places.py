"""Tables that stay where they are: Delta, Iceberg and Parquet, at one version each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from everloop.catalog.session import Session
from everloop.datasets.entities import Foreign, ForeignFormat
from everloop.datasets.formats import normalised
from everloop.datasets.remotes.reach import Reach, without_secrets
from everloop.kernel.errors import Conflict, InvalidInput, Misconfigured, NotFound
from everloop.store.entities import Digest

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.dataset as ds
    from deltalake import DeltaTable
    from pyiceberg.table import StaticTable


_SCHEMES = ("", "file", "s3", "gs", "abfs", "abfss", "az")


class ForeignFile(msgspec.Struct, frozen=True, order=True):
    """A file of such a table, and its size when it was registered."""

    path: str
    bytes: int


class ForeignTable(msgspec.Struct, frozen=True, tag_field="everloop", tag="foreign/1"):
    """What the store keeps of such a table: where it is, which version of it, and that version's files."""

    table: Foreign
    files: tuple[ForeignFile, ...]


def check_reach(session: Session, url: str) -> None:
    """Let a URL or folder through that this process may reach.

    Raises:
        PermissionDenied: it leads to the server's own disk or network, and that is not allowed here.
        InvalidInput: it is no URL of a place that tables are in.
    """
    scheme, _, rest = url.rpartition("://")
    if "?" in rest or scheme not in _SCHEMES:
        raise InvalidInput(
            f"{url!r} is no place of tables.", hint=f"Write a folder, or {'://…, '.join(_SCHEMES[1:])}://…."
        )
    session.ports.get(Reach).check(without_secrets(url) if scheme else Path(url).absolute().as_uri())


def check_files(session: Session, found: ForeignTable) -> None:
    """Let a table through whose files this process may reach: what a table is made of may lie anywhere.

    Raises:
        PermissionDenied: one lies on the server's own disk or network, and that is not allowed here.
        InvalidInput: one is at no place of tables.
    """
    for file in found.files:  # A path without a scheme is below the table's folder, but for Iceberg's: these are whole.
        if "://" in file.path or found.table.format == "iceberg":
            check_reach(session, file.path)


def look(url: str, format: ForeignFormat, version: str = "") -> tuple[ForeignTable, pa.Schema, int]:
    """A table as it is now, or was in a version that its own history names: its files, columns and number of rows.

    Raises:
        NotFound: there is no such table or version.
        Misconfigured: the library that reads the format is not installed.
    """
    with _reaching(url, format):
        if format == "delta":
            return _look_delta(url, version)
        return _look_iceberg(url, version) if format == "iceberg" else _look_parquet(url)


def read(session: Session, digest: Digest, columns: Sequence[str]) -> pa.Table:
    """Columns of a table's version that was registered, by the address of what was recorded of it.

    Raises:
        NotFound: it is not there any more.
        Conflict: its files are other ones than those that were registered.
    """
    known = msgspec.json.decode(session.store.get(digest), type=ForeignTable)
    table = known.table
    check_reach(session, table.url)
    check_files(session, known)
    with _reaching(table.url, table.format):
        if look(table.url, table.format, table.version)[0].files != known.files:
            raise Conflict(
                f"The files of {table.url} are no longer those that were registered.",
                hint="Register it again: that makes a new version.",
            )
        return normalised(_rows(table, columns)).select(list(columns))


def _rows(table: Foreign, columns: Sequence[str]) -> pa.Table:
    if table.format == "delta":
        return _delta(table.url, table.version).to_pyarrow_table(columns=list(columns))
    if table.format == "iceberg":
        scan = _iceberg(table.url).scan(selected_fields=tuple(columns), snapshot_id=int(table.version))
        return scan.to_arrow()
    return _parquet(table.url).to_table(columns=list(columns))


def _look_delta(url: str, version: str) -> tuple[ForeignTable, pa.Schema, int]:
    import pyarrow as pa

    found = _delta(url, version)
    added = pa.table(found.get_add_actions(flatten=True)).to_pylist()
    files = tuple(sorted(ForeignFile(each["path"], each["size_bytes"]) for each in added))
    schema = found.to_pyarrow_dataset().schema
    return ForeignTable(Foreign(url, "delta", str(found.version())), files), schema, found.count()


def _look_iceberg(url: str, version: str) -> tuple[ForeignTable, pa.Schema, int]:
    found = _iceberg(url)
    current = found.current_snapshot()
    if current is None:
        raise InvalidInput(f"The Iceberg table {url} has no rows yet.", hint="Register it when it has a snapshot.")
    number = int(version or current.snapshot_id)
    scan = found.scan(snapshot_id=number)
    parts = [task.file for task in scan.plan_files()]
    files = tuple(sorted(ForeignFile(part.file_path, part.file_size_in_bytes) for part in parts))
    schema = scan.projection().as_arrow()
    return ForeignTable(Foreign(url, "iceberg", str(number)), files), schema, scan.count()


def _look_parquet(url: str) -> tuple[ForeignTable, pa.Schema, int]:
    found = _parquet(url)
    infos = found.filesystem.get_file_info(found.files)
    files = tuple(sorted(ForeignFile(info.path, info.size) for info in infos))
    return ForeignTable(Foreign(url, "parquet", ""), files), found.schema, found.count_rows()


def _delta(url: str, version: str) -> DeltaTable:
    from deltalake import DeltaTable

    return DeltaTable(url, version=int(version) if version else None)


def _iceberg(url: str) -> StaticTable:
    """The table in a folder with `metadata/`, by its newest metadata, or of one file of metadata."""
    from pyiceberg.table import StaticTable

    if url.endswith(".json"):
        return StaticTable.from_metadata(url)
    newest = sorted((Path(url.removeprefix("file://")) / "metadata").glob("*.metadata.json"))
    if not newest:
        raise NotFound(f"There is no Iceberg table at {url}.", hint="Name its newest metadata.json.")
    return StaticTable.from_metadata(str(newest[-1]))


def _parquet(url: str) -> ds.FileSystemDataset:
    import pyarrow.dataset as ds
    from pyarrow.fs import FileSystem

    system, path = FileSystem.from_uri(url if "://" in url else str(Path(url).absolute()))
    found: ds.FileSystemDataset = ds.dataset(path, filesystem=system, format="parquet", exclude_invalid_files=False)
    return found


@contextmanager
def _reaching(url: str, format: ForeignFormat) -> Iterator[None]:
    """Say what went wrong out there in our own words."""
    import pyarrow as pa

    failures: tuple[type[Exception], ...] = (OSError, pa.ArrowException, ValueError)
    try:
        if format == "delta":
            from deltalake.exceptions import DeltaError

            failures = (*failures, DeltaError)
        if format == "iceberg":
            import pyiceberg  # noqa: F401  # Whether it is there.
        yield
    except ModuleNotFoundError as error:
        raise Misconfigured(
            f"Reading {format} needs the package {error.name}.", hint=f"pip install 'everloop[{format}]'"
        ) from None
    except failures as error:
        raise NotFound(f"There is no {format} table at {url} that can be read ({error}).") from None
