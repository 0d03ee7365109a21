"""Detectors that add up over windows, so that small and gradual changes are found too, at a known rate of false alarms.

The p-value of a window becomes an e-value (Vovk & Wang, Annals of Statistics 2021), and e-values are multiplied from
the window on that speaks for a change: the e-CUSUM of Shin, Ramdas & Rinaldo, "E-detectors", 2023. While nothing has
changed it takes at least A windows on average to reach A. Windows in a row are alike, so an e-value counts only with
the share of windows that is independent: a spell of warm days is one piece of news.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec

from everloop.monitoring.entities import Budget

_AHEAD = 2.0
"""Evidence stops growing this far beyond the limit, so that an end of the trouble is seen soon."""


class Verdict(msgspec.Struct, frozen=True):
    """What a detector says: the evidence so far, and whether the error budget is broken, at once or by adding up."""

    evidence: float
    drifted: bool


class Limits(msgspec.Struct, frozen=True):
    """Where a thing that is watched counts as changed: a p-value for one window, evidence for many."""

    p_value: float
    evidence: float


def limits(budget: Budget, watched: int) -> Limits:
    """The budget, divided evenly among all things watched and all windows; half for single windows, half for sums.

    >>> round(limits(Budget(alpha=0.05, windows=100), watched=5).evidence, 2)
    9.9
    """
    each = budget.alpha / 2 / (budget.windows * max(watched, 1))
    return Limits(each, -math.log(each))


def judge(p_values: Sequence[tuple[float, float]], before: float, limit: Limits) -> Verdict:
    """Add a window to the evidence; each test gives its p-value and the share of windows that is independent.

    The tests of one thing share its place in the budget: their smallest p-value is corrected for their number, and
    their e-values are averaged, which needs no independence among them.
    """
    if not p_values:
        return Verdict(before, before >= limit.evidence)
    e_value = sum(e_value_of(p) ** share for p, share in p_values) / len(p_values)
    evidence = min(max(before, 0.0) + math.log(e_value), limit.evidence + _AHEAD)
    gross = min(p for p, _ in p_values) * len(p_values) < limit.p_value
    return Verdict(evidence, gross or evidence >= limit.evidence)


def e_value_of(p_value: float) -> float:
    """The e-value of a p-value: the mixture of all power calibrators, which has no knob."""
    p = min(max(p_value, 1e-300), 1.0)
    if p > 1 - 1e-6:
        return 0.5
    log = math.log(p)
    return (1 - p + p * log) / (p * log * log)
