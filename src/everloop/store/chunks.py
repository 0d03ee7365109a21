"""Content-defined chunks: an edit in the middle of a large object changes only the chunks around it."""

from __future__ import annotations

from collections.abc import Iterator

WHOLE = 1 << 20
"""Objects up to this many bytes are kept in one piece."""
AVERAGE = 64 << 10
"""The size in bytes that FastCDC (Xia et al., USENIX ATC 2016) aims at. Part of the store's format: never change it."""


def chunked(data: memoryview) -> Iterator[memoryview]:
    """The pieces of a large object, cut where its content says so."""
    from pyfastcdc import FastCDC

    cutter = FastCDC(avg_size=AVERAGE, min_size=AVERAGE // 4, max_size=AVERAGE * 4)
    for chunk in cutter.cut_buf(data):
        yield data[chunk.offset : chunk.offset + chunk.length]
