"""Tensors of the Open Inference Protocol: out of JSON lists and raw bytes, into them, and as the columns of a model.

Nothing is guessed: a value that its datatype cannot hold exactly as it was written down is refused, and a shape is
compared with what is there before any memory is taken for it.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from itertools import chain
from math import prod
from typing import Any

import msgspec
import numpy as np

from everloop.kernel.errors import InvalidInput
from everloop.registry import forms
from everloop.registry.columns import MatrixColumns
from everloop.registry.entities import Field

_DTYPES: dict[str, tuple[str, np.dtype[Any]]] = {
    "BOOL": ("bool", np.dtype("?")),
    "INT8": ("int", np.dtype("<i1")),
    "INT16": ("int", np.dtype("<i2")),
    "INT32": ("int", np.dtype("<i4")),
    "INT64": ("int", np.dtype("<i8")),
    "UINT8": ("int", np.dtype("<u1")),
    "UINT16": ("int", np.dtype("<u2")),
    "UINT32": ("int", np.dtype("<u4")),
    "UINT64": ("int", np.dtype("<u8")),
    "FP16": ("float", np.dtype("<f2")),
    "FP32": ("float", np.dtype("<f4")),
    "FP64": ("float", np.dtype("<f8")),
    "BF16": ("half", np.dtype("<u2")),
    "BYTES": ("bytes", np.dtype("O")),
}
"""How a datatype stands in JSON, and in memory. BF16, the upper half of an FP32, comes in as raw bytes only."""
DATATYPES = {
    "float64": "FP64",
    "float32": "FP32",
    "float16": "FP16",
    "int64": "INT64",
    "int32": "INT32",
    "int16": "INT16",
    "int8": "INT8",
    "uint64": "UINT64",
    "uint32": "UINT32",
    "uint16": "UINT16",
    "uint8": "UINT8",
    "bool": "BOOL",
    "string": "BYTES",
    "bytes": "BYTES",
}
"""The datatype of each type of field; for numbers and truths also that of NumPy's type of this name."""
MALFORMED = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What decoding foreign JSON raises; the last one when it is nested too deeply."""
MOST_DIMENSIONS = 32
EXACT = 1 << 53
"""Whole numbers up to this one are themselves as FP64, which is what a column with gaps becomes."""
_ITEMS: dict[str, Any] = {"float": float | None, "int": int | None, "bool": bool | None, "bytes": str | None}
Values = Sequence[str] | np.ndarray
"""An output: an array, or texts."""


def from_json(name: str, datatype: str, shape: Sequence[int], data: bytes | memoryview) -> np.ndarray:
    """A tensor whose values stand in JSON, flat or nested, as an array of its shape; null is a missing value.

    Raises:
        InvalidInput: the values are not of the datatype, or do not fill the shape.
    """
    kind, dtype = _dtype(name, datatype)
    try:
        depth = _depth(bytes(data[: 4 * MOST_DIMENSIONS]))
        values = _decoder(_json_kind(name, kind), depth).decode(data)
        return _shaped(name, _array(_flat(values, depth, shape), kind, dtype), shape)
    except (*MALFORMED, OverflowError, ValueError) as error:
        raise _misfit(name, datatype, error) from None


def from_lists(name: str, datatype: str, shape: Sequence[int], data: object) -> np.ndarray:
    """A tensor whose values are lists already, flat or nested; numbers may be NaN and infinite.

    Raises:
        InvalidInput: as `from_json`.
    """
    kind, dtype = _dtype(name, datatype)
    try:
        depth, inner = 1, data
        while depth <= MOST_DIMENSIONS and isinstance(inner, list) and inner and isinstance(inner[0], list):
            depth, inner = depth + 1, inner[0]
        values = msgspec.convert(data, _lists_of(_json_kind(name, kind), depth))
        return _shaped(name, _array(_flat(values, depth, shape), kind, dtype), shape)
    except (*MALFORMED, OverflowError, ValueError) as error:
        raise _misfit(name, datatype, error) from None


def from_items(name: str, datatype: str, shape: Sequence[int], items: Sequence[object]) -> np.ndarray:
    """A tensor out of values that have the datatype's kind already, as an array of its shape.

    Raises:
        InvalidInput: a value is out of the datatype's range, or they do not fill the shape.
    """
    try:
        return _shaped(name, _array(items, *_dtype(name, datatype)), shape)
    except OverflowError as error:
        raise InvalidInput(f"Input {name!r} is not {datatype}: {error}.") from None


def from_bytes(name: str, datatype: str, shape: Sequence[int], data: bytes | memoryview) -> np.ndarray:
    """A tensor whose values are raw bytes, little-endian, as an array of its shape; BYTES become bytes.

    Raises:
        InvalidInput: the bytes do not fill the shape.
    """
    kind, dtype = _dtype(name, datatype)
    if kind == "bytes":
        return _shaped(name, _strings(name, bytes(data)), shape)
    if len(data) % dtype.itemsize:
        raise InvalidInput(f"Input {name!r} has {len(data)} bytes, which is no whole number of {datatype}.")
    array = np.frombuffer(data, dtype=dtype)
    if kind == "half":
        array = (array.astype(np.uint32) << 16).view(np.float32)
    elif kind == "bool" and array.view(np.uint8).max(initial=0) > 1:
        raise InvalidInput(f"Input {name!r} is not BOOL: a byte of it is neither 0 nor 1.")
    return _shaped(name, array, shape)


def from_base64(name: str, texts: np.ndarray) -> np.ndarray:
    """A BYTES tensor that came as base64, which is how JSON carries bytes that are no text, as those bytes.

    Raises:
        InvalidInput: a value is no base64.
    """
    try:
        return _filled([text if text is None else base64.b64decode(text, validate=True) for text in texts.flat], texts)
    except (binascii.Error, TypeError, ValueError) as error:
        raise InvalidInput(f"Input {name!r} is not base64: {error}.") from None


def datatype_of(values: Values) -> str:
    """The datatype that an output goes out as."""
    return DATATYPES.get(values.dtype.name, "BYTES") if isinstance(values, np.ndarray) else "BYTES"


def shape_of(values: Values) -> tuple[int, ...]:
    """The shape of an output."""
    return values.shape if isinstance(values, np.ndarray) else (len(values),)


def to_bytes(values: Values) -> bytes:
    """An output as raw bytes, as `from_bytes` reads them in the datatype that `datatype_of` says."""
    datatype = datatype_of(values)
    if datatype != "BYTES":
        return np.asarray(values).astype(_DTYPES[datatype][1], copy=False).tobytes()
    return b"".join(part for item in to_items(values) for part in (len(item).to_bytes(4, "little"), item))


def to_items(values: Values) -> list[bytes]:
    """A BYTES output as bytes; a missing one is empty."""
    items = values.ravel().tolist() if isinstance(values, np.ndarray) else values
    return [item if isinstance(item, bytes) else b"" if item is None else str(item).encode() for item in items]


def to_json(name: str, values: Values) -> list[Any]:
    """An output as JSON has it, row by row: a missing text is null, and so will be a number that is none.

    Raises:
        InvalidInput: it holds bytes that are no text.
    """
    items: list[Any] = values.ravel().tolist() if isinstance(values, np.ndarray) else list(values)
    if datatype_of(values) != "BYTES" or set(map(type, items)) <= {str, type(None)}:
        return items
    try:
        return [item.decode() if isinstance(item, bytes) else item if item is None else str(item) for item in items]
    except UnicodeDecodeError:
        raise InvalidInput(
            f"Output {name!r} holds bytes that are no UTF-8, which JSON cannot carry.",
            hint='Ask for it with the parameter "binary_data": true.',
        ) from None


def typed(field: Field, values: Values) -> Values:
    """An output as its field says; unchanged where that would change a value."""
    if field.type in ("string", "bytes") or not isinstance(values, np.ndarray) or values.dtype.name == field.type:
        return values
    if values.dtype.kind not in "fiub":
        return values
    with np.errstate(all="ignore"):
        found = values.astype(field.type)
    narrow = field.type.startswith("float")  # To round is what a field of fewer digits asks for.
    return found if narrow or np.array_equal(found, values) else values


def from_values(field: Field, values: Sequence[object]) -> np.ndarray:
    """Values out of decoded JSON as a column; each may be nested as the field's shape says.

    Bytes are texts, or `{"b64": "…"}`.

    Raises:
        InvalidInput: a value is not of the field's type.
    """
    kind, dtype = _DTYPES[DATATYPES[field.type]]
    if field.type == "bytes":
        return _bytes_of(field, values)
    if field.form:
        values = forms.texts_of(field, values)
    depth = 1 + len(field.shape)
    try:
        found = msgspec.convert(values, _lists_of(kind, depth))
        shape = [len(values), *(_length(found, level) for level in range(1, depth))]
        return _shaped(field.name, _array(_flat(found, depth, shape), kind, dtype), shape)
    except (msgspec.ValidationError, OverflowError, ValueError) as error:
        raise InvalidInput(f"Column {field.name!r} is not {field.type}: {error}.") from None


def columns_of(fields: Sequence[Field], tensors: Mapping[str, np.ndarray]) -> Mapping[str, np.ndarray]:
    """The tensors as one column for each input. A single matrix of numbers may stand for all inputs, in their order.

    Raises:
        InvalidInput: a tensor is no column, or holds bytes that are no text.
    """
    known = {field.name: field for field in fields}
    if len(tensors) == 1:
        name, matrix = next(iter(tensors.items()))
        if name not in known and matrix.ndim == 2 and matrix.shape[1] == len(known) and matrix.dtype != object:
            return _spread(tuple(known), matrix)
        if name not in known and matrix.ndim > 1:
            raise InvalidInput(
                f"There is no input {name!r}, and its shape {list(matrix.shape)} is no matrix of all inputs.",
                hint=f"That would be [n, {len(known)}]; the inputs are {', '.join(known)}.",
            )
    return {name: _column(known.get(name), name, tensor) for name, tensor in tensors.items()}


def _spread(names: tuple[str, ...], matrix: np.ndarray) -> Mapping[str, np.ndarray]:
    """A matrix stays one where doubles hold all that its type can."""
    if np.can_cast(matrix.dtype, np.float64) and matrix.dtype.kind != "b":
        return MatrixColumns(names, np.ascontiguousarray(matrix, dtype=np.float64))
    return {column: np.ascontiguousarray(matrix[:, at]) for at, column in enumerate(names)}


def _column(field: Field | None, name: str, tensor: np.ndarray) -> np.ndarray:
    if field is None:
        return tensor
    if tensor.dtype == object and field.type in _TEXTS:
        tensor = _worded(name, tensor, field.type)
    if tensor.ndim == 1 + len(field.shape):
        return tensor
    if tensor.ndim == 2 and tensor.shape[1] == 1:
        return tensor[:, 0]
    wanted = [-1, *field.shape]
    raise InvalidInput(
        f"Input {name!r} has the shape {list(tensor.shape)}, not {wanted}.",
        hint="A column is [n] or [n, 1]." if not field.shape else "The first dimension counts the rows.",
    )


_TEXTS: dict[str, tuple[type, Callable[[Any], object]]] = {
    "string": (bytes, bytes.decode),
    "bytes": (str, str.encode),
}
"""What a column of texts must not hold, and what makes of it what it must."""


def _worded(name: str, tensor: np.ndarray, wanted: str) -> np.ndarray:
    other, made = _TEXTS[wanted]
    items = tensor.ravel().tolist()
    if other not in set(map(type, items)):
        return tensor
    try:
        return _filled([made(item) if type(item) is other else item for item in items], tensor)
    except UnicodeError as error:
        raise InvalidInput(f"Input {name!r} is not UTF-8 ({error}).") from None


def _filled(items: Sequence[object], like: np.ndarray) -> np.ndarray:
    found = np.empty(len(items), dtype=object)
    found[:] = items
    return found.reshape(like.shape)


def _misfit(name: str, datatype: str, error: Exception) -> InvalidInput:
    return InvalidInput(
        f"Input {name!r} is not {datatype}: {error}.", hint="Send a value for each place of the shape, row by row."
    )


def _dtype(name: str, datatype: str) -> tuple[str, np.dtype[Any]]:
    found = _DTYPES.get(datatype)
    if found is None:
        raise InvalidInput(
            f"Input {name!r} has the unknown datatype {datatype!r}.", hint=f"Known are {', '.join(_DTYPES)}."
        )
    return found


def _json_kind(name: str, kind: str) -> str:
    if kind == "half":
        raise InvalidInput(f"Input {name!r} is BF16, which has no form in JSON.", hint="Send it as binary data.")
    return kind


def _depth(start: bytes) -> int:
    """How many lists the first value lies in."""
    depth = 0
    for byte in start:
        if byte == 0x5B:
            depth += 1
        elif byte not in b" \t\r\n":
            break
    if depth > MOST_DIMENSIONS:
        raise ValueError(f"it is nested more than {MOST_DIMENSIONS} deep")
    return max(depth, 1)


@cache
def _lists_of(kind: str, depth: int) -> Any:
    found: Any = _ITEMS[kind]
    for _ in range(depth):
        found = list[found]
    return found


@cache
def _decoder(kind: str, depth: int) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(_lists_of(kind, depth))


def _flat(values: list[Any], depth: int, shape: Sequence[int]) -> list[Any]:
    """Nested lists as one: they nest as the shape does, and have its lengths."""
    if depth not in (1, len(shape)):
        raise ValueError(f"its lists nest {depth} deep, and the shape has {len(shape)} dimensions")
    for level in range(1, depth):
        if any(len(row) != shape[level] for row in values):
            raise ValueError(f"a list in it has not the length {shape[level]}")
        values = list(chain.from_iterable(values))
    return values


def _length(values: Sequence[Any], level: int) -> int:
    for _ in range(level):
        values = values[0] if len(values) else ()
    return len(values)


def _array(values: Sequence[Any], kind: str, dtype: np.dtype[Any]) -> np.ndarray:
    """Missing numbers become NaN, so whole numbers and truths among them become floats."""
    if kind == "bytes":
        return np.array(values, dtype=object)
    if kind == "float":
        return _rounded(np.array(values, dtype=np.float64), dtype)
    if None not in values:
        return np.array(values, dtype=dtype)
    known = np.array([value for value in values if value is not None], dtype=dtype)
    if kind == "int" and len(known) and max(abs(int(known.min())), abs(int(known.max()))) > EXACT:
        raise OverflowError(f"beside a missing value, whole numbers may not be over {EXACT}")
    return np.array(values, dtype=np.float64)


def _rounded(doubles: np.ndarray, dtype: np.dtype[Any]) -> np.ndarray:
    if dtype == doubles.dtype:
        return doubles
    with np.errstate(over="ignore"):
        found = doubles.astype(dtype)
    if (np.isinf(found) & ~np.isinf(doubles)).any():
        raise OverflowError(f"a value is over {np.finfo(dtype).max:g}")
    return found


def _bytes_of(field: Field, values: Sequence[object]) -> np.ndarray:
    found: list[object] = []
    for value in values:
        text = value.get("b64") if isinstance(value, dict) and len(value) == 1 else value
        if text is not None and not isinstance(text, str):
            raise InvalidInput(f"Column {field.name!r} is not bytes: {value!r}.", hint='Send texts or {"b64": "…"}.')
        found.append(text if text is None or text is not value else text.encode())
    coded = np.array([text if isinstance(text, str) else None for text in found], dtype=object)
    decoded = from_base64(field.name, coded)
    return _filled([item if isinstance(item, bytes) else decoded[at] for at, item in enumerate(found)], decoded)


def _shaped(name: str, array: np.ndarray, shape: Sequence[int]) -> np.ndarray:
    rank = len(shape)
    if rank == 1 and shape[0] == len(array):
        return array
    if not 0 < rank <= MOST_DIMENSIONS or min(shape) < 0 or prod(shape) != len(array):
        told = list(shape) if rank <= MOST_DIMENSIONS else f"of {rank} dimensions"
        raise InvalidInput(
            f"Input {name!r} has the shape {told}, but {len(array)} values.", hint="Send a value for each place."
        )
    try:
        return array.reshape(shape)
    except (ValueError, OverflowError) as error:  # A dimension that is too large beside one of 0.
        raise InvalidInput(f"Input {name!r} has an impossible shape: {error}.") from None


def _strings(name: str, data: bytes) -> np.ndarray:
    """Texts that each stand after their length in four bytes."""
    found, at, end = [], 0, len(data)
    while at < end:
        start = at + 4
        at = start + int.from_bytes(data[at:start], "little")
        if start > end or at > end:
            raise InvalidInput(f"Input {name!r} ends in the middle of a text.")
        found.append(data[start:at])
    return np.array(found, dtype=object)
