"""The line to a sandboxed process: messages with a length before them, arrays as their bytes."""

from __future__ import annotations

import math
import socket
from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

import msgspec

from everloop.kernel.errors import Corrupted, Problem
from everloop.registry.entities import Field

if TYPE_CHECKING:
    import numpy as np

LARGEST = 1 << 31
"""No message is longer than this."""
_KINDS = "fiub"
_ITEMS = {str, bytes, bool, int, float, type(None)}
What = Literal["predict", "infer", "contributions"]


class Array(msgspec.Struct, frozen=True):
    """An array: of numbers as bytes, of anything else as a list."""

    shape: tuple[int, ...]
    kind: str = ""
    data: bytes = b""
    items: list[object] = []


class Ready(msgspec.Struct, frozen=True, tag="ready"):
    """The model is loaded. `tensors` says whether it names its outputs itself."""

    inputs: tuple[Field, ...]
    tensors: bool
    namespaces: bool
    filtered: bool


class Ask(msgspec.Struct, frozen=True):
    """One thing to ask the model."""

    what: What
    columns: dict[str, Array]


class Gave(msgspec.Struct, frozen=True, tag="gave"):
    """What the model gave, by name; under the empty name when it gave one array."""

    values: dict[str, Array]


class Failed(msgspec.Struct, frozen=True, tag="failed"):
    """Why the model gave nothing: an error of ours as it is, anything that it raised as text."""

    problem: Problem


Word = Ready | Gave | Failed


def packed(columns: Mapping[str, object]) -> dict[str, Array]:
    """Arrays and lists, as they travel."""
    return {name: _packed(values) for name, values in columns.items()}


def unpacked(columns: Mapping[str, Array]) -> dict[str, np.ndarray]:
    """The arrays that travelled.

    Raises:
        Corrupted: what came is no array.
    """
    return {name: _unpacked(array) for name, array in columns.items()}


def send(line: socket.socket, message: msgspec.Struct) -> None:
    """Send a message."""
    body = msgspec.msgpack.encode(message)
    line.sendall(len(body).to_bytes(8, "big"))
    line.sendall(body)


def receive(line: socket.socket) -> bytes:
    """The next message's bytes; empty when the other side has ended."""
    head = _exactly(line, 8)
    length = int.from_bytes(head, "big")
    if length > LARGEST:
        raise Corrupted(f"A message of {length} bytes was announced.", hint=f"At most {LARGEST} are taken.")
    return _exactly(line, length) if head else b""


def _exactly(line: socket.socket, length: int) -> bytes:
    parts = bytearray()
    while len(parts) < length:
        part = line.recv(min(length - len(parts), 1 << 20))
        if not part:
            return b""
        parts += part
    return bytes(parts)


def _packed(values: object) -> Array:
    import numpy as np

    array = values if isinstance(values, np.ndarray) else _listed(values)
    if array.dtype.kind in _KINDS:
        return Array(array.shape, array.dtype.str, np.ascontiguousarray(array).tobytes())
    return Array(array.shape, items=array.ravel().tolist())


def _listed(values: object) -> np.ndarray:
    import numpy as np

    found = np.asarray(values)
    return found if found.dtype.kind in _KINDS else np.asarray(values, dtype=object)


def _unpacked(array: Array) -> np.ndarray:
    import numpy as np

    try:
        if not array.kind:
            if not set(map(type, array.items)) <= _ITEMS:
                raise TypeError("it holds things that are no values")
            found = np.empty(len(array.items), dtype=object)
            found[:] = array.items
            return found.reshape(array.shape)
        kind = np.dtype(array.kind)
        if kind.kind not in _KINDS or len(array.data) != kind.itemsize * math.prod(array.shape):
            raise ValueError("its bytes are not of its shape")
        return np.frombuffer(bytearray(array.data), kind).reshape(array.shape)
    except (TypeError, ValueError) as error:
        raise Corrupted(f"The sandboxed model gave no array ({error}).") from None
