"""Bytes by content: objects in and out of the store, beside a bare file that is written, synced and hashed."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path

import numpy as np
from blake3 import blake3

from benchmarks import scratch
from benchmarks.harness import Figure, Side, compare
from everloop.store.entities import Digest

SMALL, MANY = 1_000, 200
LARGE = 60_000_000


def run() -> Sequence[Figure]:
    """Small objects by the hundred, and one of 60 MB."""
    store, bare = scratch.platform().resources.store, _Bare(scratch.folder())
    small, large = _Fresh(SMALL, MANY), _Fresh(LARGE, 1)
    kept = [store.put(data) for data in small.items], [bare.put(data) for data in small.items]
    big = store.put(large.items[0]), bare.put(large.items[0])
    return [
        compare(
            "put 1 kB",
            Side("store", lambda: [store.put(data) for data in small.items], small.renew),
            Side("BLAKE3, write, fsync", lambda: [bare.put(data) for data in small.items]),
            each=MANY,
        ),
        compare(
            "get 1 kB, verified",
            Side("store", lambda: [store.get(digest) for digest in kept[0]]),
            Side("read, BLAKE3", lambda: [bare.get(path) for path in kept[1]]),
            each=MANY,
        ),
        compare(
            "put 60 MB",
            Side("store", lambda: store.put(large.items[0]), large.renew),
            Side("BLAKE3, write, fsync", lambda: bare.put(large.items[0])),
            unit="ms",
            rounds=3,
        ),
        compare(
            "put 60 MB again with 1 kB changed in the middle",
            Side("store", lambda: store.put(large.items[0]), large.edit),
            Side("BLAKE3, write, fsync", lambda: bare.put(large.items[0])),
            unit="ms",
            rounds=3,
        ),
        compare(
            "get 60 MB, verified",
            Side("store", lambda: store.get(Digest(big[0]))),
            Side("read, BLAKE3", lambda: bare.get(big[1])),
            unit="ms",
            rounds=3,
        ),
    ]


class _Fresh:
    """Random bytes that nobody has kept before; each round of both sides has the same ones."""

    def __init__(self, size: int, many: int) -> None:
        self._size, self._many = size, many
        self._seeds: Iterator[int] = count()
        self.renew()

    def renew(self) -> None:
        """Others."""
        random = np.random.default_rng(next(self._seeds))
        self.items = [random.bytes(self._size) for _ in range(self._many)]

    def edit(self) -> None:
        """The same with a thousand bytes changed."""
        middle = self._size // 2
        change = np.random.default_rng(next(self._seeds)).bytes(1_000)
        self.items = [item[:middle] + change + item[middle + 1_000 :] for item in self.items]


class _Bare:
    """Files in a folder, named by hash; as durable as the store."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def put(self, data: bytes) -> Path:
        """Write and sync."""
        path = self._folder / blake3(data).hexdigest()
        handle = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
        try:
            os.write(handle, data)
            os.fsync(handle)
        finally:
            os.close(handle)
        return path

    def get(self, path: Path) -> bytes:
        """Read and verify."""
        data = path.read_bytes()
        assert blake3(data).hexdigest() == path.name
        return data
