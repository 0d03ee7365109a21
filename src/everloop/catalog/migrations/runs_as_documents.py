"""Runs of homes before revision 0006 (a row for each value of a run) become runs with documents, points and all.

The tables change while they are empty: `set_aside` puts their rows into temporary ones, `carry_over` brings them back
in their new form. Nothing here depends on today's code, so that it stays right when that changes.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

import msgspec
from blake3 import blake3
from sqlalchemy import Connection, Table, text
from sqlalchemy import MetaData as Tables

_AT_ONCE = 2_000
"""So many points of a block make a segment: a segment takes a few at a time, as clients send them."""


def set_aside(connection: Connection) -> None:
    """Empty the tables of runs into temporary ones."""
    for name in ("runs", "run_values", "metric_blocks"):
        connection.execute(text(f"CREATE TEMPORARY TABLE old_{name} AS SELECT * FROM {name}"))  # noqa: S608 - names from here
        connection.execute(text(f"DELETE FROM {name}"))  # noqa: S608 - names from here
    connection.execute(text("CREATE INDEX old_run_values_of ON old_run_values (project, run)"))
    connection.execute(text("CREATE INDEX old_metric_blocks_of ON old_metric_blocks (project, run)"))


def carry_over(connection: Connection) -> None:
    """Write what was set aside in its new form."""
    tables = Tables()
    runs, tails = (Table(name, tables, autoload_with=connection) for name in ("runs", "metric_tail"))
    old = connection.execute(text("SELECT * FROM old_runs ORDER BY project, started, id")).mappings()
    for number, row in enumerate(old.all(), 1):
        segments = list(_segments(connection, row["project"], row["id"]))
        for sequence, (_, segment) in enumerate(segments):
            connection.execute(
                tails.insert(),
                {"project": row["project"], "run": row["id"], "sequence": sequence, "segment": segment},
            )
        counts = {
            "tail_next": len(segments),
            "tail_points": sum(count for count, _ in segments),
            "tail_bytes": sum(len(segment) for _, segment in segments),
        }
        texts, latest, user = _documents(connection, row["project"], row["id"])
        about = {"user": user, "group": "", "note": "", "changed": number, "texts": texts, "latest": latest}
        connection.execute(runs.insert(), dict(row) | counts | about)
    for name in ("runs", "run_values", "metric_blocks"):
        connection.execute(text(f"DROP TABLE old_{name}"))


def _documents(connection: Connection, project: str, run: str) -> tuple[bytes, bytes, str]:
    """The texts and the latest points of a run as documents, and who a client said had started it."""
    texts: dict[str, dict[str, str]] = {"parameter": {}, "tag": {}}
    latest: dict[str, list[float | int]] = {}
    query = text("SELECT kind, key, text, step, at, points FROM old_run_values WHERE project = :project AND run = :run")
    for kind, key, value, step, at, points in connection.execute(query, {"project": project, "run": run}):
        if kind == "metric":
            latest[key] = [float(value), step, at, points]
        else:
            texts[kind][key] = value
    encode = msgspec.msgpack.encode
    user = texts["tag"].get("mlflow.user", "")[:128]
    return encode([texts["parameter"], texts["tag"]]), encode(latest), user


def _segments(connection: Connection, project: str, run: str) -> Iterator[tuple[int, bytes]]:
    """The points of a run as segments with their counts, in the order in which those of a key were logged."""
    query = text(
        "SELECT key, count, points FROM old_metric_blocks WHERE project = :project AND run = :run ORDER BY key, first"
    )
    for key, count, points in connection.execute(query, {"project": project, "run": run}).all():
        columns = [bytes(points)[8 * count * part : 8 * count * (part + 1)] for part in range(3)]
        for start in range(0, count, _AT_ONCE):
            cut = [column[8 * start : 8 * (start + _AT_ONCE)] for column in columns]
            yield len(cut[0]) // 8, _segment(key, cut)


def _segment(key: str, columns: list[Any]) -> bytes:
    """A segment of version 1 with one key, not compressed."""
    count = len(columns[0]) // 8
    header = msgspec.msgpack.encode([[key], count, False])
    body = b"".join((bytes(4 * count), *columns))
    rest = struct.pack("<II", len(header), len(body)) + header + body
    return b"ELP1" + blake3(rest).digest(16) + rest
