"""The pack format: many objects in one blob, with their own footer to find them by.

Version 1, frozen (docs/decisions/0033-pack-format.md); numbers are little-endian:

    magic `ELPK1\\n`
    the payloads, back to back
    table: for each object, by digest: digest (32 bytes), offset u64, stored u32, size u32, codec u8, kind u8
    BLAKE3 of the table (32 bytes, also the pack's name), length of the table u32, magic

`offset` counts from the start of the blob, `stored` are the bytes there, `size` those after decoding.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from itertools import islice
from operator import ge
from typing import NamedTuple

from blake3 import blake3

from everloop.kernel.errors import Corrupted

MAGIC = b"ELPK1\n"
RAW, ZSTD = 0, 1
"""Codecs: the bytes as they are, one zstd frame."""
WHOLE, RECIPE, TREE = 0, 1, 2
"""Kinds: bytes in one piece, the recipe of a large object (which has the address of the whole), a folder."""
TARGET = 32 << 20
"""Packs are closed when they hold so many bytes."""

_ROW = struct.Struct("<32sQIIBB")
_TAIL = struct.Struct("<32sI6s")
_FIRST = 64 << 10


class Row(NamedTuple):
    """An object in a pack."""

    digest: bytes
    offset: int
    stored: int
    size: int
    codec: int
    kind: int


def footer(rows: Iterable[Row]) -> tuple[bytes, bytes]:
    """The footer for some objects, and the name of the pack that ends with it."""
    table = b"".join(_ROW.pack(*row) for row in sorted(rows))
    name = blake3(table).digest()
    return table + _TAIL.pack(name, len(table), MAGIC), name


def read_footer(read: Callable[[int, int], bytes], size: int, name: bytes) -> list[Row]:
    """The objects of a pack of so many bytes, by `read(start, length)`: one read for most, two for many objects.

    Raises:
        Corrupted: the pack is cut off, or its footer is damaged or names an object twice.
    """
    rows = list(map(Row._make, _ROW.iter_unpack(read_table(read, size, name))))
    digests = [row[0] for row in rows]
    if any(map(ge, digests, islice(digests, 1, None))):
        raise _torn(name)
    return rows


def read_table(read: Callable[[int, int], bytes], size: int, name: bytes) -> bytes:
    """The table of a pack as it lies there: 50 bytes for each object, by digest.

    Raises:
        Corrupted: the pack is cut off or its footer is damaged.
    """
    start = max(0, size - _FIRST)
    end = read(start, size - start)
    if len(end) < _TAIL.size or len(end) != size - start:
        raise _torn(name)
    found, length, magic = _TAIL.unpack(end[-_TAIL.size :])
    if magic != MAGIC or found != name or length % _ROW.size or length + _TAIL.size > size:
        raise _torn(name)
    before = length + _TAIL.size - len(end)
    table = (read(start - before, before) if before > 0 else b"") + end[max(0, -before) : -_TAIL.size]
    if blake3(table).digest() != name:
        raise _torn(name)
    return table


def key(name: bytes) -> str:
    """Where a pack of this name is kept."""
    text = name.hex()
    return f"packs/{text[:2]}/{text[2:]}"


def name_of(key: str) -> bytes | None:
    """The name of the pack that is kept under a key, if it is the key of one."""
    try:
        name = bytes.fromhex("".join(key.split("/")[-2:]))
    except ValueError:
        return None
    return name if len(name) == 32 else None


def _torn(name: bytes) -> Corrupted:
    return Corrupted(
        f"The pack {key(name)} is cut off, or its footer is damaged or names an object twice.",
        hint="Restore it from a copy of the store.",
    )
