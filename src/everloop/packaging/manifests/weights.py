"""Weights: parts of the traffic as whole numbers, as small as they can be without changing a share."""

from __future__ import annotations

from collections.abc import Sequence
from math import gcd

WHOLE = 1_000_000
"""Traffic is divided in millionths."""


def millionths(percents: Sequence[float]) -> list[int]:
    """Percentages in millionths of the whole; what rounding leaves over or short goes to the largest.

    >>> millionths([95, 5])
    [950000, 50000]
    """
    found = [round(percent * WHOLE / 100) for percent in percents]
    found[found.index(max(found))] += WHOLE - sum(found)
    return found


def reduced(weights: Sequence[int]) -> list[int]:
    """The same shares in percent where those are whole, and in millionths where not.

    >>> reduced([950_000, 50_000])
    [95, 5]
    """
    percent = WHOLE // 100
    return [weight // percent for weight in weights] if gcd(*weights) % percent == 0 else list(weights)
