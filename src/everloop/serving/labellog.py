"""The label log: the truth about units, as it comes in, joined to predictions by key.

It lies beside the inference log, in segments of its own. The first label of a key counts; later ones are ignored.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

from everloop.kernel.clock import from_micros, micros
from everloop.kernel.errors import InvalidInput
from everloop.serving.entities import FeedbackReceipt, Label
from everloop.serving.inferencelog import folder_of
from everloop.serving.segments import Position, SegmentReader, SegmentWriter

if TYPE_CHECKING:
    from datetime import datetime

    import pyarrow as pa

REMEMBERED = 1_000_000
"""A writer recognises the keys of so many labels; an older duplicate is kept twice, and joins ignore it."""


class LabelReader:
    """Reads an endpoint's labels, whoever writes them. Columns: key, value, at (known from, µs), received_at (µs)."""

    def __init__(self, home: Path, project: str, endpoint: str) -> None:
        self._segments = SegmentReader(folder_of(home, project, endpoint) / "labels")

    def since(self, position: Position = Position()) -> tuple[list[pa.RecordBatch], Position]:
        """The batches that were appended after a position, and the position after them; cheap enough to poll."""
        return self._segments.since(position)

    def find(self, key: str) -> Label | None:
        """The label that counts for a key."""
        import pyarrow.compute as pc

        for batch in self.since()[0]:
            row = pc.index(batch.column("key"), key).as_py()
            if row >= 0:
                return Label(key, batch.column("value")[row].as_py(), from_micros(batch.column("at")[row].as_py()))
        return None


class LabelWriter:
    """Appends labels; one for each process and endpoint. Several threads may share it."""

    def __init__(self, home: Path, project: str, endpoint: str) -> None:
        self._segments = SegmentWriter(folder_of(home, project, endpoint) / "labels")
        self._reader = LabelReader(home, project, endpoint)
        self._position = Position()
        self._known: dict[str, None] = {}
        self._lock = Lock()

    def append(self, labels: Sequence[Label], now: datetime) -> FeedbackReceipt:
        """Keep the labels whose keys have none yet, durably.

        Raises:
            InvalidInput: a label has no key, or its value does not lie between 0 and 1.
            Unavailable: the disk did not take them.
        """
        for label in labels:
            if not label.key or not 0.0 <= label.value <= 1.0:
                raise InvalidInput(
                    f"{label.value!r} for {label.key!r} is not a label.", hint="Send a key and a number from 0 to 1."
                )
        with self._lock:
            self._catch_up()
            fresh = list({label.key: label for label in reversed(labels) if label.key not in self._known}.values())
            if fresh:
                self._segments.append([_batch(fresh[::-1], now)], now)
                self._catch_up()
        return FeedbackReceipt(len(fresh), len(labels) - len(fresh))

    def close(self) -> None:
        """Give back the file."""
        self._segments.close()

    def _catch_up(self) -> None:
        """Learn the keys that this process and others have written since."""
        batches, self._position = self._reader.since(self._position)
        for batch in batches:
            self._known.update(dict.fromkeys(batch.column("key").to_pylist()))
        while len(self._known) > REMEMBERED:
            del self._known[next(iter(self._known))]


def shared_writer(home: Path, project: str, endpoint: str) -> LabelWriter:
    """This process's writer for an endpoint's labels."""
    return _writer(home, project, endpoint, os.getpid())


@lru_cache(maxsize=256)
def _writer(home: Path, project: str, endpoint: str, process: int) -> LabelWriter:
    return LabelWriter(home, project, endpoint)


def _batch(labels: Sequence[Label], now: datetime) -> pa.RecordBatch:
    import numpy as np
    import pyarrow as pa

    from everloop.serving.arrow import numbers, texts

    received = micros(now)
    known = [received if label.at is None else micros(label.at) for label in labels]
    columns = {
        "key": texts([label.key for label in labels]),
        "value": numbers(np.array([label.value for label in labels]), pa.float64()),
        "at": numbers(np.array(known), pa.int64()),
        "received_at": numbers(np.full(len(labels), received), pa.int64()),
    }
    return pa.RecordBatch.from_arrays(list(columns.values()), names=list(columns))
