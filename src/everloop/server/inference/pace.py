"""How long a model takes, learned from its own runs: for deciding where a run goes, how large it is, who must wait."""

from __future__ import annotations

from math import inf

WEIGHT = 0.2
"""How much the newest run counts."""
CLIP = 3.0
"""A run counts as no slower than this many times what was expected: one that was held up says little."""
TRIED = 3
"""Of the first so many runs of a size the fastest counts."""
LARGEST = 1 << 16
"""No run has more rows."""
EVERY = 8
"""The limit of a run is thought over every so many runs."""


class Pace:
    """Seconds that runs of a model take, by their number of rows in powers of two.

    Sizes matter: a run of 64 rows may take as long as one row does, or 64 times as long.
    """

    __slots__ = ("_budget", "_rows", "_runs", "_seconds", "_seen", "most", "per_row")

    def __init__(self, budget: float) -> None:
        self._budget = budget
        self._rows: list[float] = [0.0] * 32
        self._seconds: list[float] = [0.0] * 32
        self._seen: list[int] = [0] * 32
        self._runs = 0
        self.most = 1
        """So many rows may be run together: their run stays in the budget, and is not far larger than any before."""
        self.per_row = 0.0
        """Seconds that a row costs when many wait; 0 before the first run."""

    def estimate(self, rows: int) -> float:
        """Seconds that a run of so many rows takes; infinite as long as nothing is known."""
        kind = min(rows.bit_length(), 31)
        if self._rows[kind]:
            return self._seconds[kind] / self._rows[kind] * rows
        for smaller in range(kind - 1, -1, -1):
            if self._rows[smaller]:
                return self._seconds[smaller] / self._rows[smaller] * rows
        return next((self._seconds[larger] for larger in range(kind, 32) if self._rows[larger]), inf)

    def observe(self, rows: int, seconds: float) -> None:
        """Learn from a run; one that was held up moves what is known by little, several that were do."""
        kind = min(rows.bit_length(), 31)
        self._seen[kind] += 1
        self._runs += 1
        expected = self._seconds[kind] / self._rows[kind] * rows if self._rows[kind] else inf
        is_tried = self._seen[kind] <= TRIED
        weight = 1.0 if is_tried and seconds < expected else WEIGHT
        if not is_tried or seconds < expected:
            self._rows[kind] += weight * (rows - self._rows[kind])
            self._seconds[kind] += weight * (min(seconds, CLIP * expected) - self._seconds[kind])
        if is_tried or self._runs % EVERY == 0:
            self._think()

    def _think(self) -> None:
        """The largest size that is known to stay in the budget, and twice that where nothing larger is known."""
        known = [kind for kind in range(32) if self._rows[kind]]
        fitting = [kind for kind in known if self._seconds[kind] <= self._budget]
        if not fitting:
            smallest = known[0]
            self.most, self.per_row = 1, self._seconds[smallest] / self._rows[smallest]
            return
        largest = fitting[-1]
        self.per_row = max(self._seconds[largest] / self._rows[largest], 1e-9)
        self.most = max(1, min(int(self._budget / self.per_row), int(2 * self._rows[largest]), LARGEST))
