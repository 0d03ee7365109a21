"""Where things are, by their hashes: 12 bytes each."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray


class Places:
    """Places by hash, sorted; things of the same hash stand side by side, and whoever asks tells them apart."""

    def __init__(self) -> None:
        self._hashes = np.array([], np.int64)
        self._places = np.array([], np.int32)

    def __len__(self) -> int:
        return len(self._hashes)

    def add(self, hashes: NDArray[np.int64], places: NDArray[np.int32]) -> None:
        """Keep the places of things that have none yet."""
        order = np.argsort(hashes, kind="stable")
        before = np.searchsorted(self._hashes, hashes[order])
        self._hashes = np.insert(self._hashes, before, hashes[order])
        self._places = np.insert(self._places, before, places[order])

    def find(self, hashes: NDArray[np.int64], is_it: Callable[[int, int], bool]) -> list[int]:
        """For each hash the place of which `is_it` says that it is the one (of which hash, which place); else -1."""
        found = [-1] * len(hashes)
        if not len(self):
            return found
        starts = np.searchsorted(self._hashes, hashes)
        hits = np.flatnonzero(self._hashes[np.minimum(starts, len(self) - 1)] == hashes)
        firsts = self._places[np.minimum(starts[hits], len(self) - 1)].tolist()
        for hit, first, start in zip(hits.tolist(), firsts, starts[hits].tolist(), strict=True):
            found[hit] = first if is_it(hit, first) else self._among_equals(hit, start, is_it)
        return found

    def _among_equals(self, which: int, start: int, is_it: Callable[[int, int], bool]) -> int:
        """The same, where the first thing of that hash is another one."""
        stop = int(np.searchsorted(self._hashes, self._hashes[start], side="right"))
        others = self._places[start + 1 : stop].tolist()
        return next((place for place in others if is_it(which, place)), -1)
