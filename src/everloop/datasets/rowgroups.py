"""Where a Parquet file's row groups begin: at rows whose content says so, thus an edit moves only those around it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

LEAST = 256 << 10
COLUMN = 64 << 10
"""A row group has so many bytes of values for each column on average, but not less than `LEAST`.

Larger groups make edits dear, smaller ones reading: describing a column of a group takes some hundred bytes. The
addresses of tables follow from both numbers: never change them.
"""
_ODD = np.uint64(0x9E3779B97F4A7C15)
_CANDIDATES = 16
_UNKNOWN = 64
_BLOCK = 1 << 18


def boundaries(table: pa.Table) -> list[int]:
    """The first row of each group, and the number of rows; some 0.1 s for 100 MB.

    A row begins a group if a hash of its values is the least of all rows within half of a group's size before and
    after it. That depends on nothing farther away, so behind an edit the groups begin where they did. Where rows are
    too much alike for that, groups end at four times that size.
    """
    if not table.num_rows:
        return [0]
    target = max(LEAST, COLUMN * table.num_columns)
    sizes, hashes = _rows(table)
    ends = np.cumsum(sizes)
    found = [0]
    for begin in [*_least(hashes, ends, sizes, target), table.num_rows]:
        while ends[begin - 1] - _before(ends, found[-1]) > 4 * target and begin - found[-1] > 1:
            forced = int(np.searchsorted(ends, _before(ends, found[-1]) + 4 * target))
            found.append(min(max(forced, found[-1] + 1), begin - 1))
        found.append(begin)
    return found


def _least(hashes: NDArray[np.uint64], ends: NDArray[np.int64], sizes: NDArray[np.int64], target: int) -> Iterator[int]:
    """The rows whose hash is the least around; only those with a small one, some 16 a group, can be."""
    rows = np.flatnonzero(hashes.astype(np.float64) < sizes * (_CANDIDATES * 2.0**64 / target))
    rows = rows[rows > 0]
    small, places, half = hashes[rows], ends[rows], target // 2
    near = places[1:] - places[:-1] <= half
    able = np.ones(len(rows), bool)  # A neighbour rules most of them out: nearly all, where rows are alike.
    able[1:] &= ~near | (small[:-1] > small[1:])
    able[:-1] &= ~near | (small[1:] >= small[:-1])
    left = np.flatnonzero(able)
    starts = np.searchsorted(places, places[left] - half)
    stops = np.searchsorted(places, places[left] + half, side="right")
    for at, start, stop in zip(left.tolist(), starts.tolist(), stops.tolist(), strict=True):
        if (small[start:at] > small[at]).all() and (small[at:stop] >= small[at]).all():
            yield int(rows[at])


def _before(ends: NDArray[np.int64], row: int) -> int:
    return int(ends[row - 1]) if row else 0


def _rows(table: pa.Table) -> tuple[NDArray[np.int64], NDArray[np.uint64]]:
    """The size of each row in bytes, and a hash of its values."""
    sizes, hashes = np.empty(table.num_rows, np.int64), np.empty(table.num_rows, np.uint64)
    for start in range(0, table.num_rows, _BLOCK):
        block = table.slice(start, _BLOCK)
        here = slice(start, start + block.num_rows)
        sizes[here], hashes[here] = 0, 0
        for column in block.columns:
            size, values = _column(column.combine_chunks())
            sizes[here] += size
            hashes[here] = (hashes[here] ^ values) * _ODD
            hashes[here] ^= hashes[here] >> np.uint64(29)
    return np.maximum(sizes, 1), hashes


def _column(values: pa.Array) -> tuple[NDArray[np.int64] | int, NDArray[np.uint64] | np.uint64]:
    """The size of each value, and a number that says something of it; of nested types nothing is said."""
    import pyarrow as pa

    kind = values.type
    if pa.types.is_string(kind) or pa.types.is_binary(kind):
        return _texts(values)
    fixed = pa.types.is_primitive(kind) or pa.types.is_decimal(kind) or pa.types.is_fixed_size_binary(kind)
    if not fixed or not kind.bit_width:
        return _UNKNOWN, np.uint64(0)
    if pa.types.is_boolean(kind):
        values = values.cast(pa.uint8())
    numbers = _numbers(values)
    if values.null_count:
        numbers = np.where(values.is_valid().to_numpy(zero_copy_only=False), numbers, np.uint64(0))
    return values.type.bit_width // 8, numbers


def _texts(values: pa.Array) -> tuple[NDArray[np.int64], NDArray[np.uint64]]:
    """Of texts, their length and last two bytes: numbers, ids and names end in what tells them apart."""
    if values.null_count:
        values = values.fill_null("" if values.type == "string" else b"")
    _, offsets, content = values.buffers()
    ends = np.frombuffer(offsets, np.int32)[values.offset : values.offset + len(values) + 1].astype(np.int64)
    letters = np.concatenate([np.zeros(2, np.uint8), np.frombuffer(content or b"", np.uint8)])
    lengths = np.diff(ends)
    last = letters[ends[1:] + 1].astype(np.uint64) * np.uint64(256) + letters[ends[1:]].astype(np.uint64)
    return lengths + 4, last * np.uint64(65536) + lengths.astype(np.uint64)


def _numbers(values: pa.Array) -> NDArray[np.uint64]:
    """Of values of a fixed width, the first eight bytes."""
    width = values.type.bit_width // 8
    start = values.offset * width
    raw = np.frombuffer(values.buffers()[1], np.uint8)[start : start + len(values) * width].reshape(-1, width)
    if width in (1, 2, 4, 8):
        return raw.view(f"u{width}").ravel().astype(np.uint64)
    first = np.zeros((len(values), 8), np.uint8)
    first[:, : min(width, 8)] = raw[:, :8]
    return first.view(np.uint64).ravel()
