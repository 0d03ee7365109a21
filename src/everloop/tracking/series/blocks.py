"""Blocks of up to 4,096 points of one metric: columns of differences, taken apart by bytes and compressed; exact.

A block is a version byte, 8 bytes of BLAKE3 over the rest, the count, a description of each column (step, time, value)
and one zstd frame of the byte planes that the descriptions leave open. A column that is a line needs no planes.
"""

from __future__ import annotations

import struct
import threading
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from everloop.kernel.errors import Corrupted

if TYPE_CHECKING:
    import numpy as np
    import zstandard

FULL = 4_096
"""So many points a block holds at most."""
_HEAD = struct.Struct("<B8sH")
_VERSION = 1
_COLUMN = struct.Struct("<BBbqq")
_PLANES = _HEAD.size + 3 * _COLUMN.size
_DIFFERENCES, _SECOND, _BITS = range(3)
_PLACES = 7
_AS_BITS = -1
_SAMPLE = 256
_WHOLE = 1 << 53
_LEVEL = 1


class _Column(NamedTuple):
    """A column as numbers that are small or alike, and what makes it from them again."""

    change: int
    numbers: np.ndarray
    """uint64; its byte planes that are not zero everywhere are kept."""
    places: int = _AS_BITS
    """The values are integers divided by 10 ** places; -1 where they are kept as bits."""
    first: int = 0
    second: int = 0


class _Zstd(threading.local):
    """A compressor and a decompressor for each thread: to make one costs as much as to use it."""

    @cached_property
    def compressor(self) -> zstandard.ZstdCompressor:
        import zstandard

        return zstandard.ZstdCompressor(level=_LEVEL)

    @cached_property
    def decompressor(self) -> zstandard.ZstdDecompressor:
        import zstandard

        return zstandard.ZstdDecompressor()


_zstd = _Zstd()


def encode(step: np.ndarray, at: np.ndarray, value: np.ndarray) -> bytes:
    """The block of up to 4,096 points: int64 steps and times (µs), float64 values. About 30 M points/s."""
    described, planes = [], []
    for column in (_integers(step), _integers(at), _values(value)):
        mask, parts = _planes(column.numbers)
        described.append(_COLUMN.pack(column.change, mask, column.places, column.first, column.second))
        planes += parts
    frame = _zstd.compressor.compress(b"".join(planes)) if planes else b""
    rest = b"".join((struct.pack("<H", len(step)), *described, frame))
    return struct.pack("<B8s", _VERSION, _digest(rest)) + rest


def decode(block: bytes) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The steps, times and values of a block, each bit as it was. About 80 M points/s.

    Raises:
        Corrupted: it is damaged, or of a version that is not known.
    """
    if len(block) < _PLANES or block[0] != _VERSION:
        raise Corrupted("A block of metric points is cut, or of a newer version.")
    _, digest, count = _HEAD.unpack_from(block)
    if digest != _digest(memoryview(block)[_HEAD.size - 2 :]):
        raise Corrupted("A block of metric points is damaged.", hint="Restore the database from a backup.")
    planes = _zstd.decompressor.decompress(block[_PLANES:]) if len(block) > _PLANES else b""
    decoded, start = [], 0
    for change, mask, places, first, second in _COLUMN.iter_unpack(block[_HEAD.size : _PLANES]):
        end = start + count * mask.bit_count()
        numbers = _joined(mask, planes[start:end], count)
        decoded.append(_restored(_Column(change, numbers, places, first, second)))
        start = end
    return decoded[0], decoded[1], decoded[2]


def _integers(column: np.ndarray, places: int = _AS_BITS) -> _Column:
    """Integers as differences, or differences of those, whichever are smaller; arithmetic is modulo 2 ** 64."""
    import numpy as np

    first = int(column[0])
    differences = np.diff(column, prepend=column[:1])
    least = int(differences[1:].min()) if len(column) > 1 else 0
    once = differences - least
    once[0] = 0
    if not once.any():
        return _Column(_DIFFERENCES, once.view(np.uint64), places, first, least)
    sample = differences[1:_SAMPLE]
    if np.abs(np.diff(sample)).sum(dtype=np.float64) * 2 < once[1:_SAMPLE].sum(dtype=np.float64):
        second, differences[0] = int(differences[1]), differences[1]
        again = np.diff(differences, prepend=differences[:1])
        return _Column(_SECOND, ((again << 1) ^ (again >> 63)).view(np.uint64), places, first, second)
    return _Column(_DIFFERENCES, once.view(np.uint64), places, first, least)


def _values(value: np.ndarray) -> _Column:
    """Values as whole numbers where all of them are decimals of few places, else as the bits that they are."""
    import numpy as np

    places = _places(value)
    if places is None:
        return _Column(_BITS, value.view(np.uint64))
    return _integers(np.rint(value * 10.0**places).astype(np.int64), places)


def _places(value: np.ndarray) -> int | None:
    """How many decimal places all values have, if so few that integers give each of their bits again."""
    import numpy as np

    sample = value[:: len(value) // 8 + 1].tolist()
    for places in range(_PLACES):
        power = 10.0**places
        if not all(abs(one) < _WHOLE / power and round(one * power) / power == one for one in sample):
            continue
        numbers = value * power
        # Compared as bits, since -0.0 equals 0.0. What is too large to be whole differs, or is NaN as an integer.
        if (np.abs(numbers) < _WHOLE).all() and np.array_equal(
            (np.rint(numbers) / power + 0.0).view(np.uint64), value.view(np.uint64)
        ):
            return places
    return None


def _planes(numbers: np.ndarray) -> tuple[int, list[bytes]]:
    """Which bytes of the numbers are not zero everywhere, as bits, and all first bytes, all second bytes and so on."""
    import numpy as np

    used = int(np.bitwise_or.reduce(numbers)).to_bytes(8, "little")
    rows = numbers.view(np.uint8).reshape(-1, 8)
    places = [place for place, bits in enumerate(used) if bits]
    return sum(1 << place for place in places), [rows[:, place].tobytes() for place in places]


def _joined(mask: int, planes: bytes, count: int) -> np.ndarray:
    import numpy as np

    rows = np.zeros((count, 8), np.uint8)
    matrix = np.frombuffer(planes, np.uint8).reshape(-1, count)
    for row, plane in zip(matrix, [plane for plane in range(8) if mask >> plane & 1], strict=True):
        rows[:, plane] = row
    return rows.view(np.int64)[:, 0]


def _restored(column: _Column) -> np.ndarray:
    import numpy as np

    numbers = column.numbers
    if column.change == _BITS:
        return numbers.view(np.float64)
    if column.change == _SECOND:
        numbers = np.cumsum((numbers >> 1 & 0x7FFFFFFFFFFFFFFF) ^ -(numbers & 1))
    numbers += column.second
    numbers[0] = column.first
    np.cumsum(numbers, out=numbers)
    return numbers if column.places == _AS_BITS else numbers / 10.0**column.places


def _digest(rest: bytes | memoryview) -> bytes:
    from blake3 import blake3

    return blake3(rest).digest(8)
