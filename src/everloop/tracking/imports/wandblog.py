"""The log that W&B's client keeps of a run (`run-….wandb`): records in blocks, as in LevelDB's log, each a message.

Messages are read field by field: of the hundreds that the protocol defines a dozen matter here, by numbers that never
change, and W&B's own package cannot read its logs from Python any more.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

from everloop.kernel.errors import InvalidInput

_MAGIC = b":W&B"
_BEGINNING = 7
"""Bytes before the first record: the magic, a number, a version."""
_BLOCK = 32_768
_HEAD = struct.Struct("<IHB")
_WHOLE, _FIRST, _MIDDLE, _LAST = 1, 2, 3, 4
_NUMBER, _EIGHT, _BYTES, _FOUR = 0, 1, 2, 5
"""Protobuf's kinds of fields: an integer, 8 bytes, bytes behind their count, 4 bytes."""
_SIZES = {_EIGHT: 8, _FOUR: 4}


def records(log: Path, tell: Callable[[str], None]) -> Iterator[bytes]:
    """The records of a log, in order. Where it is cut off or damaged the record is left out and told of.

    Raises:
        InvalidInput: it is another thing.
    """
    with log.open("rb") as file:
        if file.read(_BEGINNING)[: len(_MAGIC)] != _MAGIC:
            raise InvalidInput(f"{log} is no log of W&B's.", hint="Give the folder `wandb` that its client wrote.")
        file.seek(0)
        start, parts = _BEGINNING, list[bytes]()
        place = 0
        while block := file.read(_BLOCK):
            for kind, part in _parts(block, start):
                if part is None:
                    tell(f"a record near byte {place} is cut off or damaged")
                    parts = []
                    continue
                parts = [part] if kind in (_WHOLE, _FIRST) else [*parts, part] if parts else []
                if kind in (_WHOLE, _LAST) and parts:
                    yield b"".join(parts)
                    parts = []
            start, place = 0, place + len(block)
        if parts:
            tell("its last record is cut off")


class Message:
    """A message of protobuf's: its fields by their numbers, each as it came and as often as it came.

    Raises:
        InvalidInput: it is none.
    """

    __slots__ = ("_fields",)

    def __init__(self, content: bytes) -> None:
        self._fields: dict[int, list[int | bytes]] = {}
        at, end = 0, len(content)
        try:
            while at < end:
                tag, at = _varint(content, at)
                kind, value = tag & 7, 0
                if kind == _NUMBER:
                    value, at = _varint(content, at)
                    self._fields.setdefault(tag >> 3, []).append(value)
                    continue
                size, at = (_SIZES[kind], at) if kind in _SIZES else _length(content, at, kind)
                if at + size > end:
                    raise InvalidInput(f"A field of {size} bytes ends behind its message.")
                self._fields.setdefault(tag >> 3, []).append(content[at : at + size])
                at += size
        except IndexError:
            raise InvalidInput("A message ends in the middle of a number.") from None

    def integer(self, number: int) -> int:
        """An integer; 0 where there is none."""
        found = self._fields.get(number, (0,))[-1]
        return found if isinstance(found, int) else 0

    def text(self, number: int) -> str:
        """A text; empty where there is none."""
        return next(reversed(self.texts(number)), "")

    def texts(self, number: int) -> list[str]:
        """All texts of a field."""
        return [str(it, "utf-8", "replace") for it in self._fields.get(number, ()) if isinstance(it, bytes)]

    def messages(self, number: int) -> Iterator[Message]:
        """All messages of a field."""
        return (Message(it) for it in self._fields.get(number, ()) if isinstance(it, bytes))

    def message(self, number: int) -> Message | None:
        """A message, if there is one."""
        return next(self.messages(number), None)


def _parts(block: bytes, at: int) -> Iterator[tuple[int, bytes | None]]:
    """The parts of records in a block, each with its kind; None instead of one that cannot be read."""
    while at + _HEAD.size <= len(block):
        check, size, kind = _HEAD.unpack_from(block, at)
        if not (check or size or kind):  # The rest was left empty.
            return
        at += _HEAD.size
        part = block[at : at + size]
        if len(part) < size or zlib.crc32(part, zlib.crc32(bytes((kind,)))) != check:
            yield kind, None
            return
        yield kind, part
        at += size


def _varint(message: bytes, at: int) -> tuple[int, int]:
    value = message[at]
    if value < 0x80:
        return value, at + 1
    value, shift = value & 0x7F, 7
    while True:
        at += 1
        value |= (message[at] & 0x7F) << shift
        if message[at] < 0x80:
            return value, at + 1
        shift += 7


def _length(message: bytes, at: int, kind: int) -> tuple[int, int]:
    if kind != _BYTES:
        raise InvalidInput(f"There is no field of kind {kind}.")
    return _varint(message, at)
