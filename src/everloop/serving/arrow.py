"""Between NumPy and Arrow without copies, conversions, or pandas.

`pyarrow.array` and `to_numpy` import pandas wherever it is installed, a second of CPU that a serving process should not
pay; from buffers it is faster besides.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

if TYPE_CHECKING:
    from numpy.typing import DTypeLike

_DTYPES: dict[pa.DataType, DTypeLike] = {pa.float64(): np.float64, pa.int64(): np.int64, pa.int32(): np.int32}


def numbers(values: np.ndarray, type_: pa.DataType) -> pa.Array:
    """A column of numbers; NaN stays NaN."""
    data = np.ascontiguousarray(values, dtype=_DTYPES[type_])
    return pa.Array.from_buffers(type_, len(data), [None, pa.py_buffer(data)])


def texts(values: Sequence[str | None]) -> pa.Array:
    """A column of strings; None is null."""
    encoded = [b"" if value is None else value.encode() for value in values]
    offsets = np.zeros(len(values) + 1, dtype=np.int32)
    np.cumsum([len(data) for data in encoded], out=offsets[1:])
    validity = None
    if None in values:
        known = np.fromiter((value is not None for value in values), bool, len(values))
        validity = pa.py_buffer(np.packbits(known, bitorder="little"))
    return pa.Array.from_buffers(
        pa.string(), len(values), [validity, pa.py_buffer(offsets), pa.py_buffer(b"".join(encoded))]
    )


def repeated(value: str, count: int) -> pa.Array:
    """A column that has the same string in each row."""
    data = value.encode()
    offsets = np.arange(count + 1, dtype=np.int32) * np.int32(len(data))
    return pa.Array.from_buffers(pa.string(), count, [None, pa.py_buffer(offsets), pa.py_buffer(data * count)])


def array_of(column: pa.Array) -> np.ndarray:
    """The numbers of a column that has no nulls, without a copy."""
    data = np.frombuffer(column.buffers()[1], dtype=_DTYPES[column.type])
    return data[column.offset : column.offset + len(column)]
