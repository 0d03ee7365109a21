"""A 64-bit number for the key of each row, the same on every machine, in every version and whatever stands beside it.

What is below is frozen: it decides for good which part a row of a hash split belongs to. Whole numbers, booleans, dates
and times (by their number) are mixed by SplitMix64; texts and bytes by their length, then eight bytes at a time,
little-endian; numbers with a fraction by their bits. So the number 5 has one hash in every width of integer, and
another than the text "5".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from everloop.kernel.errors import InvalidInput

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

    Hashes = NDArray[np.uint64]

_STEP = 0x9E3779B97F4A7C15
_FIRST, _SECOND = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_MISSING = np.uint64(0xD6E8FEB86659FD93)
_SLICE = 1 << 20
"""So many rows are worked on at a time, which stay in the processor's cache and take little memory."""


def mixed(values: Hashes) -> Hashes:
    """SplitMix64's finalizer: every bit of a value moves every bit of the answer."""
    found = values + np.uint64(_STEP)
    found ^= found >> np.uint64(30)
    found *= _FIRST
    found ^= found >> np.uint64(27)
    found *= _SECOND
    found ^= found >> np.uint64(31)
    return found


def key_hashes(table: pa.Table, columns: Sequence[str], seed: int) -> Hashes:
    """The hash of each row's values in the columns, in their order.

    Raises:
        InvalidInput: a column is missing, or of a type that makes no key.
    """
    require_columns(table, columns)
    found = np.empty(table.num_rows, dtype=np.uint64)
    for start in range(0, table.num_rows, _SLICE):
        part = table.slice(start, _SLICE)
        hashes = np.full(part.num_rows, np.uint64(seed % (1 << 64)))
        for name in columns:
            hashes = mixed(hashes ^ _column(name, part[name].combine_chunks()))
        found[start : start + _SLICE] = hashes
    return found


def row_hashes(rows: int, seed: int) -> Hashes:
    """A hash of the number of each row."""
    start = mixed(np.array([seed % (1 << 64)], dtype=np.uint64))
    return mixed(np.arange(rows, dtype=np.uint64) ^ start)


def require_columns(table: pa.Table, columns: Sequence[str]) -> None:
    """Make sure that a table has columns.

    Raises:
        InvalidInput: it has not.
    """
    missing = [name for name in columns if name not in table.column_names]
    if missing:
        raise InvalidInput(
            f"The table has no column {', '.join(missing)}.", hint=f"It has {', '.join(table.column_names)}."
        )


def _column(name: str, values: pa.Array) -> Hashes:
    import pyarrow as pa
    import pyarrow.compute as pc

    kind, types = values.type, pa.types
    if types.is_dictionary(kind):
        return _column(name, values.dictionary_decode())
    if types.is_string(kind) or types.is_large_string(kind) or types.is_binary(kind) or types.is_large_binary(kind):
        hashes = _texts(values)
    elif types.is_floating(kind):
        hashes = _fractions(np.asarray(pc.fill_null(values.cast(pa.float64()), 0.0)))
    elif types.is_date(kind):
        hashes = _integers(values.cast(pa.date32()).cast(pa.int32()))
    elif types.is_timestamp(kind) or types.is_time64(kind) or types.is_duration(kind):
        hashes = _integers(values.cast(pa.int64()))
    elif types.is_integer(kind) or types.is_boolean(kind):
        hashes = _integers(values)
    elif types.is_decimal(kind):
        hashes = _texts(values.cast(pa.string()))
    else:
        raise InvalidInput(f"Column {name!r} is {kind}, which makes no key.", hint="Name a column of plain values.")
    if values.null_count:
        hashes[np.asarray(pc.is_null(values))] = _MISSING
    return hashes


def _integers(values: pa.Array) -> Hashes:
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_boolean(values.type):
        values = values.cast(pa.uint8())
    filled = np.asarray(pc.fill_null(values, 0))
    signed = filled if filled.dtype == np.uint64 else filled.astype(np.int64)
    return mixed(signed.view(np.uint64))


def _fractions(values: NDArray[np.float64]) -> Hashes:
    """-0 is 0, and every NaN is alike."""
    plain = np.where(np.isnan(values), np.nan, values + 0.0)
    return mixed(plain.view(np.uint64) ^ np.uint64(_STEP))


def _texts(values: pa.Array) -> Hashes:
    """Eight bytes of all texts at once, then the next eight of those that are longer."""
    import pyarrow as pa

    if len(values) == 0:
        return np.empty(0, dtype=np.uint64)
    texts = values.cast(pa.large_binary())
    _, offsets, data = texts.buffers()
    edges = np.frombuffer(offsets, dtype=np.int64)[texts.offset : texts.offset + len(texts) + 1]
    first, size = int(edges[0]), int(edges[-1] - edges[0])
    held = np.zeros(size + 8, dtype=np.uint8)
    if size:
        held[:size] = np.frombuffer(data, dtype=np.uint8, count=size, offset=first)
    words = np.lib.stride_tricks.as_strided(held[:8].view("<u8"), shape=(size + 1,), strides=(1,))
    starts, lengths = edges[:-1] - first, np.diff(edges)
    hashes = mixed(lengths.astype(np.uint64))
    longer = np.flatnonzero(lengths)
    done = 0
    while len(longer):
        left = np.minimum(lengths[longer] - done, 8).astype(np.uint64)
        word = words[starts[longer] + done] & (~np.uint64(0) >> (np.uint64(64) - left * np.uint64(8)))
        hashes[longer] = mixed(hashes[longer] ^ word)
        done += 8
        longer = longer[lengths[longer] > done]
    return hashes
