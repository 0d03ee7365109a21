"""Distances between two histograms over the same bins."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Counts = NDArray[np.float64]


def psi(reference: Counts, current: Counts) -> float:
    """The population stability index (Siddiqi 2006; for its distribution see Yurdakul & Naranjo 2020).

    Half a row is added to each bin, so that empty ones do not make it infinite. Folklore calls 0.1 some and 0.25 much
    drift; on few rows noise alone reaches that, so here it is only shown as an effect and tests decide.
    """
    p, q = _shares(reference, 0.5), _shares(current, 0.5)
    return float(np.sum((q - p) * np.log(q / p)))


def freeman_tukey(reference: Counts, current: Counts) -> float:
    """A statistic that is about chi-square, with one degree less than there are bins, when both have one distribution.

    Four times the squared Hellinger sum over the variance (Freeman & Tukey 1950; Read & Cressie 1988). Unlike Pearson's
    it has no division by what was expected: bins that were empty in the reference do no harm, and still count.
    """
    gap = np.sqrt(_shares(current)) - np.sqrt(_shares(reference))
    return float(4 * np.sum(gap**2) * effective_size(float(reference.sum()), float(current.sum())))


def transported(reference: Counts, current: Counts, curve: Counts) -> float:
    """How far the mass has to move along the values of a curve: the Wasserstein distance (Vallender 1974).

    With each bin's contribution to the model's output as the curve, this is the least mean absolute change of the
    output that the shift of a feature can mean. A shift within bins of equal contribution costs nothing.
    """
    order = np.argsort(curve, kind="stable")
    moved = np.cumsum((_shares(current) - _shares(reference))[order])[:-1]
    return float(np.sum(np.abs(moved) * np.diff(curve[order])))


def effective_size(reference: float, current: float) -> float:
    """The size of a comparison of two samples: half the harmonic mean of their rows."""
    return reference * current / max(reference + current, 1.0)


def _shares(counts: Counts, extra: float = 0.0) -> Counts:
    filled = counts + extra
    return np.asarray(filled / max(float(filled.sum()), 1e-12))
