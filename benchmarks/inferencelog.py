"""The inference log: durable appends, polls, look-ups and bytes a row, beside bare Arrow and DuckDB."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial

import numpy as np
import pyarrow as pa

from benchmarks import scratch
from benchmarks.harness import Figure, Side, compare, repeated
from everloop.kernel.clock import EPOCH
from everloop.registry.entities import Field
from everloop.serving.compaction import compact
from everloop.serving.entities import Endpoint
from everloop.serving.inferencelog import LogReader, LogWriter, schema_of
from everloop.serving.ipc import BatchEncoder, EncodedBatch, same_text, text

APPENDS = 50
FEATURES = 20
TURN = 32
MANY = 9_000 * TURN
START = 1_700_000_000_000_000
SCHEMA = schema_of([Field(f"f{number}", "float64") for number in range(FEATURES)], ["origin"])
ENCODER = BatchEncoder(SCHEMA)
log = logging.getLogger(__name__)


def run() -> Sequence[Figure]:
    """Encoding and appending batches, reading them as they come, and finding one of many."""
    home = scratch.folder()
    writer, reader = LogWriter(home, "bench", "log"), LogReader(home, "bench", "log")
    with _bare_file() as file:
        appends = [
            compare(
                f"encode and append {rows:,} row{'s' * (rows > 1)} durably",
                Side("inference log", repeated(partial(_encoded, writer, rows), APPENDS)),
                Side("Arrow batch, write, fdatasync", repeated(partial(_append, file, rows), APPENDS)),
                each=APPENDS * rows,
            )
            for rows in (1, 32, 1_000)
        ]
    _, end = reader.since()
    whole = sum(batch.num_rows for batch in reader.since()[0])
    raw = list(home.rglob("*.arrows"))
    return [
        *appends,
        compare(
            "poll when nothing has come",
            Side("LogReader.since", repeated(lambda: reader.since(end), 100)),
            Side("stat of a file", repeated(lambda: raw[0].stat(), 100)),
            each=100,
        ),
        compare(
            "read and verify a row",
            Side("LogReader.since", lambda: reader.since()),
            Side("read of the bytes", lambda: [path.read_bytes() for path in raw]),
            each=whole,
        ),
        *_lookups(),
    ]


def _lookups() -> list[Figure]:
    """One prediction among many, by its id and by its key, in the archive."""
    home = scratch.folder() / "archived"
    writer = LogWriter(home, "bench", "log")
    for start in range(0, MANY, TURN):
        writer.append_all([_turn(TURN, start)])
    writer.close()
    compact(home, "bench", Endpoint("log", "m", "", "", (), (), 1, EPOCH), EPOCH)
    files = list(home.rglob("*.parquet"))
    log.info("%s bytes a row in Parquet", sum(path.stat().st_size for path in files) // MANY)
    wanted, key = _ids(MANY // 2, 1)[0], f"unit {MANY // 2}"
    query = "SELECT * FROM read_parquet(?) WHERE {} = ?"
    ours = LogReader(home, "bench", "log")
    pattern = [str(path) for path in files]
    return [
        compare(
            f"find one of {MANY:,} by {name}",
            Side("LogReader", repeated(find, 20)),
            Side("DuckDB over the Parquet", repeated(partial(_asked, query.format(column), pattern, value), 20)),
            each=20,
        )
        for name, find, column, value in (
            ("its id", partial(ours.find, wanted), "prediction_id", wanted),
            ("its key", partial(ours.of_key, key), "key", key),
        )
    ]


def _asked(query: str, files: list[str], value: str) -> object:
    import duckdb

    return duckdb.execute(query, [files, value]).fetchall()


def _ids(start: int, count: int) -> list[str]:
    return [f"{START // 1000 + number // TURN:012x}{number:020x}-0" for number in range(start, start + count)]


def _turn(rows: int, start: int = 0) -> EncodedBatch:
    """What a turn of so many requests of one row writes."""
    numbers = np.random.default_rng(start).random((FEATURES, rows))
    at = START + start // TURN * 1000
    ids = _ids(start, rows)
    return ENCODER.encode(
        rows,
        at,
        [
            text(ids),
            text(ids),
            bytes(8 * rows),
            np.full(rows, at).tobytes(),
            np.full(rows, 1, np.int32).tobytes(),
            np.full(rows, 1, np.int32).tobytes(),
            same_text("stable", rows),
            np.full(rows, 1.0).tobytes(),
            text([f"unit {number}" for number in range(start, start + rows)]),
            numbers[0].tobytes(),
            np.full(rows, 100).tobytes(),
            text([f"a{number % 100}" for number in range(start, start + rows)]),
            numbers.tobytes(),
        ],
    )


def _encoded(writer: LogWriter, rows: int) -> None:
    writer.append_all([_turn(rows)])


def _batch(rows: int) -> pa.RecordBatch:
    random = np.random.default_rng(7)
    columns = {
        pa.string(): pa.array([f"0123456789abcdef0123456789abcdef-{row}" for row in range(rows)]),
        pa.float64(): pa.array(random.random(rows)),
        pa.int64(): pa.array(np.full(rows, 1_700_000_000_000_000)),
        pa.int32(): pa.array(np.full(rows, 1, np.int32)),
    }
    return pa.RecordBatch.from_arrays([columns[field.type] for field in SCHEMA], schema=SCHEMA)


@contextmanager
def _bare_file() -> Iterator[int]:
    file = os.open(scratch.folder() / "bare.arrows", os.O_WRONLY | os.O_CREAT, 0o600)
    try:
        yield file
    finally:
        os.close(file)


def _append(file: int, rows: int) -> None:
    os.write(file, _batch(rows).serialize())
    os.fdatasync(file)
