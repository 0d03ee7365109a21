"""Content-defined chunks: an edit in the middle of a large object changes only the chunks around it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, BinaryIO

import msgspec

from everloop.kernel.errors import Corrupted

if TYPE_CHECKING:
    from pyfastcdc import FastCDC

WHOLE = 1 << 20
"""Objects up to this many bytes are kept in one piece."""
AVERAGE = 64 << 10
"""The size in bytes that FastCDC (Xia et al., USENIX ATC 2016) aims at. Part of the store's format: never change it."""
FASTCDC_64K = 1
"""The version of a recipe whose chunks were cut by FastCDC 2020, 16 to 256 KiB, normalized at level 1."""

_BLOCK = 8 << 20


class Recipe(msgspec.Struct, frozen=True, array_like=True):
    """How a large object is put together: the digests and sizes (u32, little-endian) of its chunks, in order."""

    version: int
    size: int
    digests: bytes
    sizes: bytes

    @property
    def chunks(self) -> list[bytes]:
        """The digests of the chunks, in order."""
        return [self.digests[at : at + 32] for at in range(0, len(self.digests), 32)]

    @property
    def lengths(self) -> memoryview:
        """The sizes of the chunks in bytes, in order."""
        sizes = self.sizes
        if sys.byteorder == "big":
            sizes = b"".join(sizes[at : at + 4][::-1] for at in range(0, len(sizes), 4))
        return memoryview(sizes).cast("I")


_recipes = msgspec.msgpack.Decoder(Recipe)


def encode(recipe: Recipe) -> bytes:
    """A recipe as it is kept."""
    return msgspec.msgpack.encode(recipe)


def decode(data: bytes) -> Recipe:
    """A recipe from what is kept.

    Raises:
        Corrupted: it is none, or one of a version that is not known.
    """
    try:
        recipe = _recipes.decode(data)
    except msgspec.DecodeError as error:
        raise Corrupted(f"The recipe of a large object is damaged ({error}).") from None
    if recipe.version != FASTCDC_64K:
        raise Corrupted(f"A recipe has version {recipe.version}.", hint="A newer Everloop may have written it.")
    listed, rest = divmod(len(recipe.sizes), 4)
    if rest or len(recipe.digests) != 32 * listed or sum(recipe.lengths) != recipe.size:
        raise Corrupted("The recipe of a large object is damaged: its chunks do not add up.")
    return recipe


def chunked(data: memoryview) -> Iterator[memoryview]:
    """The pieces of a large object, cut where its content says so."""
    for chunk in _cutter().cut_buf(data):
        yield data[chunk.offset : chunk.offset + chunk.length]


def chunked_stream(file: BinaryIO) -> Iterator[memoryview]:
    """The pieces of a large file, cut at the same places as if it were in memory at once."""
    rest = b""
    while True:
        block = bytearray(len(rest) + _BLOCK)
        block[: len(rest)] = rest
        filled = len(rest) + (file.readinto(memoryview(block)[len(rest) :]) or 0)  # type: ignore[attr-defined]  # Binary files have it.
        pieces = list(chunked(memoryview(block)[:filled]))
        if filled == len(rest):
            yield from pieces
            return
        # The last piece ends where the block does, not where its content says.
        yield from pieces[:-1]
        rest = bytes(pieces[-1])


def _cutter() -> FastCDC:
    from pyfastcdc import FastCDC

    return FastCDC(avg_size=AVERAGE, min_size=AVERAGE // 4, max_size=AVERAGE * 4, normalized_chunking=1, seed=0)
