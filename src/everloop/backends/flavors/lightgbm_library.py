"""The part of LightGBM's documented C interface that prediction needs.

Loading the shared library costs milliseconds; `import lightgbm` brings scikit-learn and pandas along and costs seconds,
which a process that only predicts should not pay.
"""

from __future__ import annotations

import ctypes
import os
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from everloop.kernel.errors import Corrupted, Misconfigured

_FLOAT64 = 1
_NORMAL = 0
_CONTRIBUTIONS = 3
_ROW_MAJOR = 1
_FIRST, _ALL = 0, -1
_ONE_THREAD = b"num_threads=1 verbosity=-1"
_SHARE = 200
"""So many rows to explain are worth a thread."""


class LoadedBooster:
    """A booster in memory. Calls may come from several threads at once; scores are made on the thread that asks."""

    def __init__(self, text: str) -> None:
        self._library = library()
        self._handle = ctypes.c_void_p()
        iterations = ctypes.c_int()
        self._call(
            "LGBM_BoosterLoadModelFromString", text.encode(), ctypes.byref(iterations), ctypes.byref(self._handle)
        )
        self.features = self._count("LGBM_BoosterGetNumFeature")
        self.classes = self._count("LGBM_BoosterGetNumClasses")

    def predict(self, matrix: np.ndarray) -> np.ndarray:
        """The scores of a C-contiguous float64 matrix: `(n,)`, or `(n, k)` with several classes."""
        scores = self._predicted(matrix, _NORMAL, self.classes)
        return scores[:, 0] if self.classes == 1 else scores

    def contributions(self, matrix: np.ndarray) -> np.ndarray:
        """TreeSHAP, `(n, classes, features + 1)`; the last of a row is the expected score.

        A row costs a hundred times what its score does, so many rows are shared out among the processor's cores.
        """
        parts = np.array_split(matrix, max(1, min(os.cpu_count() or 1, len(matrix) // _SHARE)))
        if len(parts) == 1:
            flat = self._explained(matrix)
        else:
            with ThreadPoolExecutor(len(parts)) as threads:
                flat = np.concatenate(list(threads.map(self._explained, parts)))
        return flat.reshape(len(matrix), self.classes, self.features + 1)

    def __del__(self) -> None:
        if self._handle:
            self._library.LGBM_BoosterFree(self._handle)

    def _explained(self, matrix: np.ndarray) -> np.ndarray:
        return self._predicted(matrix, _CONTRIBUTIONS, self.classes * (self.features + 1))

    def _predicted(self, matrix: np.ndarray, kind: int, width: int) -> np.ndarray:
        rows, columns = matrix.shape
        out = np.empty((rows, width), dtype=np.float64)
        if rows == 0:
            return out
        data, scores = ctypes.c_void_p(matrix.ctypes.data), ctypes.c_void_p(out.ctypes.data)
        whole = (_ROW_MAJOR, kind, _FIRST, _ALL)
        written = ctypes.byref(ctypes.c_int64())
        self._call(
            *("LGBM_BoosterPredictForMat", self._handle, data, _FLOAT64, rows, columns, *whole),
            *(_ONE_THREAD, written, scores),
        )
        return out

    def _count(self, name: str) -> int:
        number = ctypes.c_int()
        self._call(name, self._handle, ctypes.byref(number))
        return number.value

    def _call(self, name: str, *arguments: object) -> None:
        if getattr(self._library, name)(*arguments) != 0:
            raise Corrupted(f"LightGBM: {self._library.LGBM_GetLastError().decode(errors='replace')}.")


@cache
def library() -> ctypes.CDLL:
    """LightGBM's shared library, as its wheel brings it.

    Raises:
        Misconfigured: LightGBM, or the OpenMP runtime that it needs, is not installed.
    """
    spec = find_spec("lightgbm")
    if spec is None or not spec.submodule_search_locations:
        raise Misconfigured("LightGBM is not installed.", hint="pip install 'everloop[lightgbm]'")
    path = Path(spec.submodule_search_locations[0]) / "lib" / "lib_lightgbm.so"
    try:
        loaded = ctypes.CDLL(str(path))
    except OSError as error:
        raise Misconfigured(
            f"LightGBM's library does not load ({error}).", hint="On Debian: apt-get install libgomp1."
        ) from None
    loaded.LGBM_GetLastError.restype = ctypes.c_char_p
    return loaded
