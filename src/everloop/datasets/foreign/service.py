"""What one can do with other systems: register their tables without a copy, and write ours for them."""

from __future__ import annotations

from pathlib import Path

import msgspec

from everloop.catalog.session import Session
from everloop.datasets.content import commit_content, read_table, snapshot_at
from everloop.datasets.entities import At, Change, Column, Content, ForeignFormat, Snapshot
from everloop.datasets.foreign.exporting import ExportFormat, export_table
from everloop.datasets.foreign.places import check_files, check_reach, look
from everloop.datasets.formats import normalised
from everloop.datasets.text import type_name
from everloop.kernel.ids import Name
from everloop.kernel.usecase import usecase


@usecase("datasets.register", permission="datasets:import", route="POST /datasets/{name}/registrations", long=True)
def register(
    session: Session, name: Name, url: str, format: ForeignFormat, version: str = "", note: str = ""
) -> Snapshot:
    """Make a table of another system a version of a dataset, where it is: its rows are not copied.

    `url` is the folder of a Delta or Iceberg table or of Parquet files (or one file), as this machine reaches it;
    `version` is one of the table's own, and empty its newest. What is recorded are the version and its files: when
    these are changed there, the version can no longer be read. A server reaches only public addresses, unless its
    owner set EVERLOOP_PRIVATE_SOURCES=true.
    """
    check_reach(session, url)
    found, schema, rows = look(url, format, version)
    check_files(session, found)
    plain = normalised(schema.empty_table()).schema
    content = Content(
        "table",
        session.store.put(msgspec.json.encode(found)),
        sum(file.bytes for file in found.files),
        rows,
        columns=tuple(Column(field.name, type_name(field.type), field.nullable) for field in plain),
        foreign=found.table,
    )
    return commit_content(session, name, content, Change(note or f"registered {url}"))


@usecase("datasets.export", permission="datasets:import", route="POST /datasets/{name}/exports", long=True)
def export(session: Session, name: Name, folder: str, format: ExportFormat, at: At = "") -> str:
    """Write a version of a table for other systems, below a folder of the machine that Everloop runs on; its path.

    That is one file, or the folder of a Delta table (which gets a new version if it is there) or an Iceberg table.
    """
    check_reach(session, folder)
    return str(export_table(read_table(session, snapshot_at(session, name, at)), Path(folder), name, format))
