"""Objects as packs hold them: read, checked and written again without being compressed anew."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

from everloop.kernel.errors import Corrupted, NotFound
from everloop.store import chunks, packs
from everloop.store.bulk import keep_pack
from everloop.store.compression import Compression, decoded
from everloop.store.index import PackInfo, Place
from everloop.store.objects import (
    RESTORE,
    Objects,
    kind_of,
    loose_key,
    near,
    not_found,
    payload_key,
    range_of,
    verified,
)
from everloop.store.packs import RECIPE, WHOLE, Row

_WRITERS = 3
_TRIES = 3


class Frame(NamedTuple):
    """An object as it is stored: its address, its size, how it is packed (codec, kind), the bytes of that."""

    digest: bytes
    size: int
    codec: int
    kind: int
    stored: bytes | memoryview


def opened(frame: Frame) -> bytes:
    """The bytes in a frame, when they are what its address says; of a recipe only the form can be checked.

    Raises:
        Corrupted: they are not; says which object.
    """
    try:
        data = decoded(frame.codec, frame.stored, frame.size)
        if frame.kind == RECIPE:
            chunks.decode(data)
            return data
        return verified(data, frame.digest)
    except Corrupted as error:
        raise Corrupted(f"Object {frame.digest.hex()} is damaged: {error.message}", hint=RESTORE) from None


def frames_of(objects: Objects, raws: Iterable[bytes]) -> Iterator[Frame]:
    """The frames of some objects, each once and checked, in the order that is cheapest to read.

    Raises:
        NotFound: one is not there.
        Corrupted: one is damaged; says which, and where it lies.
    """
    left = set(raws)
    for _ in range(_TRIES):
        try:
            for frame in _read(objects, left):
                left.discard(frame.digest)
                yield frame
            return
        except NotFound:
            if not objects.refresh():  # Otherwise a sweep has removed a pack, after writing what is needed to another.
                raise
    yield from _read(objects, left)


def _read(objects: Objects, raws: Iterable[bytes]) -> Iterator[Frame]:
    wanted = list(raws)
    places = objects.index.find(wanted)
    if len(places) < len(wanted) and objects.refresh():
        places = objects.index.find(wanted)
    yield from whole_frames(objects, places.values())
    loose = sorted(raw for raw in wanted if raw not in places)
    compression = Compression()
    fetched = objects.blobs.get_all(map(loose_key, loose))
    for raw in loose:
        try:
            data = verified(next(fetched), raw)
        except NotFound:
            raise not_found(raw) from None
        codec, stored = compression.stored(memoryview(data))
        yield Frame(raw, len(data), codec, kind_of(data), stored)


def whole_frames(objects: Objects, places: Iterable[Place]) -> Iterator[Frame]:
    """The frames at some places, each checked.

    Raises:
        NotFound: a pack is not there any more.
        Corrupted: a frame is damaged; says which, and where it lies.
    """
    by_pack: dict[PackInfo, list[Place]] = {}
    for place in places:
        by_pack.setdefault(place.pack, []).append(place)
    runs = [run for pack in sorted(by_pack) for run in near(by_pack[pack])]
    for run, data in zip(runs, objects.blobs.get_ranges(map(range_of, runs)), strict=True):
        for frame in _cut(run, data):
            try:
                opened(frame)
            except Corrupted as error:
                raise Corrupted(f"In {payload_key(run[0].pack)}: {error.message}", hint=error.hint) from None
            yield frame


def salvaged(objects: Objects, pack: PackInfo, but: set[bytes]) -> Iterator[Frame]:
    """What is whole in a pack that may be damaged, except some."""
    for run in near(Place(*row, pack) for row in objects.rows(pack) if row.digest not in but):
        for frame in _cut(run, objects.blobs.get_range(*range_of(run))):
            try:
                opened(frame)
            except Corrupted:
                continue
            yield frame


def _cut(run: list[Place], data: bytes) -> Iterator[Frame]:
    """The frames in the bytes of a run."""
    view = memoryview(data)
    for place in run:
        start = place.offset - run[0].offset
        stored = view[start : start + place.stored]
        yield Frame(place.digest, place.size, place.codec, place.kind, stored)


class PackDraft:
    """A pack that is being filled with frames."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.payload = bytearray(packs.MAGIC)

    def add(self, frame: Frame) -> None:
        """Put a frame behind the others."""
        self.rows.append(Row(frame.digest, len(self.payload), len(frame.stored), frame.size, frame.codec, frame.kind))
        self.payload += frame.stored

    @property
    def full(self) -> bool:
        """Whether it has the size that packs aim at."""
        return len(self.payload) >= packs.TARGET

    def finished(self) -> tuple[bytes, bytearray]:
        """The pack's name and its bytes."""
        footer, name = packs.footer(self.rows)
        self.payload += footer
        return name, self.payload


Written = Callable[[int, int], None]
"""Is told how many objects and bytes have become durable."""


class FrameWriter:
    """Writes frames into packs, some packs at a time. What was added is durable when `flush` returns.

    Folders and recipes go to packs of their own, as `Bulk` has it. With `replace` a pack is written even if there is
    one of its name: it holds the same objects, but they may be damaged there. `names` are the packs written, to be
    leased when all is done: a sweep may be about to remove one that was there before.
    """

    def __init__(self, objects: Objects, written: Written = lambda objects, size: None, replace: bool = False) -> None:
        self._objects = objects
        self._written = written
        self._replace = replace
        self.names: set[bytes] = set()
        self._drafts = {True: PackDraft(), False: PackDraft()}
        self._pool = ThreadPoolExecutor(_WRITERS, thread_name_prefix="frames")
        self._flights: deque[Future[tuple[int, int]]] = deque()

    def add(self, frame: Frame) -> None:
        """Keep a frame that was checked."""
        whole = frame.kind == WHOLE
        draft = self._drafts[whole]
        draft.add(frame)
        if draft.full:
            self._send(draft)
            self._drafts[whole] = PackDraft()

    def flush(self) -> None:
        """Wait until everything is durable."""
        for whole, draft in self._drafts.items():
            if draft.rows:
                self._send(draft)
                self._drafts[whole] = PackDraft()
        while self._flights:
            self._land()

    def close(self) -> None:
        """End the threads; what was not flushed may be lost."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _send(self, draft: PackDraft) -> None:
        while len(self._flights) >= _WRITERS:
            self._land()
        self._flights.append(self._pool.submit(self._write, draft))

    def _land(self) -> None:
        self._written(*self._flights.popleft().result())

    def _write(self, draft: PackDraft) -> tuple[int, int]:
        """Write a pack and let the index know; how many objects and bytes it has."""
        name, payload = draft.finished()
        pack = PackInfo(name, len(payload), False)
        self.names.add(name)
        keep_pack(self._objects, pack, payload, replace=self._replace)
        self._objects.index.add(pack, sorted(draft.rows))
        return len(draft.rows), len(payload)
