"""Which requests have been answered already: what makes a retried request harmless, after a crash too."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from hashlib import blake2b
from threading import Lock
from typing import TYPE_CHECKING, NamedTuple

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from everloop.kernel.errors import Conflict
from everloop.serving.arrow import array_of
from everloop.serving.inferencelog import LogReader
from everloop.serving.segments import Place, Position

if TYPE_CHECKING:
    from everloop.serving.committer import Commit
    from everloop.serving.request import Answer

REMEMBERED = 100_000
"""So many of the newest requests are recognised; after a start those among as many of the log's newest rows.

Of rows that are large it is fewer then: a start reads no more than two segments.
"""


class Found(NamedTuple):
    """A request that was answered before, and the rows of the log that its answer stands in."""

    batch: pa.RecordBatch
    rows: np.ndarray


class Waiting(NamedTuple):
    """A request whose answer is on its way into the log: its content, the answer, and the commit to wait for."""

    digest: int
    answer: Answer
    commit: Commit


class RequestIndex:
    """The newest requests that have ids: those on their way, and where the answers of others stand in the log.

    Keeps ~200 bytes a request. One thread computes, another one commits, a third one looks what others have answered.
    """

    def __init__(self, log: LogReader) -> None:
        self._log = log
        self._waiting: dict[str, Waiting] = {}
        self._places: dict[str, tuple[int, Place]] = {}
        self._position = Position()
        self._lock = Lock()
        self.catch_up()

    def waiting(self, id: str, digest: int) -> Waiting | None:
        """The request, when its answer is on its way.

        Raises:
            Conflict: another one had the same id.
        """
        found = self._waiting.get(id)
        if found is not None:
            require_same(id, found.digest, digest)
        return found

    def find(self, id: str, digest: int) -> Found | None:
        """What was logged when the request was answered; None when it was not.

        Raises:
            Conflict: another one had the same id.
        """
        known = self._places.get(id)
        if known is None:
            return None
        require_same(id, known[0], digest)
        batch = self._log.read(known[1])
        if batch is None:
            return None
        mine = pc.equal(batch.column("request_id"), id)
        rows = np.flatnonzero(np.array(mine, dtype=bool) & (array_of(batch.column("request_digest")) == digest))
        return Found(batch, rows[answered(batch)[rows]])

    def begin(self, id: str, waiting: Waiting) -> None:
        """Recognise a request from now on: its answer is on its way."""
        self._waiting[id] = waiting

    def end(self, ids: Iterable[str]) -> None:
        """Forget requests that were not logged; they may come again."""
        for id in ids:
            self._waiting.pop(id, None)

    def kept(self, requests: Mapping[str, tuple[int, Place]], places: Sequence[Place]) -> None:
        """Remember requests that are in the log now; `places` are all that was written."""
        with self._lock:
            self._places |= requests
            for place in places:
                self._position = self._position.past(place)
            self._forget()
        self.end(requests)

    def catch_up(self) -> None:
        """Learn what other processes have answered since, and at the start what all have."""
        found, position = self._log.gathered(self._position, _placed, REMEMBERED)
        with self._lock:
            for learned in found:
                self._places |= learned
            self._position = position
            self._forget()

    def _forget(self) -> None:
        while len(self._places) > REMEMBERED:
            del self._places[next(iter(self._places))]


def require_same(id: str, known: int, digest: int) -> None:
    """Let a request through that is the one that was known by its id.

    Raises:
        Conflict: it has another content.
    """
    if known != digest:
        raise Conflict(
            f"Another request had the id {id!r}.", hint="Give each request an id of its own, or none: then it gets one."
        )


def digest_of(columns: Mapping[str, np.ndarray]) -> int:
    """A 63-bit digest of a request's columns, however they lie in memory; negative. Costs ~5 µs for one row.

    What an earlier version wrote was positive; its requests are not recognised.
    """
    hasher = blake2b(digest_size=8)
    for name in sorted(columns):
        values = columns[name]
        hasher.update(name.encode())
        if values.dtype.kind in "fiub":
            hasher.update(values.astype(np.float64).tobytes())
        else:
            hasher.update(msgspec.json.encode(values.tolist()))
    return -(int.from_bytes(hasher.digest(), "big") >> 1) - 1


def _placed(place: Place, batch: pa.RecordBatch) -> dict[str, tuple[int, Place]]:
    """The requests of a batch, as the index keeps them."""
    return {id: (digest, place) for id, digest in _requests(batch).items()}


def _requests(batch: pa.RecordBatch) -> dict[str, int]:
    """The ids and digests of the requests that got an answer in a batch."""
    digests = array_of(batch.column("request_digest"))
    rows = np.flatnonzero(digests < 0)
    if not len(rows):
        return {}
    rows = rows[answered(batch)[rows]]
    ids = batch.column("request_id").take(pa.array(rows)).to_pylist()
    return dict(zip(ids, digests[rows].tolist(), strict=True))


def answered(batch: pa.RecordBatch) -> np.ndarray:
    """Which rows were answers: no shadows, and nothing that failed.

    A stable variant's failure on a row is an answer too, when the request's other rows were answered; then its digest
    was logged.
    """
    roles = batch.column("role")
    stable = np.array(pc.is_in(roles, pa.array(["stable", "fallback"])), dtype=bool)
    failed = np.isnan(array_of(batch.column("output")))
    rows: np.ndarray = stable | (np.array(pc.equal(roles, "canary"), dtype=bool) & ~failed)
    return rows
