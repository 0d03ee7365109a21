"""Values of a request as the columns that models take: JSON lists and binary tensors, checked against their type."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import msgspec
import numpy as np

from everloop.kernel.errors import InvalidInput
from everloop.registry.entities import Field

_DTYPES: dict[str, tuple[str, str]] = {
    "BOOL": ("bool", "?"),
    "INT8": ("int", "<i1"),
    "INT16": ("int", "<i2"),
    "INT32": ("int", "<i4"),
    "INT64": ("int", "<i8"),
    "UINT8": ("int", "<u1"),
    "UINT16": ("int", "<u2"),
    "UINT32": ("int", "<u4"),
    "UINT64": ("int", "<u8"),
    "FP16": ("float", "<f2"),
    "FP32": ("float", "<f4"),
    "FP64": ("float", "<f8"),
    "BYTES": ("bytes", "O"),
}
"""How a datatype of the Open Inference Protocol stands in JSON, and in memory."""
MALFORMED = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What decoding foreign JSON raises; the last one when it is nested too deeply."""
_LISTS: dict[str, Any] = {
    "float": list[float | None],
    "int": list[int | None],
    "bool": list[bool | None],
    "bytes": list[str | None],
}
_ROWS: dict[str, Any] = {
    "float": list[list[float | None]],
    "int": list[list[int | None]],
    "bool": list[list[bool | None]],
    "bytes": list[list[str | None]],
}
_flat: dict[str, Any] = {kind: msgspec.json.Decoder(lists) for kind, lists in _LISTS.items()}
_nested: dict[str, Any] = {kind: msgspec.json.Decoder(rows) for kind, rows in _ROWS.items()}
DATATYPES = {"float64": "FP64", "int64": "INT64", "bool": "BOOL", "string": "BYTES"}
"""The datatype of each type of field."""


def from_json(name: str, datatype: str, shape: Sequence[int], data: bytes | memoryview) -> np.ndarray:
    """A tensor whose values stand in JSON, flat or in rows, as an array of its shape; null is a missing value.

    Raises:
        InvalidInput: the values are not of the datatype, or do not fill the shape.
    """
    kind, dtype = _dtype(name, datatype)
    try:
        if bytes(data).lstrip()[:2] == b"[[":
            values = [value for row in _nested[kind].decode(data) for value in row]
        else:
            values = _flat[kind].decode(data)
        array = _array(values, kind, dtype)
    except (*MALFORMED, OverflowError, ValueError) as error:
        raise InvalidInput(f"Input {name!r} is not {datatype}: {error}.", hint="Send one value for each row.") from None
    return _shaped(name, array, shape)


def from_items(name: str, datatype: str, shape: Sequence[int], items: Sequence[object]) -> np.ndarray:
    """A tensor out of values that have the datatype's kind already, as an array of its shape.

    Raises:
        InvalidInput: a value is out of the datatype's range, or they do not fill the shape.
    """
    try:
        return _shaped(name, _array(items, *_dtype(name, datatype)), shape)
    except OverflowError as error:
        raise InvalidInput(f"Input {name!r} is not {datatype}: {error}.") from None


def from_bytes(name: str, datatype: str, shape: Sequence[int], data: memoryview) -> np.ndarray:
    """A tensor whose values are raw bytes, little-endian, as an array of its shape.

    Raises:
        InvalidInput: the bytes do not fill the shape.
    """
    kind, dtype = _dtype(name, datatype)
    if kind == "bytes":
        return _shaped(name, _strings(name, data), shape)
    if len(data) % np.dtype(dtype).itemsize:
        raise InvalidInput(f"Input {name!r} has {len(data)} bytes, which is no whole number of {datatype}.")
    return _shaped(name, np.frombuffer(data, dtype=dtype), shape)


def datatype_of(values: Sequence[str] | np.ndarray) -> str:
    """The datatype that an output goes out as."""
    if not isinstance(values, np.ndarray):
        return "BYTES"
    return {"f": "FP64", "b": "BOOL", "i": "INT64", "u": "INT64"}.get(values.dtype.kind, "BYTES")


def to_bytes(values: Sequence[str] | np.ndarray) -> bytes:
    """An output as raw bytes, as `from_bytes` reads them in the datatype that `datatype_of` says."""
    datatype = datatype_of(values)
    if datatype != "BYTES":
        return np.asarray(values).astype(_DTYPES[datatype][1], copy=False).tobytes()
    texts = (str(text).encode() for text in np.ravel(np.asarray(values, dtype=object)))
    return b"".join(part for text in texts for part in (len(text).to_bytes(4, "little"), text))


def from_values(field: Field, values: Sequence[object]) -> np.ndarray:
    """Values out of decoded JSON as a column.

    Raises:
        InvalidInput: a value is not of the field's type.
    """
    kind, dtype = _DTYPES[DATATYPES[field.type]]
    try:
        return _array(msgspec.convert(values, _LISTS[kind]), kind, dtype)
    except (msgspec.ValidationError, OverflowError) as error:
        raise InvalidInput(f"Column {field.name!r} is not {field.type}: {error}.") from None


def columns_of(fields: Sequence[Field], tensors: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The tensors as one column for each input. A single matrix of numbers may stand for all inputs, in their order.

    Raises:
        InvalidInput: a tensor is no column.
    """
    if len(tensors) == 1:
        name, matrix = next(iter(tensors.items()))
        names = [field.name for field in fields]
        if name not in names and matrix.ndim == 2 and matrix.shape[1] == len(names) and matrix.dtype != object:
            return {column: np.ascontiguousarray(matrix[:, at]) for at, column in enumerate(names)}
    return {name: _column(name, tensor) for name, tensor in tensors.items()}


def _column(name: str, tensor: np.ndarray) -> np.ndarray:
    if tensor.ndim == 1:
        return tensor
    if tensor.ndim == 2 and tensor.shape[1] == 1:
        return tensor[:, 0]
    raise InvalidInput(
        f"Input {name!r} has the shape {list(tensor.shape)}.", hint="An input is a column: [n] or [n, 1]."
    )


def _dtype(name: str, datatype: str) -> tuple[str, str]:
    if datatype not in _DTYPES:
        raise InvalidInput(
            f"Input {name!r} has the unknown datatype {datatype!r}.", hint=f"Known are {', '.join(_DTYPES)}."
        )
    return _DTYPES[datatype]


def _array(values: Sequence[object], kind: str, dtype: str) -> np.ndarray:
    """Missing numbers become NaN, so whole numbers and truths among them become floats."""
    if kind == "bytes":
        return np.array(values, dtype=object)
    if kind == "float" or None in values:
        return np.array(values, dtype=np.float64)
    return np.array(values, dtype=dtype)


def _shaped(name: str, array: np.ndarray, shape: Sequence[int]) -> np.ndarray:
    if any(size < 0 for size in shape) or not shape or prod(shape) != len(array):
        raise InvalidInput(
            f"Input {name!r} has the shape {list(shape)}, but {len(array)} values.", hint="Send a value for each place."
        )
    try:
        return array.reshape(shape)
    except (ValueError, OverflowError) as error:  # Too many dimensions, or one that is too large beside one of 0.
        raise InvalidInput(f"Input {name!r} has an impossible shape: {error}.") from None


def _strings(name: str, data: memoryview) -> np.ndarray:
    """Texts that each stand after their length in four bytes."""
    found, at = [], 0
    while at < len(data):
        end = at + 4 + int.from_bytes(data[at : at + 4], "little")
        if at + 4 > len(data) or end > len(data):
            raise InvalidInput(f"Input {name!r} ends in the middle of a text.")
        try:
            found.append(str(data[at + 4 : end], "utf-8"))
        except UnicodeDecodeError as error:
            raise InvalidInput(f"Input {name!r} is not UTF-8 ({error}).") from None
        at = end
    return np.array(found, dtype=object)
