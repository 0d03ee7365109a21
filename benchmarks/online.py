"""Online features: reads of 50 rows over 5 views and an hour's materialization, beside raw LMDB with the same bytes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from functools import partial
from itertools import count

import numpy as np

from benchmarks import scratch
from benchmarks.harness import Figure, Side, compare, repeated
from everloop.cli.demo.journey import LOOP
from everloop.datasets import content
from everloop.features import service as features
from everloop.features.online import Materializer, OnlineFeatures
from everloop.features.onlinestore import OnlineStore
from everloop.kernel.clock import micros

READS = 200
HOURS = 24
Items = Sequence[tuple[bytes, bytes]]


def run() -> Sequence[Figure]:
    """Reading and writing."""
    session = scratch.flights().session()
    with session.begin(write=False) as unit:
        pinned = features.pin(unit, LOOP)
    rows = content.read_table(session, content.snapshot_of(session, "schedule")).slice(80_000, 50)
    keys = {name: np.array(rows[name].to_pylist(), dtype=object) for name in ("origin", "carrier", "tailnum")}
    start = session.clock.now() + timedelta(days=30)
    store = session.ports.get(OnlineStore)
    spy = _Spy(store)
    session.ports.provide(OnlineStore, lambda: spy)
    materializer = Materializer(session, pinned)
    session.ports.provide(OnlineStore, lambda: store)
    materializer.advance(start)
    bare = _Bare(spy.written)
    materializer.advance(start + timedelta(hours=1))
    OnlineFeatures(spy, pinned).read(keys, micros(start))

    online, real = OnlineFeatures(store, pinned), Materializer(session, pinned)
    hours: Iterator[int] = count(2)
    return [
        compare(
            "50 rows × 5 views",
            Side("OnlineFeatures.read", repeated(lambda: online.read(keys, micros(start)), READS)),
            Side("raw LMDB gets", repeated(partial(bare.get, spy.wanted), READS)),
            each=READS,
        ),
        compare(
            "an hour of materialization",
            Side("Materializer.advance", repeated(lambda: real.advance(start + timedelta(hours=next(hours))), HOURS)),
            Side("raw LMDB puts", repeated(partial(bare.put, spy.written), HOURS)),
            each=HOURS,
        ),
    ]


class _Spy:
    """An online store that remembers what was asked of it last."""

    def __init__(self, store: OnlineStore) -> None:
        self.store = store
        self.written: Items = []
        self.wanted: Sequence[bytes] = []

    def write(self, table: str, items: Items) -> None:
        """Write, and remember what."""
        self.written = list(items)
        self.store.write(table, items)

    def read(self, table: str, keys: Sequence[bytes]) -> list[bytes | None]:
        """Read, and remember what."""
        self.wanted = list(keys)
        return self.store.read(table, keys)

    def clear(self, table: str) -> None:
        """Nobody asks."""

    def close(self) -> None:
        """It belongs to the platform."""


class _Bare:
    """LMDB itself."""

    def __init__(self, items: Items) -> None:
        import lmdb

        self._environment = lmdb.open(str(scratch.folder()), map_size=1 << 28, sync=False, metasync=False)
        self.put(items)

    def get(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """Values in one transaction."""
        with self._environment.begin() as transaction:
            return [transaction.get(key) for key in keys]

    def put(self, items: Items) -> None:
        """Values in one transaction."""
        with self._environment.begin(write=True) as transaction, transaction.cursor() as cursor:
            cursor.putmulti(items)
