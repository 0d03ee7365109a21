"""Arrow record batches as bytes, straight from NumPy: what the log writes for every turn.

pyarrow takes ~2 µs for each column of a batch; a turn of few rows has many columns, so that would be most of its cost.
Here the metadata of a schema is made once by pyarrow, and only its numbers are set anew for each batch.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate, repeat
from typing import TYPE_CHECKING

import numpy as np

from everloop.serving.encoded import EncodedBatch

if TYPE_CHECKING:
    import pyarrow as pa

_PREFIX = 8
"""Bytes of an encapsulated message before its metadata."""
_HEADER, _BODY_LENGTH = 2, 3
_LENGTH, _NODES, _BUFFERS = 0, 1, 2
"""The numbers of fields in Arrow's flatbuffers `Message` and `RecordBatch`."""
_PADDING = bytes(8)


@dataclass(frozen=True, eq=False, slots=True)
class Text:
    """A column of strings as Arrow's buffers have it; `validity` is empty when none is missing."""

    offsets: bytes
    data: bytes
    validity: bytes = b""
    missing: int = 0


class BatchEncoder:
    """Makes the batches of one schema: columns of strings, and numbers that are never null."""

    def __init__(self, schema: pa.Schema) -> None:
        self.schema = schema
        message = _sample(schema).serialize()
        (size,) = struct.unpack_from("<i", message, 4)
        self._metadata = np.frombuffer(message, dtype=np.int64, count=size // 8, offset=_PREFIX).copy()
        places = _Places(self._metadata.tobytes())
        self._length, self._body_length = places.length, places.body_length
        self._nodes = slice(places.nodes, places.nodes + 2 * len(schema))
        self._buffers = slice(places.buffers, places.buffers + 2 * places.count)
        self._widths, self._texts = _widths(schema)

    def encode(self, rows: int, at: int, columns: Sequence[bytes | Text]) -> EncodedBatch:
        """A batch of columns in the schema's order; neighbouring numbers of 8 bytes may come as one block."""
        metadata = self._metadata.copy()
        nodes, buffers = metadata[self._nodes], metadata[self._buffers]
        nodes[0::2] = rows
        sizes = self._widths * rows
        chunks: list[bytes] = []
        texts = iter(self._texts)
        for column in columns:
            if isinstance(column, bytes):
                chunks.append(column)
                if len(column) & 7:
                    chunks.append(_PADDING[len(column) & 7 :])
                continue
            field, first = next(texts)
            nodes[2 * field + 1] = column.missing
            for number, chunk in enumerate((column.validity, column.offsets, column.data), start=first):
                sizes[number] = len(chunk)
                chunks.append(chunk)
                if len(chunk) & 7:
                    chunks.append(_PADDING[len(chunk) & 7 :])
        ends = np.cumsum((sizes + 7) & -8)
        buffers[1::2] = sizes
        buffers[0], buffers[2::2] = 0, ends[:-1]
        metadata[self._length], metadata[self._body_length] = rows, ends[-1]
        return EncodedBatch(self.schema, rows, at, metadata.tobytes(), b"".join(chunks))


def text(values: Sequence[str | None]) -> Text:
    """A column of strings; None is missing.

    Raises:
        UnicodeEncodeError: a string has half a character.
    """
    validity, missing = b"", 0
    if None in values:
        known = np.fromiter((value is not None for value in values), bool, len(values))
        validity, missing = np.packbits(known, bitorder="little").tobytes(), int(len(values) - known.sum())
        values = [value or "" for value in values]
    whole = "".join(values)  # type: ignore[arg-type]  # None was replaced above.
    data = whole.encode()
    if len(data) == len(whole):
        return Text(offsets_of(map(len, values)), data, validity, missing)  # type: ignore[arg-type]  # As above.
    return Text(offsets_of(len(str(value).encode()) for value in values), data, validity, missing)


def same_text(value: str, count: int) -> Text:
    """A column that has the same string in each row."""
    data = value.encode()
    return Text(offsets_of(repeat(len(data), count)), data * count)


def offsets_of(lengths: Iterable[int]) -> bytes:
    """Where strings of these lengths begin and end."""
    return array("i", accumulate(lengths, initial=0)).tobytes()


class _Places:
    """Where the numbers of a record batch's metadata stand, in units of 8 bytes."""

    def __init__(self, metadata: bytes) -> None:
        self._data = metadata
        (message,) = struct.unpack_from("<I", metadata)
        header = self._field(message, _HEADER)
        batch = header + struct.unpack_from("<I", metadata, header)[0]
        self.length = self._field(batch, _LENGTH) // 8
        self.body_length = self._field(message, _BODY_LENGTH) // 8
        self.nodes, _ = self._vector(batch, _NODES)
        self.buffers, self.count = self._vector(batch, _BUFFERS)

    def _field(self, table: int, number: int) -> int:
        vtable = table - struct.unpack_from("<i", self._data, table)[0]
        return table + int(struct.unpack_from("<H", self._data, vtable + 4 + 2 * number)[0])

    def _vector(self, table: int, number: int) -> tuple[int, int]:
        field = self._field(table, number)
        vector = field + struct.unpack_from("<I", self._data, field)[0]
        return (vector + 4) // 8, struct.unpack_from("<I", self._data, vector)[0]


def _widths(schema: pa.Schema) -> tuple[np.ndarray, list[tuple[int, int]]]:
    """Bytes a row of each buffer (0 in strings), and the number and the first buffer of each column of strings."""
    widths: list[int] = []
    texts: list[tuple[int, int]] = []
    for number, field in enumerate(schema):
        if str(field.type) == "string":
            texts.append((number, len(widths)))
            widths += [0, 0, 0]
        else:
            widths += [0, field.type.bit_width // 8]
    return np.array(widths, dtype=np.int64), texts


def _sample(schema: pa.Schema) -> pa.RecordBatch:
    """A batch of one row: none of its numbers are left out of the metadata as zeros would be."""
    import pyarrow as pa

    # Out of buffers: `pa.array` imports pandas wherever it is installed, which is half a second and 60 MB.
    one = pa.py_buffer(struct.pack("<q", 1))
    offsets = pa.py_buffer(struct.pack("<ii", 0, 1))
    values = [
        pa.Array.from_buffers(field.type, 1, [None, offsets, one] if field.type == pa.string() else [None, one])
        for field in schema
    ]
    return pa.RecordBatch.from_arrays(values, schema=schema)
