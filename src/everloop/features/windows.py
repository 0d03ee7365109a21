"""Windows by mergeable partial states: aligned blocks of powers of two, merged for each window, never subtracted.

Subtracting running totals loses digits (a huge value that has left the window leaves its rounding error behind), so a
window is put together from the O(log rows) largest blocks that fit it, like a query of a segment tree, for all windows
at once. Sums are compensated (Knuth's TwoSum), deviations merged by Chan, Golub & LeVeque (1979).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
State = tuple[Floats, ...]


class Merge(Protocol):
    """A partial state of each row, the merge of two neighbours, and the number that a state stands for."""

    def rows(self, values: Floats) -> State:
        """The state of every single row."""
        ...

    def merge(self, left: State, right: State) -> State:
        """The states of pairs put together, element by element."""
        ...

    def empty(self, count: int) -> State:
        """States that change nothing when they are merged."""
        ...

    def number(self, state: State, counts: Integers) -> Floats:
        """What the states of windows stand for; `counts` is how many values each has, at least one."""
        ...


class Total:
    """Compensated sums: the sum, and what rounding took from it."""

    def rows(self, values: Floats) -> State:
        """The state of every single row."""
        return values, np.zeros_like(values)

    def merge(self, left: State, right: State) -> State:
        """The sums put together by TwoSum, element by element."""
        total = left[0] + right[0]
        added = total - left[0]
        lost = (left[0] - (total - added)) + (right[0] - added)
        return total, left[1] + right[1] + lost

    def empty(self, count: int) -> State:
        """Sums of nothing."""
        return np.zeros(count), np.zeros(count)

    def number(self, state: State, counts: Integers) -> Floats:
        """The sums."""
        return np.where(np.isfinite(state[0]), state[0] + state[1], state[0])


class Mean(Total):
    """Means, from compensated sums."""

    def number(self, state: State, counts: Integers) -> Floats:
        """The means."""
        return super().number(state, counts) / counts


class Share(Mean):
    """The share of values that are not zero."""

    def rows(self, values: Floats) -> State:
        """One for every value that is not zero."""
        return super().rows((values != 0).astype(np.float64))


class Extreme:
    """The smallest or the largest value."""

    def __init__(self, pick: Callable[[Floats, Floats], Floats], neutral: float) -> None:
        self._pick = pick
        self._neutral = neutral

    def rows(self, values: Floats) -> State:
        """The state of every single row."""
        return (values,)

    def merge(self, left: State, right: State) -> State:
        """The more extreme ones, element by element."""
        return (self._pick(left[0], right[0]),)

    def empty(self, count: int) -> State:
        """The value that every other one is more extreme than."""
        return (np.full(count, self._neutral),)

    def number(self, state: State, counts: Integers) -> Floats:
        """The extremes."""
        return state[0]


class Deviation:
    """Sample standard deviations: count, mean, and sum of squared deviations."""

    def rows(self, values: Floats) -> State:
        """The state of every single row."""
        return np.ones_like(values), values, np.zeros_like(values)

    def merge(self, left: State, right: State) -> State:
        """The moments put together, element by element; the right one is never empty."""
        count = left[0] + right[0]
        apart = right[1] - left[1]
        mean = left[1] + apart * (right[0] / count)
        return count, mean, left[2] + right[2] + apart * apart * (left[0] * right[0] / count)

    def empty(self, count: int) -> State:
        """Moments of nothing."""
        return np.zeros(count), np.zeros(count), np.zeros(count)

    def number(self, state: State, counts: Integers) -> Floats:
        """The deviations; missing for a single value."""
        return np.where(counts > 1, np.sqrt(state[2] / np.maximum(counts - 1, 1)), np.nan)


MERGES: dict[str, Merge] = {
    "sum": Total(),
    "mean": Mean(),
    "share": Share(),
    "min": Extreme(np.minimum, np.inf),
    "max": Extreme(np.maximum, -np.inf),
    "std": Deviation(),
}


class Blocks:
    """The states of all aligned blocks of 1, 2, 4, … values, so that a window is merged from O(log size) of them.

    Windows are ranges [start, end) of positions in `values`; missing values (NaN) are left out at the start. A window's
    number depends on its own blocks only, so it is the same bits whether it is asked for alone or among a million.
    """

    def __init__(self, values: Floats, merge: Merge) -> None:
        present = ~np.isnan(values)
        whole = bool(present.all())
        self._before = None if whole else np.concatenate(([0], np.cumsum(present)))
        self._merge = merge
        self._levels = [merge.rows(values if whole else values[present])]
        with np.errstate(all="ignore"):  # Infinities among the values are the data's own.
            while (pairs := len(self._levels[-1][0]) // 2 * 2) > 0:
                left = tuple(part[0:pairs:2] for part in self._levels[-1])
                self._levels.append(merge.merge(left, tuple(part[1:pairs:2] for part in self._levels[-1])))

    def over(self, starts: Integers, ends: Integers) -> Floats:
        """The number of each window [start, end); NaN for one without values. Costs O(log longest) passes."""
        if self._before is not None:
            starts, ends = self._before[starts], self._before[ends]
        counts = ends - starts
        found = np.flatnonzero(counts > 0)
        result = np.full(len(starts), np.nan)
        with np.errstate(all="ignore"):
            result[found] = self._merge.number(self._states(starts[found], ends[found]), counts[found])
        return result

    def _states(self, low: Integers, high: Integers) -> State:
        state = self._merge.empty(len(low))
        level = 0
        while len(open_ := np.flatnonzero(low < high)):
            blocks = self._levels[level]
            left = open_[(low[open_] & 1) == 1]
            self._add(state, left, blocks, low[left])
            right = open_[(high[open_] & 1) == 1]
            self._add(state, right, blocks, high[right] - 1)
            low, high, level = (low + 1) >> 1, high >> 1, level + 1
        return state

    def _add(self, state: State, windows: Integers, blocks: State, positions: Integers) -> None:
        if len(windows):
            own = tuple(part[windows] for part in state)
            merged = self._merge.merge(own, tuple(part[positions] for part in blocks))
            for part, new in zip(state, merged, strict=True):
                part[windows] = new


def last_present(values: Floats, starts: Integers, ends: Integers) -> Floats:
    """The newest value that is there in each window [start, end); NaN for a window without one."""
    positions = np.flatnonzero(~np.isnan(values))
    newest = np.concatenate(([-1], positions))[np.searchsorted(positions, ends, side="left")]
    return np.where(newest >= starts, values[newest] if len(values) else np.nan, np.nan)
