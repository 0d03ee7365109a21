"""Metrics as triggers and reports use them: of one set of labelled predictions, with their direction."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from everloop.loop.entities import Metric
from everloop.loop.paired import losses
from everloop.monitoring.performance import roc_auc

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Outcomes:
    """Predictions whose truth is known, in order of time (µs)."""

    at: NDArray[np.int64]
    score: NDArray[np.float64]
    truth: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.at)

    def between(self, start: int, end: int) -> Outcomes:
        """Those predicted in [start, end), in µs."""
        first, last = np.searchsorted(self.at, (start, end))
        return Outcomes(self.at[first:last], self.score[first:last], self.truth[first:last])


NOTHING = Outcomes(np.empty(0, np.int64), np.empty(0), np.empty(0))
"""No predictions at all."""


def measure(metric: Metric, outcomes: Outcomes) -> float:
    """A metric of the outcomes; NaN where it has no meaning (no rows, or the ROC AUC of a single class)."""
    if len(outcomes) == 0:
        return float("nan")
    if metric == "roc_auc":
        area = roc_auc(outcomes.truth, outcomes.score)[0]
        return float("nan") if area is None else area
    return float(losses(metric, outcomes.truth, outcomes.score).mean())


def worsening(metric: Metric, reference: float, value: float) -> float:
    """By how much a metric is worse than a reference, whichever way it points; below zero it is better."""
    return reference - value if metric == "roc_auc" else value - reference
