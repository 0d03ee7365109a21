"""Tests that may be looked at after every unit: e-processes by betting.

A gambler starts with 1 and, before each unit, stakes a part of the capital on "the challenger is worse". While the null
hypothesis holds the game is fair or unfavourable, so by Ville's inequality the capital *ever* reaches 1/alpha with a
probability of at most alpha, however often somebody looks. See Waudby-Smith & Ramdas, "Estimating means of bounded
random variables by betting", JRSS-B 2024 (payoffs, mixtures of stakes), and Ramdas et al., "Game-theoretic statistics
and safe anytime-valid inference", Statistical Science 2023.

Three games are played here:

* `coin_payoffs`, on the assignment coin of a canary. Whatever the day brings, which version a unit met was decided by a
  coin of known probability p. The product (loss - baseline) * (coin - p) has the mean p * (1 - p) * (mean loss of the
  challenger - mean loss of the stable version), for any baseline fixed before the unit: the centred Horvitz-Thompson
  contrast. So seasons, trends and the order in which labels come cannot make equal versions look different.
* `paired_payoffs`, where both versions answered the same unit (shadow, blue-green).
* `rate_payoffs`, of a rate against a fixed limit.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

STAKES = (0.02, 0.05, 0.1, 0.2, 0.35, 0.55, 0.75, 0.95)
"""The parts of the capital that the mixture's gamblers stake: small ones find small differences, large ones find gross
failures after a handful of units. The mixture costs at most log(8) against the best of them, known in hindsight."""
CLIP = 0.01
"""Probabilities are clipped to [0.01, 0.99] in the log loss, so that it is bounded and one unit cannot decide."""
_STAKES = np.array(STAKES)


class Capital:
    """The capital of a mixture of gamblers; its `peak` reaches 1/alpha with probability alpha at most under the null.

    Feeding units one by one or all at once gives the same (up to rounding): it can be rebuilt from the logs.
    """

    def __init__(self) -> None:
        self._logs = np.zeros(len(STAKES))
        self._peak = 0.0

    def bet(self, payoffs: Floats) -> None:
        """Play units in order. Payoffs are at least -1, and have a mean of at most 0 under the null."""
        if len(payoffs) == 0:
            return
        paths = self._logs + np.cumsum(np.log1p(np.outer(np.maximum(payoffs, -1.0), _STAKES)), axis=0)
        self._logs = paths[-1]
        self._peak = max(self._peak, float(np.max(_log_mean_exp(paths))))

    @property
    def log_e(self) -> float:
        """The natural logarithm of the capital now."""
        return float(_log_mean_exp(self._logs[None, :])[0])

    @property
    def log_peak(self) -> float:
        """The natural logarithm of the largest capital so far, at least 0."""
        return self._peak


def rejects(log_peak: float, alpha: float) -> bool:
    """Whether a capital that once reached `exp(log_peak)` refutes the null at level alpha (Ville's inequality)."""
    return log_peak >= -math.log(alpha)


def coin_payoffs(
    loss: Floats, challenger: NDArray[np.bool_], probability: Floats, baseline: Floats, margin: float = 0.0
) -> Floats:
    """Payoffs against "the challenger's mean loss is at most the stable version's plus the margin".

    Args:
        loss: of each unit, scaled to [0, 1].
        challenger: whether the unit met the challenger.
        probability: with which it was to meet the challenger; units with 0 or 1 have no coin and pay nothing.
        baseline: in [0, 1], fixed before the unit's label was seen (see `running_mean`).
        margin: in the scale of the loss.
    """
    spread = probability * (1 - probability)
    gain = (loss - baseline) * (challenger - probability) - margin * spread
    worst = np.maximum(baseline * (1 - probability), (1 - baseline) * probability) + margin * spread
    return np.where(spread > 0, gain / np.maximum(worst, 1e-12), 0.0)


def paired_payoffs(challenger: Floats, stable: Floats, margin: float = 0.0) -> Floats:
    """Payoffs against "the mean difference of losses (each in [0, 1]) on the same units is at most the margin"."""
    return np.asarray((challenger - stable - margin) / (1.0 + margin))


def rate_payoffs(hits: Floats, limit: float) -> Floats:
    """Payoffs against "the rate of hits (0 or 1) is at most the limit"."""
    return np.asarray((hits - limit) / limit)


def running_mean(values: Floats, chosen: NDArray[np.bool_], total: float, count: float) -> Floats:
    """Before each unit, the mean of the chosen values so far; `total` and `count` carry on from earlier units."""
    before = np.cumsum(np.where(chosen, values, 0.0)) - np.where(chosen, values, 0.0)
    counted: Floats = np.cumsum(chosen, dtype=float) - chosen
    return np.asarray((total + before) / (count + counted))


def log_loss(output: Floats, label: Floats) -> Floats:
    """The log loss of each unit with the output clipped, scaled to [0, 1]."""
    clipped = np.clip(output, CLIP, 1 - CLIP)
    return np.asarray(-np.log(np.where(label > 0.5, clipped, 1 - clipped)) / -math.log(CLIP))


def brier(output: Floats, label: Floats) -> Floats:
    """The squared error of each unit's probability, in [0, 1]."""
    return np.asarray((np.clip(output, 0.0, 1.0) - label) ** 2)


def _log_mean_exp(paths: Floats) -> Floats:
    top = paths.max(axis=1)
    return np.asarray(top + np.log(np.mean(np.exp(paths - top[:, None]), axis=1)))
