"""Tables written as files and tables of other systems, so that these read them without us."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from everloop.kernel.errors import Conflict, InvalidInput, Misconfigured

if TYPE_CHECKING:
    import pyarrow as pa

ExportFormat = Literal["parquet", "csv", "arrow", "delta", "iceberg"]
_SHOWN = 200


def export_table(table: pa.Table, folder: Path, name: str, format: ExportFormat) -> Path:
    """Write a table below a folder: `name.parquet`, `.csv` or `.arrow`, or the folder `name` of a table of others.

    Files are whole or not there. A Delta table that is there gets a new version; an Iceberg table must be new.

    Raises:
        Conflict: there is such an Iceberg table.
        InvalidInput: the folder cannot be written.
        Misconfigured: the library that writes the format is not installed.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return _export(table, folder, name, format)
    except ModuleNotFoundError as error:
        raise Misconfigured(
            f"Writing {format} needs the package {error.name}.", hint=f"pip install 'everloop[{format}]'"
        ) from None
    except OSError as error:
        raise InvalidInput(
            f"{str(folder)[:_SHOWN]!r} cannot be written ({error.strerror or error}).", hint="Choose another folder."
        ) from None


def _export(table: pa.Table, folder: Path, name: str, format: ExportFormat) -> Path:
    if format == "delta":
        return _delta(table, folder / name)
    if format == "iceberg":
        return _iceberg(table, folder, name)
    target = folder / f"{name}.{format}"
    partial = target.with_name(f".{target.name}.partial")
    try:
        _file(table, partial, format)
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)
    return target


def _file(table: pa.Table, path: Path, format: ExportFormat) -> None:
    import pyarrow.csv as arrow_csv
    import pyarrow.ipc as ipc

    from everloop.datasets.parquet import write

    if format == "parquet":
        with path.open("w+b") as file:
            write(table, file)
    elif format == "csv":
        arrow_csv.write_csv(table, path)
    else:
        with ipc.new_file(path, table.schema) as writer:
            writer.write_table(table)


def _delta(table: pa.Table, folder: Path) -> Path:
    from deltalake import write_deltalake

    write_deltalake(str(folder), table, mode="overwrite", schema_mode="overwrite")
    return folder


def _iceberg(table: pa.Table, folder: Path, name: str) -> Path:
    """An Iceberg table in a folder; the catalog that it takes to write one is thrown away."""
    from pyiceberg.catalog.memory import InMemoryCatalog

    target = folder / name
    if target.exists():
        raise Conflict(f"There is something at {target}.", hint="Export to another folder, or remove it first.")
    catalog = InMemoryCatalog("everloop", warehouse=folder.absolute().as_uri())
    catalog.create_namespace("everloop")
    made = catalog.create_table(f"everloop.{name}", table.schema, location=target.absolute().as_uri())
    made.append(table)
    return target
