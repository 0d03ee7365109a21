"""The table that every library's trees are brought into: what it holds, and how it is kept in a file.

Nodes lie breadth-first, tree after tree, 16 bytes each. An inner node sends a value to the left when it is at most the
threshold. Libraries that compare with `<`, or in float32, had their thresholds moved to the float64 that divides the
same values (`growth.divided`), so that one comparison serves them all; and it is one of whole numbers (`keys_of`).

- `nodes`: `key` (of an inner node its threshold; of a leaf the bits of its value, or its row of `values`; of a
  categorical node its set), `child` (the left one, which the right one follows; of a leaf itself), `column` (the
  feature, where missing values go right; features + the feature, where they go left; 2 · features for a leaf), `flags`
- `roots`, `outputs`: where each tree begins, and the output that it adds to
- `values`: leaves of several outputs, a row each; empty when leaves have one
- `sets`, `ways`: set i has the codes 0, 1, … with the ways `ways[sets[i]:sets[i + 1]]`: UNKNOWN, LEFT, RIGHT
- `base`: what the sums begin with, a number for each output
"""

from __future__ import annotations

import mmap
import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np

from everloop.kernel.errors import Corrupted

NODE = np.dtype([("key", "<i8"), ("child", "<i4"), ("column", "<u2"), ("flags", "<u2")])
CATEGORICAL, UNKNOWN_RIGHT = 1, 2
UNKNOWN, LEFT, RIGHT = 0, 1, 2
LARGEST_FLOAT32 = float(np.nextafter(2.0**128 - 2.0**103, 0))
"""The largest number that is not infinite as float32."""
Link = Literal[
    "identity", "sigmoid", "softmax", "exp", "sigmoid32", "softmax32", "exp32", "square", "log1pexp"
]  # fmt: skip
Rule = Literal["exact", "truncated", "natural"]
"""Which numbers stand for the category n: n itself; all that are cut to it (-0.5 is 0); those not below 0."""
MAX_FEATURES = 32_767
MAX_OUTPUTS = 65_536
_ARRAYS: dict[str, Any] = {
    "nodes": NODE,
    "roots": "<i4",
    "outputs": "<i4",
    "values": "<f8",
    "sets": "<i8",
    "ways": "u1",
    "base": "<f8",
}
_MAGIC = b"EVERLOOP TREES 1"
_ALIGNED = 64
_PREFIX = struct.Struct("<16sI")


class Arithmetic(msgspec.Struct, frozen=True):
    """How a library computes with its trees, and what it refuses.

    A score is `link((base + sum of leaves) / divisor)`; `slope` is the sigmoid's. `float32_inputs` says that values
    are rounded to float32 before they are compared, `float32_sums` that each sum is. A value beyond `largest` (either
    way), and a missing one where `missing` is False, is refused as the library refuses it.
    """

    link: Link = "identity"
    slope: float = 1.0
    divisor: float = 1.0
    float32_inputs: bool = False
    float32_sums: bool = False
    largest: float = float("inf")
    missing: bool = True
    rule: Rule = "exact"


class _Header(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    features: int
    width: int
    bounded: bool
    arithmetic: Arithmetic
    lengths: dict[str, int]


class TreeTable:
    """Trees and the arithmetic that goes with them. Its arrays are never changed."""

    def __init__(self, features: int, arithmetic: Arithmetic, arrays: dict[str, np.ndarray]) -> None:
        self.features = features
        self.arithmetic = arithmetic
        self.nodes, self.roots, self.outputs = arrays["nodes"], arrays["roots"], arrays["outputs"]
        self.sets, self.ways, self.base = arrays["sets"], arrays["ways"], arrays["base"]
        self.values = arrays["values"].reshape(-1, self.width)

    @property
    def width(self) -> int:
        """How many scores a row gets."""
        return len(self.base)

    @property
    def inner(self) -> np.ndarray:
        """Which nodes are no leaves."""
        return np.asarray(self.nodes["column"] < 2 * self.features)

    @property
    def categorical(self) -> np.ndarray:
        """Which nodes ask for a category."""
        return np.asarray(self.nodes["flags"] & CATEGORICAL, bool)

    @property
    def feature(self) -> np.ndarray:
        """The feature of each node; 0 in leaves."""
        return np.asarray(self.nodes["column"] % self.features, np.int64)

    @property
    def missing_left(self) -> np.ndarray:
        """Which nodes send missing values to the left."""
        return np.asarray((self.nodes["column"] >= self.features) & self.inner)

    @property
    def threshold(self) -> np.ndarray:
        """The threshold of each node that compares a number."""
        return numbers_of(self.nodes["key"])

    @property
    def leaf(self) -> np.ndarray:
        """The value of each leaf, where leaves have one."""
        return np.asarray(np.ascontiguousarray(self.nodes["key"]).view(np.float64))

    def save(self, path: Path) -> None:
        """Write it as one file; equal tables make equal files."""
        arrays = {name: np.ascontiguousarray(getattr(self, name), kind) for name, kind in _ARRAYS.items()}
        lengths = {name: array.size for name, array in arrays.items()}
        # JSON-like formats disagree on infinity, so the header says in words that there is no bound.
        bounded = bool(np.isfinite(self.arithmetic.largest))
        arithmetic = self.arithmetic if bounded else msgspec.structs.replace(self.arithmetic, largest=0.0)
        header = msgspec.msgpack.encode(_Header(self.features, self.width, bounded, arithmetic, lengths))
        with path.open("wb") as file:
            file.write(_PREFIX.pack(_MAGIC, len(header)) + header)
            for array in arrays.values():
                file.write(bytes(-file.tell() % _ALIGNED))
                file.write(array.tobytes())

    def check(self) -> None:
        """See that a kernel which trusts every index cannot leave the arrays or walk in circles.

        Raises:
            Corrupted: it could.
        """
        problem = next(_problems(self), "")
        if problem:
            raise Corrupted(f"The table of trees {problem}.", hint="Compile the model again.")


def keys_of(numbers: np.ndarray) -> np.ndarray:
    """Whole numbers in the same order; both noughts are one."""
    bits = (np.asarray(numbers, np.float64) + 0.0).view(np.int64)
    return np.asarray(bits ^ ((bits >> 63) & np.iinfo(np.int64).max))


def numbers_of(keys: np.ndarray) -> np.ndarray:
    """The numbers of keys."""
    bits = np.ascontiguousarray(keys)
    return np.asarray((bits ^ ((bits >> 63) & np.iinfo(np.int64).max)).view(np.float64))


def load_table(path: Path) -> TreeTable:
    """The table of a file, mapped into memory and checked: processes that load one file share its pages.

    Raises:
        Corrupted: it is no such file, or what it holds could lead the kernel astray.
    """
    try:
        with path.open("rb") as file:
            data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if os.fstat(file.fileno()).st_size else b""
    except FileNotFoundError:
        raise Corrupted(f"There is no {path.name}.", hint="Compile the model again.") from None
    try:
        table = _read(data)
    except (msgspec.MsgspecError, struct.error, ValueError, KeyError, OverflowError) as error:
        raise Corrupted(f"{path.name} is no table of trees ({error}).", hint="Compile the model again.") from None
    table.check()
    return table


def _read(data: mmap.mmap | bytes) -> TreeTable:
    magic, length = _PREFIX.unpack_from(data)
    if magic != _MAGIC:
        raise ValueError("it begins with other bytes")
    at = _PREFIX.size + length
    header = msgspec.msgpack.decode(data[_PREFIX.size : at], type=_Header)
    if header.width != header.lengths["base"] or not 1 <= header.width <= MAX_OUTPUTS:
        raise ValueError("its outputs are not counted right")
    arrays = {}
    for name, kind in _ARRAYS.items():
        at += -at % _ALIGNED
        arrays[name] = (
            np.frombuffer(data, kind, header.lengths[name], at) if header.lengths[name] else np.empty(0, kind)
        )
        at += arrays[name].nbytes
    if at != len(data):
        raise ValueError(f"it has {len(data)} bytes, not {at}")
    arithmetic = header.arithmetic
    if not header.bounded:
        arithmetic = msgspec.structs.replace(arithmetic, largest=float("inf"))
    return TreeTable(header.features, arithmetic, arrays)


def _problems(table: TreeTable) -> Iterator[str]:
    """What is wrong with it, the most basic first: a later check may count on the earlier ones."""
    nodes, inner = table.nodes, table.inner
    own = np.arange(len(nodes))
    if not 1 <= table.features <= MAX_FEATURES or len(nodes) >= 2**31:
        yield f"has {table.features} features and {len(nodes)} nodes"
    if (nodes["flags"] >= 2 * UNKNOWN_RIGHT).any() or nodes["flags"][~inner].any():
        yield "has unknown flags"
    if (nodes["column"] > 2 * table.features).any():
        yield "asks for a feature that there is not"
    if (nodes["child"][~inner] != own[~inner]).any():
        yield "has a leaf with children"
    # Children lie behind their parents, which rules out circles.
    if (nodes["child"][inner] <= own[inner]).any() or (nodes["child"][inner] >= len(nodes) - 1).any():
        yield "has a child out of place"
    yield from _problems_beside(table)


def _problems_beside(table: TreeTable) -> Iterator[str]:
    """What is wrong with all that nodes and trees refer to."""
    sets, keys = table.sets, table.nodes["key"]
    if len(table.roots) != len(table.outputs) or _outside(table.roots, len(table.nodes)):
        yield "has roots out of place"
    if _outside(table.outputs, table.width):
        yield "adds to an output that there is not"
    if sets.size == 0 or sets[0] != 0 or sets[-1] != table.ways.size or (np.diff(sets) < 0).any():
        yield "has sets out of place"
    if _outside(keys[table.categorical], len(sets) - 1):
        yield "asks for a set that there is not"
    if table.values.size and _outside(keys[~table.inner], len(table.values)):
        yield "has a leaf whose values there are not"
    if not table.arithmetic.divisor > 0:
        yield f"divides by {table.arithmetic.divisor}"


def _outside(positions: np.ndarray, count: int) -> bool:
    return bool(((positions < 0) | (positions >= count)).any())
