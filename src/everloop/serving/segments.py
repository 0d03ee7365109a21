"""Segments: append-only Arrow files that survive kill -9. One process writes each, any number read them live.

A segment is an Arrow IPC stream that any Arrow reader reads. Two things make it safe to append to: space is filled with
zeros ahead, so that a sync has no metadata to write (0.3 ms instead of 1.3 ms); and each message's metadata ends with a
checksum of the message in its padding, so that a reader tells a record from one that is half there.
"""

from __future__ import annotations

import fcntl
import os
import struct
import sys
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

import msgspec

from everloop.kernel.clock import micros
from everloop.kernel.errors import Corrupted, Unavailable
from everloop.serving.encoded import EncodedBatch

if TYPE_CHECKING:
    from datetime import datetime

    import pyarrow as pa

T = TypeVar("T")
LIMIT = 64 << 20
"""A segment that has grown over this many bytes is followed by a new one."""
STEP = 1 << 20
"""So many bytes are filled with zeros at a time."""
_CONTINUATION = 0xFFFFFFFF
_PREFIX = struct.Struct("<Ii")
_CHECKSUM = struct.Struct("<I4s")
_MARK = b"crc1"


class Position(msgspec.Struct, frozen=True):
    """How far a reader has come: the byte offset in each segment. It can be kept as JSON and used after a restart."""

    offsets: dict[str, int] = {}

    def past(self, place: Place) -> Position:
        """The same, with one segment read up to the end of a record."""
        return Position(self.offsets | {place.segment: place.offset + place.size})


class Place(msgspec.Struct, frozen=True):
    """Where a record stands."""

    segment: str
    offset: int
    size: int


class SegmentWriter:
    """Appends record batches to a segment of its own; what `append` has returned for outlives the process at least."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file = -1
        self._name = ""
        self._schema: pa.Schema | None = None
        self._month = (0, 0)
        self._offset = self._filled = 0

    def append(self, batches: Sequence[pa.RecordBatch | EncodedBatch], at: datetime) -> list[Place]:
        """Write batches of one schema, sync once, and say where they stand.

        A new segment begins when the schema or the month has changed or the segment is full.

        Raises:
            Unavailable: the disk did not take them; none of them counts, and the next call starts a fresh segment.
        """
        return self._added(batches, at, os.fdatasync)

    def hand_over(self, batches: Sequence[pa.RecordBatch | EncodedBatch], at: datetime) -> list[Place]:
        """Like `append`, without the sync: the system writes them in its own time, and a power cut may lose them."""
        return self._added(batches, at, _unsynced)

    def close(self) -> None:
        """Cut off the zeros and give back the file."""
        file, self._file = self._file, -1
        if file >= 0:
            try:
                os.ftruncate(file, self._offset)
            finally:
                os.close(file)

    def _added(
        self, batches: Sequence[pa.RecordBatch | EncodedBatch], at: datetime, sync: Callable[[int], None]
    ) -> list[Place]:
        start, messages = 0, [_message_of(batch) for batch in batches]
        try:
            if self._file < 0 or self._is_over(batches[0].schema, at):
                self._open(batches[0].schema, at)
            start = self._offset
            places = [self._write(message) for message in messages]
            sync(self._file)
        except OSError as error:
            self._abandon(start)
            raise Unavailable(
                f"The log in {self._folder} cannot be written ({error.strerror}).", hint="Free space, then try again."
            ) from error
        return places

    def _is_over(self, schema: pa.Schema, at: datetime) -> bool:
        if self._offset >= LIMIT or self._month != (at.year, at.month):
            return True
        return schema is not self._schema and not schema.equals(self._schema)

    def _open(self, schema: pa.Schema, at: datetime) -> None:
        self.close()
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        number = 0
        while self._file < 0:
            self._name = f"{micros(at):017d}-{os.getpid()}-{number}.arrows"
            self._file = _created(self._folder / self._name)
            number += 1
        self._schema, self._month, self._offset, self._filled = schema, (at.year, at.month), 0, 0
        self._write(_framed(schema.serialize()))
        _sync_folder(self._folder)

    def _write(self, data: bytes) -> Place:
        size, written = len(data), 0
        if self._offset + size > self._filled:
            self._fill(self._offset + size)
        while written < size:
            written += os.pwrite(self._file, data[written:], self._offset + written)
        place = Place(self._name, self._offset, size)
        self._offset += size
        return place

    def _fill(self, needed: int) -> None:
        """Zeros up to at least a step beyond what is needed."""
        target = (needed // STEP + 1) * STEP
        while self._filled < target:
            self._filled += os.pwrite(self._file, bytes(target - self._filled), self._filled)

    def _abandon(self, start: int) -> None:
        """Unwrite what was written from `start` on, and leave the segment: nobody knows what of it is on the disk."""
        if self._file >= 0:
            with suppress(OSError):
                os.pwrite(self._file, bytes(_PREFIX.size), start)
            os.close(self._file)
            self._file = -1


class Archive(Protocol):
    """Where segments go that are finished, in another form. Offsets mean there what they meant in the segment."""

    def segments(self) -> set[str]:
        """The names of the segments that are here; a segment's file goes only after it is."""
        ...

    def has(self, segment: str) -> bool:
        """Whether a segment is here by now."""
        ...

    def batches(self, segment: str, offset: int, size: int) -> Iterator[tuple[Place, pa.RecordBatch]]:
        """What was written from an offset on, or within so many bytes; several records may come as one."""
        ...


class SegmentReader:
    """Reads what any process has appended to the segments of a folder."""

    def __init__(self, folder: Path, archive: Archive | None = None) -> None:
        self._folder = folder
        self._archive = archive
        self._schemas: dict[str, tuple[pa.Schema, int]] = {}

    def segments(self) -> list[str]:
        """The names of the segments, oldest first."""
        try:
            here = {entry.name for entry in os.scandir(self._folder) if entry.name.endswith(".arrows")}
        except FileNotFoundError:
            return []
        # In this order: a segment goes only after the archive has it, so that one of the two looks finds it.
        return sorted(here | self._archive.segments()) if self._archive else sorted(here)

    def since(self, position: Position) -> tuple[list[pa.RecordBatch], Position]:
        """The batches that were appended after a position, and the position after them. Costs ~10 µs a segment."""
        found, after = self.placed(position)
        return [batch for _, batch in found], after

    def placed(self, position: Position, enough: int = 0) -> tuple[list[tuple[Place, pa.RecordBatch]], Position]:
        """Like `since`, with the places; once `enough` rows were found, older segments are passed over."""
        return self.gathered(position, lambda place, batch: (place, batch), enough)

    def gathered(
        self, position: Position, take: Callable[[Place, pa.RecordBatch], T], enough: int = 0
    ) -> tuple[list[T], Position]:
        """Like `placed`, with what `take` makes of each batch: so only one segment at a time is in memory.

        Older segments are passed over, too, when what was read is as much as one segment may hold.
        """
        offsets = dict(position.offsets)
        found: list[list[T]] = []
        rows = size = 0
        for segment in reversed(self.segments()):
            if enough and (rows >= enough or size >= LIMIT):
                if segment not in offsets:
                    offsets[segment] = self._end(segment)
                continue
            new: list[T] = []
            for place, batch in self.batches(segment, offsets.get(segment, 0)):
                new.append(take(place, batch))
                rows, size = rows + batch.num_rows, size + place.size
                offsets[segment] = place.offset + place.size
            found.append(new)
        return [one for new in reversed(found) for one in new], Position(offsets)

    def batches(self, segment: str, offset: int = 0, size: int = 0) -> Iterator[tuple[Place, pa.RecordBatch]]:
        """The batches of a segment from an offset on (or of so many bytes), with the places that they stand at.

        Raises:
            Corrupted: a record that others follow is not what was written.
        """
        import pyarrow as pa

        if self._archive and self._archive.has(segment):
            yield from self._archive.batches(segment, offset, size)
            return
        try:
            schema, offset, data = self._data(segment, offset, size)
        except FileNotFoundError:
            if self._archive and self._archive.has(segment):  # It was archived meanwhile.
                yield from self._archive.batches(segment, offset, size)
            return
        for place, message in _messages(data, segment, offset):
            yield place, pa.ipc.read_record_batch(message, schema)

    def read(self, place: Place) -> pa.RecordBatch | None:
        """The batch that stands at a place; None when its segment is gone."""
        return next((batch for _, batch in self.batches(place.segment, place.offset, place.size)), None)

    def _end(self, segment: str) -> int:
        """Where the next record of a segment will begin: what is filled with zeros ahead does not count.

        Nothing is read of a segment that nobody writes any more.
        """
        try:
            if self._archive and self._archive.has(segment):
                return sys.maxsize
            if _is_finished(self._folder / segment):
                return (self._folder / segment).stat().st_size
            _, end, data = self._data(segment, 0, 0)
        except FileNotFoundError:
            return sys.maxsize  # It was archived meanwhile.
        for place, _ in _messages(data, segment, end):
            end = place.offset + place.size
        return end

    def _data(self, segment: str, offset: int, size: int) -> tuple[pa.Schema | None, int, bytes]:
        """The schema of a segment, and its bytes from an offset on, but not before the first record."""
        with (self._folder / segment).open("rb", buffering=0) as opened:
            file = opened.fileno()
            head = self._head(segment, file)
            if head is None:
                return None, offset, b""
            schema, first = head
            offset = max(offset, first)
            if not os.pread(file, _PREFIX.size, offset).strip(b"\0"):
                return schema, offset, b""
            return schema, offset, os.pread(file, size or os.fstat(file).st_size - offset, offset)

    def _head(self, segment: str, file: int) -> tuple[pa.Schema, int] | None:
        """The schema of a segment and the offset of its first batch; None while it is not written."""
        import pyarrow as pa

        if segment not in self._schemas:
            message = _message(os.pread(file, STEP, 0), 0, segment, 0)
            if message is None:
                return None
            self._schemas[segment] = (pa.ipc.read_schema(message), message.metadata.size + _PREFIX.size)
        return self._schemas[segment]


def _messages(data: bytes, segment: str, offset: int) -> Iterator[tuple[Place, pa.Message]]:
    """The messages in what was read from an offset on, with their places."""
    at = 0
    while (message := _message(data, at, segment, offset)) is not None:
        length = message.metadata.size + _PREFIX.size + message.body.size
        yield Place(segment, offset + at, length), message
        at += length


def _is_finished(path: Path) -> bool:
    """Whether nobody writes a segment: its writer keeps it locked."""
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


def _message_of(batch: pa.RecordBatch | EncodedBatch) -> bytes:
    if isinstance(batch, EncodedBatch):
        return _sealed(memoryview(batch.metadata), memoryview(batch.body))
    return _framed(batch.serialize())


def _framed(message: pa.Buffer) -> bytes:
    """What Arrow has serialized, with its checksum."""
    view = memoryview(message)
    _, length = _PREFIX.unpack_from(view)
    return _sealed(view[_PREFIX.size : _PREFIX.size + length], view[_PREFIX.size + length :])


def _sealed(metadata: memoryview, body: memoryview) -> bytes:
    """An encapsulated Arrow message whose metadata is followed by 8 more bytes of padding, which hold the checksum."""
    prefix = _PREFIX.pack(_CONTINUATION, len(metadata) + _CHECKSUM.size)
    return b"".join([prefix, metadata, _CHECKSUM.pack(_checksum(metadata, body), _MARK), body])


def _message(data: bytes, at: int, segment: str, offset: int) -> pa.Message | None:
    """The message at a place of what was read; None when there is none, or not yet all of it."""
    import pyarrow as pa

    if data[at : at + 4] != b"\xff\xff\xff\xff":
        return None
    view = memoryview(data)[at:]
    try:
        message = pa.ipc.read_message(pa.BufferReader(pa.py_buffer(view)))
    except (OSError, EOFError, pa.ArrowInvalid):
        return None
    end = _PREFIX.size + message.metadata.size
    expected, mark = _CHECKSUM.unpack_from(view, end - _CHECKSUM.size)
    size = message.body.size if message.body is not None else 0
    whole = _checksum(view[_PREFIX.size : end - _CHECKSUM.size], view[end : end + size])
    if mark == _MARK and whole == expected:
        return message
    if bytes(view[end + size : end + size + 4]) == b"\xff\xff\xff\xff":
        raise Corrupted(
            f"The record at byte {offset + at} of {segment} is not what was written.",
            hint="The disk has changed it: restore the segment from a copy.",
        )
    return None


def _checksum(metadata: memoryview, body: memoryview) -> int:
    return zlib.crc32(body, zlib.crc32(metadata))


def _unsynced(file: int) -> None:
    return None


def _created(path: Path) -> int:
    """A new file, locked: who can lock it later knows that nobody writes any more. -1 when it cannot be ours."""
    try:
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return -1
    fcntl.flock(file, fcntl.LOCK_EX)
    if path.exists():
        return file
    os.close(file)  # Somebody who tidies up took it for a left-over, in the moment before it was locked.
    return -1


def _sync_folder(folder: Path) -> None:
    """Make the name of a new file durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
