"""Many objects at once: into packs, which a thread of its own writes while the next are hashed."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Collection, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO

from blake3 import blake3

from everloop.kernel.errors import Conflict, NotFound
from everloop.kernel.progress import SILENT, Progress
from everloop.store import chunks, packs
from everloop.store.buffers import Buffers
from everloop.store.chunks import WHOLE, Recipe, chunked, chunked_stream
from everloop.store.compression import Compression
from everloop.store.entities import Digest
from everloop.store.index import PackInfo
from everloop.store.leases import lease
from everloop.store.objects import Objects, kind_of, raw_digest, raw_of
from everloop.store.packs import RECIPE, Row

_PENDING = 2_000, 4 << 20
"""So many objects or bytes are looked up in the index at once."""
_WRITERS = 2
_IN_FLIGHT = 3
_MOST_OBJECTS = 500_000

Buffer = bytes | bytearray | memoryview


class Bulk:
    """Takes many objects. They are durable when `flush` returns; those of a bulk that failed may be there or not.

    Folders and recipes go to packs of their own: they are read together, and a sweep can rewrite them cheaply.
    Threads may share one.
    """

    def __init__(self, objects: Objects, progress: Progress = SILENT) -> None:
        self.packs: set[bytes] = set()
        """The names of the packs that hold what was put, when it is durable, and what was relied on."""
        self._objects = objects
        self._progress = progress
        self._done = 0
        self._lock = threading.RLock()
        self._pending: dict[bytes, tuple[Buffer, int]] = {}
        self._pending_bytes = 0
        self._unwritten: set[bytes] = set()
        self._relied: set[bytes] = set()
        self._written: set[bytes] = set()
        self._data, self._folders = _Draft(objects.buffers), _Draft(objects.buffers)
        self._pool = ThreadPoolExecutor(_WRITERS, thread_name_prefix="packs")
        self._flights: deque[tuple[Future[bytes], _Draft]] = deque()
        objects.refresh()

    def put(self, data: Buffer) -> Digest:
        """Keep bytes; their address."""
        if len(data) > WHOLE:
            return self._put_large(chunked(memoryview(data)), raw_digest(data))
        return Digest(self.keep(data).hex())

    def keep(self, data: Buffer) -> bytes:
        """Keep bytes that are no more than a chunk; their address as it is kept, for those who put very many."""
        raw = blake3(data).digest()
        self._take(raw, data, kind_of(data))
        return raw

    def rely(self, raws: Collection[bytes]) -> set[bytes]:
        """Count on objects that should be in packs already: no sweep takes them. Those that are not are given back."""
        there = self._objects.index.holders(raws)
        with self._lock:
            self._relied.update(there)
            self.packs.update(there.values())
        return {raw for raw in raws if raw not in there}

    def has_packs(self, packs: Collection[bytes]) -> bool:
        """Whether the store still has all of these packs: then what they hold can be counted on without asking."""
        whole = bool(packs) and self._objects.index.packs().keys() >= set(packs)
        if whole:
            self.packs.update(packs)
        return whole

    def put_file(self, path: Path | str) -> Digest:
        """Keep a file's bytes; of a large file only some are in memory at a time.

        Raises:
            NotFound: there is no such file.
            Conflict: somebody changed it meanwhile.
        """
        try:
            handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            raise NotFound(f"There is no file {path}.") from None
        try:
            size = os.fstat(handle).st_size
            if size <= WHOLE:
                return self.put(_whole(handle, size, path))
            with open(handle, "rb", buffering=0, closefd=False) as file:  # A handle has no path.
                return self._put_large_file(file, path)
        finally:
            os.close(handle)

    def add(self, digest: Digest, data: Buffer) -> None:
        """Keep bytes whose address is known: the caller has verified them."""
        if len(data) > WHOLE:
            self._put_large(chunked(memoryview(data)), raw_of(digest))
        else:
            self._take(raw_of(digest), data, kind_of(data))

    def add_recipe(self, digest: Digest, recipe: Recipe) -> None:
        """Keep how a large object is put together; its chunks must be kept in this bulk or before."""
        self._take(raw_of(digest), chunks.encode(recipe), RECIPE)

    def flush(self) -> None:
        """Wait until everything is durable.

        Raises:
            Unavailable: the place cannot be written.
            Conflict: a sweep removed meanwhile what was there already; do it again.
        """
        with self._lock:
            self._sift()
            self._send_data()
            self._send_folders()
            while self._flights:
                self._land()
            self._lease()

    def close(self) -> None:
        """End the thread; what was not flushed may be lost."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _take(self, raw: bytes, data: Buffer, kind: int) -> None:
        with self._lock:
            if raw in self._pending or raw in self._unwritten:
                return
            self._pending[raw] = data, kind
            self._pending_bytes += len(data)
            if len(self._pending) >= _PENDING[0] or self._pending_bytes >= _PENDING[1]:
                self._sift()

    def _sift(self) -> None:
        """Leave out what the store has, draft the rest."""
        new = self.rely(self._pending.keys())
        self._unwritten |= new
        for raw, (data, kind) in self._pending.items():
            if raw in new and (self._data if kind == packs.WHOLE else self._folders).add(raw, data, kind):
                self._send_full()
        self._done += self._pending_bytes
        self._progress.advance(self._done, None, "added", "bytes")
        self._pending.clear()
        self._pending_bytes = 0

    def _send_full(self) -> None:
        self._send_data()
        if self._folders.full:
            self._send_folders()

    def _send_data(self) -> None:
        self._send(self._data)
        self._data = _Draft(self._objects.buffers)

    def _send_folders(self) -> None:
        """Write folders and recipes, when what they name is durable: whoever finds one may rely on all below it."""
        if self._folders.rows:
            while self._flights:
                self._land()
            self._send(self._folders)
            self._folders = _Draft(self._objects.buffers)

    def _send(self, draft: _Draft) -> None:
        while len(self._flights) >= _IN_FLIGHT:
            self._land()
        if draft.rows:
            self._flights.append((self._pool.submit(write_pack, self._objects, draft), draft))

    def _land(self) -> None:
        """Wait for the oldest pack that is being written."""
        flight, draft = self._flights.popleft()
        name = flight.result()
        self._written.add(name)
        self.packs.add(name)
        self._unwritten.difference_update([row[0] for row in draft.rows])

    def _lease(self) -> None:
        """Say that what was there already is needed, so that no sweep takes it before somebody points to it."""
        if self._relied or self._written:
            lease(self._objects, self._relied, self._written)
            self._relied, self._written = set(), set()

    def _put_large_file(self, file: BinaryIO, path: Path | str) -> Digest:
        before = os.fstat(file.fileno())
        digest = self._put_large(chunked_stream(file))
        after = os.fstat(file.fileno())
        if (before.st_mtime_ns, before.st_size) != (after.st_mtime_ns, after.st_size):
            raise _changed(path)
        return digest

    def _put_large(self, pieces: Iterable[memoryview], known: bytes | None = None) -> Digest:
        whole = None if known else blake3()
        digests, sizes = bytearray(), bytearray()
        size = 0
        for piece in pieces:
            if whole is not None:
                whole.update(piece)
            raw = blake3(piece).digest()
            digests += raw
            sizes += len(piece).to_bytes(4, "little")
            size += len(piece)
            self._take(raw, piece, kind_of(piece))
        raw = known or (whole.digest() if whole is not None else b"")
        self._take(raw, chunks.encode(Recipe(chunks.FASTCDC_64K, size, bytes(digests), bytes(sizes))), RECIPE)
        return Digest(raw.hex())


class _Draft:
    """A pack that is being filled: its payloads in a row as they come."""

    def __init__(self, buffers: Buffers) -> None:
        self.rows: list[Row] = []
        self.size = 0
        self._buffers = buffers
        self._buffer = memoryview(b"")

    @property
    def full(self) -> bool:
        return self.size >= packs.TARGET or len(self.rows) >= _MOST_OBJECTS

    def add(self, raw: bytes, data: Buffer, kind: int) -> bool:
        """Whether it is full now."""
        if not self.rows:
            self._buffer = self._buffers.take()
            self.append(packs.MAGIC)
        size = len(data)
        self.rows.append(Row(raw, self.size, size, size, packs.RAW, kind))
        self.append(data)
        return self.full

    def append(self, data: Buffer) -> None:
        """Put bytes behind the others."""
        at, self.size = self.size, self.size + len(data)
        if self.size > len(self._buffer):
            larger = memoryview(bytearray(2 * self.size))
            larger[:at] = self._buffer[:at]
            self._buffer = larger
        self._buffer[at : self.size] = data

    def compress(self) -> None:
        """Make smaller what shrinks, and close the gaps."""
        compression, view, rows = Compression(), self._buffer, self.rows
        end = len(packs.MAGIC)
        for number, row in enumerate(rows):
            codec, stored = compression.stored(view[row.offset : row.offset + row.size])
            size = len(stored)
            if codec != packs.RAW or row.offset != end:
                rows[number] = Row(row.digest, end, size, row.size, codec, row.kind)
                view[end : end + size] = stored
            end += size
        self.size = end

    @property
    def payload(self) -> memoryview:
        """All of it, until it is closed."""
        return self._buffer[: self.size]

    def close(self) -> None:
        """Leave the memory to others."""
        self._buffers.give(self._buffer)


def write_pack(objects: Objects, draft: _Draft) -> bytes:
    """Compress what shrinks, write the pack, let the index know: from then on it is found. Gives the pack's name."""
    draft.compress()
    footer, name = packs.footer(draft.rows)
    draft.append(footer)
    pack = PackInfo(name, draft.size, False)
    keep_pack(objects, pack, draft.payload)
    draft.close()
    objects.index.add(pack, sorted(draft.rows))
    return name


def keep_pack(objects: Objects, pack: PackInfo, payload: bytearray | memoryview, *, replace: bool = False) -> None:
    """Write a pack; also over one of its name that is torn, and that the index does not know for that reason."""
    blobs, key = objects.blobs, packs.key(pack.name)
    torn = replace or pack.name not in objects.index.packs()
    if blobs.local is not None and torn and blobs.has(key):  # Elsewhere a write replaces what is there.
        blobs.swap(key, bytes(payload), blobs.read_tagged(key)[1])
    else:
        blobs.put(key, payload)


def _whole(handle: int, size: int, path: Path | str) -> bytes:
    data = os.read(handle, size + 1)
    if len(data) != size:
        raise _changed(path)
    return data


def _changed(path: Path | str) -> Conflict:
    return Conflict(f"The file {path} was changed while it was read.", hint="Try again when nobody writes to it.")
