"""Compression where it pays: a sample decides, and what does not shrink soon costs nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from everloop.kernel.errors import Corrupted
from everloop.store.packs import RAW, ZSTD

if TYPE_CHECKING:
    from zstandard import ZstdCompressor

_SAMPLE = 4 << 10
_LARGE = 16 << 10
_SMALLEST = 128
_LEVEL = 1
"""zstd's fastest: tables as text shrink to a quarter at some 500 MB/s; more would wait for the processor."""


class Compression:
    """Compresses the objects of one pack, one after the other.

    After each object that did not shrink, more and more are left as they are without a look, up to 64 small ones.
    """

    def __init__(self) -> None:
        self._zstd: ZstdCompressor | None = None
        self._misses = 0
        self._skip = 0

    def stored(self, data: memoryview) -> tuple[int, bytes | memoryview]:
        """The codec, and the bytes to store."""
        if len(data) < _SMALLEST:
            return RAW, data
        if self._skip:
            self._skip -= 1
            return RAW, data
        if packed := self._smaller(data):
            self._misses = 0
            return ZSTD, packed
        self._misses += 1
        self._skip = min(1 << self._misses, 8 if len(data) >= _LARGE else 64) - 1
        return RAW, data

    def _smaller(self, data: memoryview) -> bytes | None:
        """The object compressed, if that saves an eighth."""
        if self._zstd is None:
            from zstandard import ZstdCompressor

            self._zstd = ZstdCompressor(level=_LEVEL, write_checksum=False, write_content_size=True)
        if len(data) >= _LARGE:
            middle = len(data) // 2
            if len(self._zstd.compress(data[middle : middle + _SAMPLE])) > _SAMPLE * 7 // 8:
                return None
        packed = self._zstd.compress(data)
        return packed if len(packed) < len(data) * 7 // 8 else None


def decoded(codec: int, stored: bytes | memoryview, size: int) -> bytes:
    """The bytes of an object as they were.

    Raises:
        Corrupted: they cannot be had from what is stored.
    """
    if codec == RAW:
        if len(stored) != size:
            raise Corrupted(f"{len(stored)} bytes are stored where {size} should be.")
        return bytes(stored)
    if codec != ZSTD:
        raise Corrupted(f"Codec {codec} is not known.", hint="A newer Everloop may have written it.")
    from zstandard import ZstdDecompressor, ZstdError, frame_content_size

    try:
        if frame_content_size(stored) != size:
            raise Corrupted("A compressed object has another size than its pack says.")
        return ZstdDecompressor().decompress(stored, max_output_size=size)
    except ZstdError as error:
        raise Corrupted(f"A compressed object cannot be read ({error}).") from None
