"""How good predictions were: ROC AUC with its standard error, log loss, Brier score, calibration error; by slice."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from everloop.monitoring.entities import Performance

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

CLIP = 1e-6
"""Probabilities are kept this far from 0 and 1 in the log loss, so that one sure mistake does not decide everything."""


def performance_of(truth: Floats, score: Floats) -> Performance:
    """Every figure of a set of labelled probabilities; there is at least one.

    >>> performance_of(np.array([0.0, 1.0]), np.array([0.1, 0.8])).roc_auc
    1.0
    """
    truth, score = np.asarray(truth, float), np.asarray(score, float)
    area, error = roc_auc(truth, score)
    losses = log_losses(truth, score)
    return Performance(
        n=len(truth),
        positives=int((truth > 0.5).sum()),
        roc_auc=area,
        error=error,
        log_loss=float(losses.mean()),
        log_loss_deviation=float(losses.std()),
        brier=float(np.mean((score - truth) ** 2)),
        calibration_error=calibration_error(truth, score),
    )


def roc_auc(truth: Floats, score: Floats) -> tuple[float | None, float | None]:
    """The area under the ROC curve, exact with ties, and its standard error; None where it has no meaning.

    DeLong, DeLong & Clarke-Pearson, Biometrics 1988, with the midranks of Sun & Xu, IEEE SPL 2014: O(n log n).
    """
    positive = truth > 0.5
    m, n = int(positive.sum()), int((~positive).sum())
    if m == 0 or n == 0:
        return None, None
    ups, downs = score[positive], score[~positive]
    ranks = midranks(np.concatenate([ups, downs]))
    above = (ranks[:m] - midranks(ups)) / n
    below = 1 - (ranks[m:] - midranks(downs)) / m
    if m < 2 or n < 2:
        return float(above.mean()), None
    return float(above.mean()), math.sqrt(above.var(ddof=1) / m + below.var(ddof=1) / n)


def log_losses(truth: Floats, score: Floats) -> Floats:
    """The log loss of each prediction."""
    kept = np.clip(score, CLIP, 1 - CLIP)
    return np.asarray(-np.where(truth > 0.5, np.log(kept), np.log1p(-kept)))


def calibration_error(truth: Floats, score: Floats, bins: int = 10) -> float:
    """The expected calibration error over bins of equal width (Guo et al., ICML 2017).

    It is the mean distance, weighted by rows, between what was predicted in a bin and what came true. With few rows it
    is above 0 even for a perfect model.
    """
    index = np.clip((score * bins).astype(int), 0, bins - 1)
    gap = np.bincount(index, weights=score - truth, minlength=bins)
    return float(np.abs(gap).sum() / len(truth))


def by_slice(truth: Floats, score: Floats, values: NDArray[np.object_], minimum: int = 1) -> dict[str, Performance]:
    """The performance for each value of a column with at least `minimum` rows; a missing value is called `missing`."""
    names = np.array(["missing" if value is None or value != value else str(value) for value in values], dtype=object)
    found, inverse, counts = np.unique(names, return_inverse=True, return_counts=True)
    return {
        str(name): performance_of(truth[inverse == number], score[inverse == number])
        for number, name in enumerate(found)
        if counts[number] >= minimum
    }


def midranks(values: Floats) -> Floats:
    """The rank of each value from 1; equal ones share the middle of their ranks."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    return np.asarray((np.cumsum(counts) - (counts - 1) / 2)[inverse], dtype=float)
