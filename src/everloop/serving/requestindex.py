"""Which requests have been answered already: what makes a retried request harmless, after a crash too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from everloop.serving.arrow import array_of
from everloop.serving.inferencelog import LogReader
from everloop.serving.segments import Place, Position

if TYPE_CHECKING:
    import pyarrow as pa

REMEMBERED = 100_000
"""So many of the newest requests are recognised."""
Request = tuple[str, int]
"""A request's id and the digest of its columns: clients that give every request the same id are not held to it."""
NOBODY: Request = ("", 0)
"""A request that has no id, or got no answer: it is never recognised."""


class RequestIndex:
    """Where the answers to the newest requests stand in the log. Keeps ~200 bytes a request."""

    def __init__(self, log: LogReader) -> None:
        self._log = log
        self._places: dict[Request, Place] = {}
        self._position = Position()
        self.catch_up()

    def find(self, request: Request) -> pa.RecordBatch | None:
        """What was logged when the request was answered; None when it was not."""
        place = self._places.get(request)
        return None if place is None else self._log.read(place)

    def add(self, requests: Sequence[Request], places: Sequence[Place]) -> None:
        """Remember requests that this process has answered."""
        for request, place in zip(requests, places, strict=True):
            if request[0]:
                self._places[request] = place
        self._position = self._position.past(places[-1])
        self._forget()

    def catch_up(self) -> None:
        """Learn what other processes have answered since, and at the start what all have."""
        found, self._position = self._log.places(self._position, REMEMBERED)
        for place, batch in found:
            digest = batch.column("request_digest")[0].as_py()
            if digest and len(answered_rows(batch)):
                self._places[batch.column("request_id")[0].as_py(), digest] = place
        self._forget()

    def _forget(self) -> None:
        while len(self._places) > REMEMBERED:
            del self._places[next(iter(self._places))]


def digest_of(columns: Mapping[str, np.ndarray]) -> int:
    """A 63-bit digest of a request's columns; never 0. Costs some 20 µs for 50 rows."""
    hasher = blake2b(digest_size=8)
    for name in sorted(columns):
        values = columns[name]
        hasher.update(name.encode())
        hasher.update(msgspec.json.encode(values.tolist()) if values.dtype == object else values.tobytes())
    return int.from_bytes(hasher.digest(), "big") >> 1 or 1


def answered_rows(batch: pa.RecordBatch) -> np.ndarray:
    """The rows of a logged request that were its answer, in its order: no shadows, and nothing that failed."""
    roles = np.asarray(batch.column("role").to_pylist(), dtype=object)
    failed = np.isnan(array_of(batch.column("output")))
    rows: np.ndarray = np.flatnonzero((roles == "stable") | ((roles == "canary") & ~failed))
    return rows[:0] if failed[rows].all() else rows
