"""Paired comparison of two models on the same labelled rows: how much better one is, and how sure that is.

DeLong, DeLong & Clarke-Pearson (Biometrics 1988) for the area under the ROC curve, in the O(n log n) form of Sun & Xu
(IEEE SPL 2014); a z-test of the differences of loss, row by row, for log loss and Brier score.
"""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from everloop.loop.entities import Metric
from everloop.monitoring.performance import log_losses, midranks

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Comparison(msgspec.Struct, frozen=True):
    """A challenger against a champion. `gain` is above zero where the challenger is better, whatever the metric.

    `p_better` is the p-value against "the challenger is no better", `p_worse` against "it is no worse".
    """

    metric: Metric
    challenger: float
    champion: float
    gain: float
    error: float
    p_better: float
    p_worse: float
    n: int


def compare(
    metric: Metric, truth: NDArray[np.float64], challenger: NDArray[np.float64], champion: NDArray[np.float64]
) -> Comparison | None:
    """The comparison by a metric, or none where the rows cannot decide it (fewer than two, or one class only)."""
    if len(truth) < 2 or not 0 < truth.sum() < len(truth):
        return None
    if metric == "roc_auc":
        areas, variance = delong(truth, challenger, champion)
        return _judged(metric, areas[0], areas[1], areas[0] - areas[1], math.sqrt(variance), len(truth))
    ours, theirs = losses(metric, truth, challenger), losses(metric, truth, champion)
    difference = theirs - ours
    error = float(difference.std(ddof=1)) / math.sqrt(len(truth))
    return _judged(metric, float(ours.mean()), float(theirs.mean()), float(difference.mean()), error, len(truth))


def losses(metric: Metric, truth: NDArray[np.float64], score: NDArray[np.float64]) -> NDArray[np.float64]:
    """The loss of each row."""
    return np.square(score - truth) if metric == "brier" else log_losses(truth, score)


def delong(
    truth: NDArray[np.float64], first: NDArray[np.float64], second: NDArray[np.float64]
) -> tuple[tuple[float, float], float]:
    """Both areas under the ROC curve, and the variance of their difference."""
    positive = truth > 0.5
    m, n = int(positive.sum()), int((~positive).sum())
    parts = [_placements(positive, score) for score in (first, second)]
    areas = tuple(float(above.mean()) for above, _ in parts)
    over_positives, over_negatives = parts[0][0] - parts[1][0], parts[0][1] - parts[1][1]
    variance = _variance(over_positives) / m + _variance(over_negatives) / n
    return (areas[0], areas[1]), variance


def _placements(positive: NDArray[np.bool_], score: NDArray[np.float64]) -> tuple[NDArray[np.float64], ...]:
    """For each positive the share of negatives below it, for each negative the share of positives above it."""
    up, down = score[positive], score[~positive]
    everything, ups, downs = midranks(np.concatenate([up, down])), midranks(up), midranks(down)
    return (everything[: len(up)] - ups) / len(down), 1 - (everything[len(up) :] - downs) / len(up)


def _variance(values: NDArray[np.float64]) -> float:
    return float(values.var(ddof=1)) if len(values) > 1 else 0.0


def _judged(metric: Metric, ours: float, theirs: float, gain: float, error: float, n: int) -> Comparison:
    if error > 0:
        p_better = 1 - NormalDist().cdf(gain / error)
    else:
        p_better = 0.5 if gain == 0 else float(gain < 0)
    return Comparison(metric, ours, theirs, gain, error, p_better, 1 - p_better, n)
