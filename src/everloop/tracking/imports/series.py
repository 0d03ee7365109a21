"""Series of points from elsewhere: their latest points, and what is new in them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from everloop.tracking.points import Latest

if TYPE_CHECKING:
    from everloop.tracking.points import Columns


def latest_of(columns: Columns) -> Latest:
    """The latest point of a series that is not empty, as `points.latest` picks it."""
    import numpy as np

    step, at, value = columns
    left = np.flatnonzero(step == step.max())
    if len(left) > 1:
        left = left[at[left] == at[left].max()]
    known = left[~np.isnan(value[left])]
    chosen = known[np.argmax(value[known])] if len(known) else left[0]
    return Latest(float(value[chosen]), int(step[chosen]), int(at[chosen]), len(step))


def new_in(there: Columns, here: Columns) -> Columns:
    """The points of a series elsewhere that are not here yet; one that is there more often comes as often."""
    import numpy as np

    if not len(here[0]):
        return there
    step, at = (np.concatenate((mine, theirs)) for mine, theirs in zip(here[:2], there[:2], strict=True))
    value = np.concatenate((here[2], there[2])).view(np.int64)
    theirs = np.arange(len(step)) >= len(here[0])
    order = np.lexsort((theirs, value, at, step))
    first = np.ones(len(order), bool)
    first[1:] = (np.diff(step[order]) != 0) | (np.diff(at[order]) != 0) | (value[order][1:] != value[order][:-1])
    group = np.cumsum(first) - 1
    held = np.bincount(group, ~theirs[order])
    place = np.arange(len(order)) - np.flatnonzero(first)[group]
    # Mine come first in a group: theirs beyond twice as many are more than I have.
    chosen = np.sort(order[theirs[order] & (place >= 2 * held[group])]) - len(here[0])
    return there[0][chosen], there[1][chosen], there[2][chosen]


def same(one: Columns, other: Columns) -> bool:
    """Whether two series in order hold the same points, bit by bit; one NaN is as good as another."""
    import numpy as np

    if len(one[0]) != len(other[0]):
        return False
    equal = np.array_equal(one[0], other[0]) and np.array_equal(one[1], other[1])
    return equal and np.array_equal(one[2], other[2], equal_nan=True)
