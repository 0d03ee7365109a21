"""The kernel as Python calls it: kernel.c, compiled when the package was built, over a table's arrays."""

from __future__ import annotations

import ctypes
from functools import cache
from pathlib import Path
from typing import Any, get_args

import numpy as np

from everloop.kernel.errors import InvalidInput, Misconfigured
from everloop.registry.trees.bits import Bits, bits_of
from everloop.registry.trees.table import Link, Rule, TreeTable

LIBRARY = Path(__file__).with_name("libtrees.so")
_bytes_of: Any = (ctypes.c_char * 0).from_buffer  # `Any`: ctypes is not told that arrays are buffers.
_LAYOUT = 2
"""Which layout of a table the kernel must be made for: kernel.c has the same number."""
_SMALL = 4096
"""Up to so many bytes, a copy costs less than to ask NumPy where an array lies."""


class _Forest(ctypes.Structure):
    _fields_ = (
        *((name, ctypes.c_void_p) for name in ("bits", "nodes", "roots", "outputs", "values", "sets", "ways", "base")),
        *((name, ctypes.c_int64) for name in ("trees", "features", "width")),
        *((name, ctypes.c_double) for name in ("divisor", "slope", "largest")),
        *(
            (name, ctypes.c_int32)
            for name in ("vectors", "sums32", "link", "rule", "no_missing", "categorical", "inputs32")
        ),
    )


class _Bits(ctypes.Structure):
    _fields_ = (
        *((name, ctypes.c_void_p) for name in Bits._fields[:7]),
        *((name, ctypes.c_int64) for name in ("ranks", "codes", "planes", "wide")),
    )


class Kernel:
    """Scores rows with a table; a call costs some 1.5 µs and the walks. Any number of threads may call at once."""

    def __init__(self, table: TreeTable) -> None:
        self._score = library().everloop_score
        self._features, self._width = table.features, table.width
        # The structure holds addresses only, so the arrays must live as long as it does.
        self._arrays = [
            np.ascontiguousarray(array)
            for array in (table.nodes, table.roots, table.outputs, table.values, table.sets, table.ways, table.base)
        ]
        self._bits = bits_of(table)
        self._vectors = _vectors(self._bits) if self._bits else None
        how = table.arithmetic
        self._forest = _Forest(
            ctypes.addressof(self._vectors) if self._vectors else None,
            *(array.ctypes.data for array in self._arrays),
            *(len(table.roots), table.features, table.width),
            *(how.divisor, how.slope, how.largest),
            *(bool(table.values.size), how.float32_sums, get_args(Link).index(how.link)),
            *(get_args(Rule).index(how.rule), not how.missing, bool(table.categorical.any()), how.float32_inputs),
        )
        self._address = ctypes.addressof(self._forest)

    def __call__(self, matrix: np.ndarray) -> np.ndarray:
        """The scores of a float64 matrix: `(n,)`, or `(n, k)` with several outputs.

        Raises:
            InvalidInput: a value is infinite or missing, and the model's own library would refuse it.
        """
        rows = len(matrix)
        if matrix.shape != (rows, self._features) or matrix.dtype != np.float64:
            raise InvalidInput(f"{matrix.dtype}{list(matrix.shape)} is no matrix of {self._features} numbers a row.")
        out = np.empty(rows if self._width == 1 else (rows, self._width))
        if rows == 0:
            return out
        matrix = matrix if matrix.nbytes <= _SMALL else np.ascontiguousarray(matrix)
        place = matrix.tobytes() if matrix.nbytes <= _SMALL else matrix.ctypes.data
        bad: int = self._score(self._address, place, rows, _bytes_of(out))
        if bad >= 0:
            raise Unscorable(*divmod(bad, self._features))
        return out


def _vectors(bits: Bits) -> _Bits:
    """The structure of bit vectors, which must not outlive them."""
    counts = (len(bits.ranked), len(bits.coded), bits.planes, bits.wide)
    return _Bits(*(array.ctypes.data for array in bits[:7]), *counts)


class Unscorable(InvalidInput):
    """The value in a row and column is none that the model takes."""

    def __init__(self, row: int, column: int, name: str = "") -> None:
        super().__init__(
            f"{name or f'Input {column}'} of row {row} is missing, infinite or too large for the model.",
            hint="It was trained on numbers only.",
        )
        self.row, self.column = row, column

    def named(self, name: str) -> Unscorable:
        """The same of an input with a name."""
        return Unscorable(self.row, self.column, name)


def available() -> bool:
    """Whether the package was built where there is a compiler, for this machine."""
    try:
        library()
    except Misconfigured:
        return False
    return True


@cache
def library() -> ctypes.CDLL:
    """The kernel's shared library.

    Raises:
        Misconfigured: it was not built, or for another machine.
    """
    try:
        loaded = ctypes.CDLL(str(LIBRARY))
    except OSError as error:
        raise Misconfigured(
            f"The kernel for trees is not there ({error}).", hint="Install a C compiler, then Everloop again."
        ) from None
    try:
        loaded.everloop_layout.restype = ctypes.c_int64
        layout = loaded.everloop_layout()
    except AttributeError:
        layout = 0
    if layout != _LAYOUT * 1000 + ctypes.sizeof(_Forest):
        raise Misconfigured("The kernel for trees is of another version.", hint="Install Everloop again.")
    loaded.everloop_score.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_void_p]
    loaded.everloop_score.restype = ctypes.c_int64
    return loaded
