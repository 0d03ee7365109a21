"""The inference log: durable appends and polls, beside bare Arrow messages written with fdatasync."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial

import numpy as np
import pyarrow as pa

from benchmarks import scratch
from benchmarks.harness import Figure, Side, compare, repeated
from everloop.registry.entities import Field
from everloop.serving.inferencelog import LogReader, LogWriter, schema_of

APPENDS = 50
FEATURES = 20


def run() -> Sequence[Figure]:
    """Appending batches, and reading them as they come."""
    home = scratch.folder()
    writer, reader = LogWriter(home, "bench", "log"), LogReader(home, "bench", "log")
    with _bare_file() as file:
        appends = [
            compare(
                f"append {rows:,} row{'s' * (rows > 1)} durably",
                Side("inference log", repeated(partial(writer.append, _batch(rows)), APPENDS)),
                Side("Arrow message, write, fdatasync", repeated(partial(_append, file, _batch(rows)), APPENDS)),
                each=APPENDS,
            )
            for rows in (1, 50, 1_000)
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
    ]


def _batch(rows: int) -> pa.RecordBatch:
    random = np.random.default_rng(7)
    schema = schema_of([Field(f"f{number}", "float64") for number in range(FEATURES)], ["origin"])
    columns = {
        pa.string(): pa.array([f"0123456789abcdef0123456789abcdef-{row}" for row in range(rows)]),
        pa.float64(): pa.array(random.random(rows)),
        pa.int64(): pa.array(np.full(rows, 1_700_000_000_000_000)),
        pa.int32(): pa.array(np.full(rows, 1, np.int32)),
    }
    return pa.RecordBatch.from_arrays([columns[field.type] for field in schema], schema=schema)


@contextmanager
def _bare_file() -> Iterator[int]:
    file = os.open(scratch.folder() / "bare.arrows", os.O_WRONLY | os.O_CREAT, 0o600)
    try:
        yield file
    finally:
        os.close(file)


def _append(file: int, batch: pa.RecordBatch) -> None:
    os.write(file, batch.serialize())
    os.fdatasync(file)
