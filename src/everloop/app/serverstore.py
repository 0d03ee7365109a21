"""A server's store, as if it were here: many objects travel in packs, and only those that it lacks."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import Protocol

from everloop.kernel.errors import NotFound, Refused
from everloop.store.blobs import Blob, Range
from everloop.store.frames import opened
from everloop.store.index import Index, PackInfo
from everloop.store.objects import LEASES, OBJECTS, Objects, digest_at, loose_key, verified
from everloop.store.packs import RECIPE, Row
from everloop.store.parcels import MOST_NAMED, frames_in
from everloop.store.service import Store


class Wire(Protocol):
    """Sends a request to the server below `/api/v1`, again if it does not answer."""

    def send(self, method: str, path: str, content: bytes = b"") -> bytes:
        """The body of the answer.

        Raises:
            EverloopError: whatever the server raised, as the same class.
        """
        ...


def server_store(wire: Wire) -> Store:
    """The store of the server at the other end."""
    store = Store(_ServerBlobs(wire))
    store.objects = _ServerObjects(wire)
    return store


class _ServerBlobs:
    """What of a place for blobs a server offers: packs and objects go in, objects come out."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    @property
    def local(self) -> Path | None:
        return None

    def put(self, key: str, data: bytes | bytearray | memoryview) -> None:
        if not key.startswith(LEASES):  # The server leases what it was asked for.
            self._wire.send("POST", "/objects" if key.startswith(OBJECTS) else "/packs", bytes(data))

    def put_all(self, items: Iterable[tuple[str, bytes]]) -> None:
        for key, data in items:
            self.put(key, data)

    def get(self, key: str) -> bytes:
        return self._wire.send("GET", f"/objects/{digest_at(key)}")

    def get_all(self, keys: Iterable[str]) -> Iterator[bytes]:
        return map(self.get, keys)

    def get_range(self, key: str, start: int, length: int) -> bytes:
        return self.get(key)[start : start + length]

    def get_ranges(self, ranges: Iterable[Range]) -> Iterator[bytes]:
        return (self.get_range(*stretch) for stretch in ranges)

    def has(self, key: str) -> bool:
        return self.touch(key)

    def touch(self, key: str) -> bool:
        if not key.startswith(OBJECTS):
            return True
        raw = bytes.fromhex(digest_at(key))
        return not self._wire.send("POST", "/objects/missing", raw)

    def keys(self, prefix: str) -> Iterator[Blob]:
        return iter(())

    def read_tagged(self, key: str) -> tuple[bytes, str]:
        raise _not_here()

    def swap(self, key: str, data: bytes, expected: str | None) -> str:
        raise _not_here()

    def delete(self, key: str) -> None:
        raise _not_here()


class _ServerIndex(Index):
    """Knows what the server says that it has; what was found once is not asked for again."""

    def __init__(self, wire: Wire) -> None:
        super().__init__(None)
        self._wire = wire
        self._there: set[bytes] = set()

    def known(self, digests: Collection[bytes]) -> set[bytes]:
        """Those that the server has."""
        wanted = sorted(set(digests) - self._there)
        for at in range(0, len(wanted), MOST_NAMED):
            some = wanted[at : at + MOST_NAMED]
            absent = self._wire.send("POST", "/objects/missing", b"".join(some))
            self._there.update(set(some) - {absent[at : at + 32] for at in range(0, len(absent), 32)})
        return self._there.intersection(digests)

    def holders(self, digests: Collection[bytes]) -> dict[bytes, bytes]:
        """Those that the server has; it does not tell in which packs."""
        return dict.fromkeys(self.known(digests), b"")

    def add(self, pack: PackInfo, rows: Collection[Row]) -> None:
        """Know what was just sent."""
        self._there.update(row.digest for row in rows)


class _ServerObjects(Objects):
    """Objects that are asked for by the packful."""

    def __init__(self, wire: Wire) -> None:
        super().__init__(_ServerBlobs(wire))
        self._wire = wire
        self.index = _ServerIndex(wire)

    def has(self, raw: bytes) -> bool:
        """Whether the server holds an object."""
        return bool(self.index.known((raw,)))

    def missing(self, raws: Collection[bytes]) -> set[bytes]:
        """Those that the server does not hold."""
        return set(raws) - self.index.known(raws)

    def refresh(self) -> bool:
        """There is nothing to learn of: the server is asked each time."""
        return False

    def read(self, raw: bytes) -> tuple[bytes, bool]:
        """An object's bytes, verified, and whether they are a recipe for it."""
        for found, data, is_recipe in self.read_many([raw]):
            if found == raw:
                return data, is_recipe
        return verified(self.blobs.get(loose_key(raw)), raw), False

    def read_many(self, raws: Iterable[bytes]) -> Iterator[tuple[bytes, bytes, bool]]:
        """Digest, bytes and whether they are a recipe, of each once, a pack at a time; every byte is verified."""
        left = sorted(set(raws))
        while left:
            frames = frames_in(self._wire.send("POST", "/objects/batch", b"".join(left[:MOST_NAMED])))
            for frame in frames:
                yield frame.digest, opened(frame), frame.kind == RECIPE
            came = {frame.digest for frame in frames}
            if came.isdisjoint(left):
                raise NotFound(f"The server did not send object {left[0].hex()}.")
            left = [raw for raw in left if raw not in came]


def _not_here() -> Refused:
    return Refused("A server's store cannot be worked on from outside.", hint="Use its use cases.")
