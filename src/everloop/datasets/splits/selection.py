"""A part of a table as the numbers of its rows: a bit for each row of the source, compressed.

Format, frozen: `ELSEL1\\n`, the number of rows of the source and of those selected (u64, little-endian), then a
zstd frame of the bits, the first row in the lowest bit of the first byte. A part of ten million rows takes 1.2 MB at
most, and a part that is one range of rows a few hundred bytes.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, cast

import numpy as np

from everloop.kernel.errors import Corrupted

if TYPE_CHECKING:
    from numpy.typing import NDArray

_MAGIC = b"ELSEL1\n"
_HEAD = struct.Struct("<QQ")


def packed(mask: NDArray[np.bool_]) -> bytes:
    """The bytes of a selection: equal masks have equal bytes."""
    import zstandard

    bits = np.packbits(mask, bitorder="little").tobytes()
    head = _HEAD.pack(len(mask), int(np.count_nonzero(mask)))
    return _MAGIC + head + zstandard.ZstdCompressor(level=3).compress(bits)


def unpacked(data: bytes) -> NDArray[np.bool_]:
    """The mask that some bytes hold.

    Raises:
        Corrupted: they hold none.
    """
    import zstandard

    start = len(_MAGIC) + _HEAD.size
    if not data.startswith(_MAGIC) or len(data) < start:
        raise Corrupted("The bytes of a part are no selection of rows.", hint="everloop store fsck tells more.")
    rows, selected = _HEAD.unpack_from(data, len(_MAGIC))
    try:
        bits = zstandard.ZstdDecompressor().decompress(data[start:], max_output_size=(rows + 7) // 8)
    except zstandard.ZstdError as error:
        raise Corrupted(f"A selection of rows cannot be read ({error}).") from None
    mask = np.unpackbits(np.frombuffer(bits, dtype=np.uint8), count=rows, bitorder="little").view(np.bool_)
    if len(mask) != rows or int(np.count_nonzero(mask)) != selected:
        raise Corrupted(f"A selection of {selected} of {rows} rows holds others.")
    return cast("NDArray[np.bool_]", mask)
