"""Content-defined chunks: an edit in the middle of a large object changes only the chunks around it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from pyfastcdc import FastCDC

WHOLE = 1 << 20
"""Objects up to this many bytes are kept in one piece."""
AVERAGE = 64 << 10
"""The size in bytes that FastCDC (Xia et al., USENIX ATC 2016) aims at. Part of the store's format: never change it."""


def chunked(data: memoryview) -> Iterator[memoryview]:
    """The pieces of a large object, cut where its content says so."""
    for chunk in _cutter().cut_buf(data):
        yield data[chunk.offset : chunk.offset + chunk.length]


def chunked_stream(file: BinaryIO) -> Iterator[memoryview]:
    """The pieces of a large file, cut at the same places; each is good until the next is asked for."""
    for chunk in _cutter().cut_stream(file):
        yield chunk.data


def _cutter() -> FastCDC:
    from pyfastcdc import FastCDC

    return FastCDC(avg_size=AVERAGE, min_size=AVERAGE // 4, max_size=AVERAGE * 4)
