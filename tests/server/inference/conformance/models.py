"""The models that a server must serve to be judged, and what they are asked.

`echo_TYPE` gives its input `x` back as `y`, in versions 1 and 2; `image` does that for (2, 3) matrices of FP32; `table`
takes `a` FP64, `n` INT64 and `s` BYTES and gives `total` = a + n and `text` = s. `spare` is in the repository and not
loaded: it is `echo_fp32`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from everloop.registry.entities import Field, Signature, Type

TYPES: dict[str, Type] = {
    "BOOL": "bool",
    "INT8": "int8",
    "INT16": "int16",
    "INT32": "int32",
    "INT64": "int64",
    "UINT8": "uint8",
    "UINT16": "uint16",
    "UINT32": "uint32",
    "UINT64": "uint64",
    "FP16": "float16",
    "FP32": "float32",
    "FP64": "float64",
    "BYTES": "bytes",
}
"""The type of field for each datatype."""


def sample(datatype: str) -> np.ndarray:
    """Values that show whether a datatype is kept: the smallest, the largest, and some between."""
    if datatype == "BOOL":
        return np.array([True, False, True])
    if datatype == "BYTES":
        return np.array([b"", "ü€😀".encode(), b"plain"], dtype=object)
    dtype = np.dtype(TYPES[datatype])
    limits: Any = np.finfo(dtype) if dtype.kind == "f" else np.iinfo(dtype)
    return np.array([limits.min, 1, limits.max], dtype=dtype)


def echo(datatype: str) -> str:
    """The name of the model that gives a datatype back."""
    return f"echo_{datatype.lower()}"


class Echo:
    """Gives its inputs back under the names of its outputs."""

    def __init__(self, signature: Signature) -> None:
        self.inputs = signature.inputs
        self._names = [field.name for field in signature.outputs]

    def infer(self, columns: Mapping[str, np.ndarray]) -> Mapping[str, np.ndarray]:
        """The inputs, renamed."""
        return dict(zip(self._names, (columns[field.name] for field in self.inputs), strict=True))

    def predict(self, columns: Mapping[str, np.ndarray]) -> np.ndarray:
        """The first input."""
        return columns[self.inputs[0].name].astype(np.float64)

    def contributions(self, columns: Mapping[str, np.ndarray]) -> np.ndarray:
        """Nothing moves anything."""
        return np.zeros((len(columns[self.inputs[0].name]), len(self.inputs)))


class Table(Echo):
    """Adds two columns, and hands a third on."""

    def infer(self, columns: Mapping[str, np.ndarray]) -> Mapping[str, np.ndarray]:
        """The sum, and the text."""
        return {"total": columns["a"] + columns["n"], "text": columns["s"]}


def signatures() -> dict[str, Signature]:
    """What each model takes and gives."""
    echoes = {echo(datatype): _echoed(Field("x", kind)) for datatype, kind in TYPES.items()}
    table = Signature(
        (Field("a", "float64"), Field("n", "int64"), Field("s", "string")),
        (Field("total", "float64"), Field("text", "string")),
    )
    return {**echoes, "image": _echoed(Field("x", "float32", shape=(2, 3))), "table": table}


def _echoed(field: Field) -> Signature:
    return Signature((field,), (Field("y", field.type, shape=field.shape),))
