"""How differently two columns are distributed, as a size that does not grow with the number of rows."""

from __future__ import annotations

import math

import numpy as np
import polars as pl
from numpy.typing import NDArray

from everloop.datasets.quality.expectations import LikeReference
from everloop.datasets.quality.literals import NUMBERS, TIMES, family
from everloop.kernel.errors import InvalidInput

_DECILES = np.arange(1, 10) / 10
_FEW = 20
"""So many different numbers are classes of their own, not deciles."""
_LEAST_SHARE = 1e-4
"""The smallest share that PSI sees, for its logarithm: an empty class says much, not infinitely much."""

Shares = NDArray[np.float64]


def difference(asked: LikeReference, here: pl.Series, there: pl.Series, kind: str) -> float | None:
    """The size of the difference of two columns without NaN; none where either has no value at all."""
    if here.null_count() == here.len() or there.null_count() == there.len():
        return None
    if here.dtype != there.dtype:
        there = _as_type(there, here.dtype, asked)
    counted = family(kind) in (*NUMBERS, *TIMES)
    if asked.measure == "ks":
        return ks(_numbers(here), _numbers(there))
    if counted and there.drop_nulls().n_unique() > _FEW:
        mine, theirs = _binned(here, there)
    else:
        mine, theirs = _classes(here, there)
    if asked.measure == "psi":
        return psi(mine, theirs)
    return total_variation(mine, theirs) if asked.measure == "total_variation" else cramers_v(mine, theirs)


def psi(here: Shares, there: Shares) -> float:
    """The population stability index of counts in the same classes."""
    p, q = (np.maximum(counts / counts.sum(), _LEAST_SHARE) for counts in (here, there))
    return float(((p - q) * np.log(p / q)).sum())


def total_variation(here: Shares, there: Shares) -> float:
    """Half the sum of the differences of shares: the share of rows that would have to change class."""
    return float(np.abs(here / here.sum() - there / there.sum()).sum() / 2)


def cramers_v(here: Shares, there: Shares) -> float:
    """χ² of the table of two rows, over the number of rows, rooted: 0 when alike, 1 when no class is shared."""
    table = np.stack([here, there])[:, here + there > 0]
    total = table.sum()
    expected = table.sum(axis=1, keepdims=True) * table.sum(axis=0, keepdims=True) / total
    return math.sqrt(float(((table - expected) ** 2 / expected).sum() / total))


def ks(here: Shares, there: Shares) -> float:
    """The largest distance of the two distribution functions."""
    one, other = np.sort(here), np.sort(there)
    at = np.unique(np.concatenate([one, other]))
    apart = np.searchsorted(one, at, "right") / len(one) - np.searchsorted(other, at, "right") / len(other)
    return float(np.abs(apart).max())


def _as_type(values: pl.Series, of: pl.DataType, asked: LikeReference) -> pl.Series:
    try:
        return values.cast(of)
    except pl.exceptions.PolarsError as error:
        raise InvalidInput(f"The reference of {asked.column} is of another type ({error}).") from None


def _numbers(values: pl.Series) -> Shares:
    numbers: Shares = values.drop_nulls().to_physical().cast(pl.Float64).to_numpy()
    return numbers


def _binned(here: pl.Series, there: pl.Series) -> tuple[Shares, Shares]:
    """Counts between the deciles of the reference, and of missing values."""
    edges = np.unique(np.quantile(_numbers(there), _DECILES))
    return _counts(here, edges), _counts(there, edges)


def _counts(values: pl.Series, edges: Shares) -> Shares:
    bins = np.bincount(np.searchsorted(edges, _numbers(values), "right"), minlength=len(edges) + 1)
    return np.append(bins, values.null_count()).astype(np.float64)


def _classes(here: pl.Series, there: pl.Series) -> tuple[Shares, Shares]:
    """Counts of each value that is on either side, missing ones too."""
    counts = [values.rename("value").value_counts(name=name) for values, name in ((here, "here"), (there, "there"))]
    both = counts[0].join(counts[1], on="value", how="full", nulls_equal=True, coalesce=True).fill_null(0)
    found = both.select(pl.col("here", "there").fill_null(0).cast(pl.Float64))
    return found["here"].to_numpy(), found["there"].to_numpy()
