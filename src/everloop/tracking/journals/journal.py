"""A journal: the file that one process writes of one run, frame by frame, so that a crash costs no more than its tail.

A frame is `ELJ1`, the length and the CRC-32 of its payload, and the payload, a record in MessagePack. What a kill left
half-written at the end is cut, and frames behind a damaged one are found again.
"""

from __future__ import annotations

import os
import struct
import threading
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

import msgspec

from everloop.tracking.journals import locks
from everloop.tracking.journals.records import Recorded

SUFFIX = ".journal"
_MAGIC = b"ELJ1"
_FRAME = struct.Struct("<4sII")
_MOST = 1 << 28
_BLOCK = 1 << 20
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Recorded).decode


class Entry(NamedTuple):
    """A record, and where it ends in its journal."""

    record: Recorded
    end: int


class Journal:
    """The journal that this process writes of a run. It holds the writer's lock as long as it is open."""

    def __init__(self, folder: Path, writer: str) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.path = folder / f"{writer}{SUFFIX}"
        self.size = 0
        self._lock = threading.Lock()
        self._dirty = False
        locks.hold(lock_of(self.path))
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        self._file = os.open(self.path, flags, 0o600)

    def append(self, records: Iterable[Recorded]) -> None:
        """Write records: the system has them when this returns, so that they outlive the process.

        Raises:
            OSError: the disk is full or gone; then none of them is there.
        """
        data = framed(records)
        with self._lock:
            try:
                self._write(data)
            except OSError:
                os.ftruncate(self._file, self.size)
                raise
            self.size += len(data)
            self._dirty = True

    def flush(self) -> None:
        """Wait until what was written is on the disk, so that it outlives the machine."""
        with self._lock:
            if self._dirty:
                os.fdatasync(self._file)
                self._dirty = False

    def close(self) -> None:
        """Flush, and let others ship what is in it."""
        self.flush()
        with self._lock:
            os.close(self._file)
        locks.release(lock_of(self.path))

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(self._file, view) :]


def lock_of(journal: Path) -> Path:
    """The lock that tells whether a journal's process is alive."""
    return journal.with_suffix(".lock")


def journals(folder: Path) -> list[Path]:
    """The journals of a run, in the order in which they were begun."""
    return sorted(folder.glob(f"*{SUFFIX}"))


def framed(records: Iterable[Recorded]) -> bytes:
    """Records as the frames that a journal holds."""
    parts: list[bytes] = []
    for record in records:
        payload = _encode(record)
        parts += (_FRAME.pack(_MAGIC, len(payload), zlib.crc32(payload)), payload)
    return b"".join(parts)


def entries(path: Path, start: int = 0, *, whole: bool = False) -> Iterator[Entry]:
    """The records of a journal from a place on, up to the first frame that is not whole (yet).

    `whole` is for a journal that nobody writes any more: behind a damaged frame it looks for the next good one.
    """
    with path.open("rb") as file:
        while True:
            payload = _payload_at(file, start)
            if payload is None:
                found = _next_frame(file, start + 1) if whole else None
                if found is None:
                    return
                start = found
                continue
            start += _FRAME.size + len(payload)
            yield Entry(_decode(payload), start)


def _payload_at(file: BinaryIO, place: int) -> bytes | None:
    file.seek(place)
    head = file.read(_FRAME.size)
    if len(head) < _FRAME.size:
        return None
    magic, size, checksum = _FRAME.unpack(head)
    if magic != _MAGIC or size > _MOST:
        return None
    payload = file.read(size)
    return payload if len(payload) == size and zlib.crc32(payload) == checksum else None


def _next_frame(file: BinaryIO, place: int) -> int | None:
    while True:
        file.seek(place)
        block = file.read(_BLOCK)
        at = block.find(_MAGIC)
        while at >= 0:
            if _payload_at(file, place + at) is not None:
                return place + at
            at = block.find(_MAGIC, at + 1)
        if len(block) < _BLOCK:
            return None
        place += _BLOCK - len(_MAGIC) + 1
