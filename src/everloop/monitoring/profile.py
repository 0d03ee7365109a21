"""Profiles: histograms and sums of features over bins that a reference has fixed, so that they add up."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from everloop.monitoring.entities import Bins, FeatureReference

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Values = NDArray[np.float64] | NDArray[np.object_]

QUANTILES = (0.005, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.995)
"""Where the edges of bins are put: even in the bulk, and a bin for each far tail."""
DISCRETE = 16
"""Numbers with at most so many distinct values have a bin for each of them."""
CATEGORIES = 40
"""So many categories have a bin of their own; the rarer ones share one."""


class FeatureProfile:
    """Counts and sums of a feature's values; profiles over the same bins merge by adding."""

    def __init__(self, size: int) -> None:
        self.counts = np.zeros(size)
        self.total = 0.0

    @property
    def rows(self) -> float:
        """How many values were seen, missing ones too."""
        return float(self.counts.sum())

    @property
    def missing(self) -> float:
        """How many were missing."""
        return float(self.counts[-1])

    @property
    def present(self) -> float:
        """How many were not."""
        return self.rows - self.missing

    def merge(self, other: FeatureProfile) -> None:
        """Take in another profile of the same feature."""
        self.counts = self.counts + other.counts
        self.total += other.total


def profile(feature: FeatureReference, values: Values) -> FeatureProfile:
    """The profile of some values. `total` is the sum of (value - reference mean), bounded by `low` and `high`."""
    found = FeatureProfile(feature.bins.size)
    found.counts = np.bincount(codes(feature.bins, values), minlength=feature.bins.size).astype(float)
    if feature.bins.kind == "number":
        numbers = np.asarray(values, dtype=float)
        bounded = np.clip(numbers, feature.low, feature.high)
        found.total = float(np.nansum(bounded - feature.mean))
    return found


def codes(bins: Bins, values: Values) -> NDArray[np.int64]:
    """The bin of each value."""
    if bins.kind == "number":
        numbers = np.asarray(values, dtype=float)
        found = np.searchsorted(np.array(bins.edges), numbers, side="left")
        found[np.isnan(numbers)] = bins.size - 1
        return found
    index = {name: number for number, name in enumerate(bins.categories)}
    other, missing = bins.size - 2, bins.size - 1
    return np.fromiter((missing if v is None else index.get(v, other) for v in values), np.int64, len(values))


def bins_for(values: Values) -> Bins:
    """Bins that suit the values of a reference."""
    if values.dtype == object:
        known: Sequence[str] = [str(value) for value in values if value is not None]
        names, counts = np.unique(np.array(known, dtype=str), return_counts=True)
        frequent = sorted(np.argsort(-counts, kind="stable")[:CATEGORIES])
        return Bins("category", categories=tuple(str(names[number]) for number in frequent))
    numbers = np.asarray(values, dtype=float)
    numbers = numbers[np.isfinite(numbers)]
    if len(numbers) == 0:
        return Bins("number")
    distinct = np.unique(numbers)
    if len(distinct) > DISCRETE:
        distinct = np.unique(np.quantile(numbers, QUANTILES, method="inverted_cdf"))
        return Bins("number", edges=tuple(distinct.tolist()))
    # One edge below the least value, so that what lies under it is told apart from it.
    return Bins("number", edges=(float(np.nextafter(distinct[0], -np.inf)), *distinct.tolist()))
