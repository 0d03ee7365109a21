"""How two filters of traces go together, for MLflow's clients: their normalized pointwise mutual information."""

from __future__ import annotations

import math

import msgspec

from everloop.kernel.usecase import Json
from everloop.server.mlflow.endpoint import Answer, Caller, endpoint
from everloop.server.mlflow.traces import named
from everloop.tracking.traces import language
from everloop.tracking.traces import search as finding

SMOOTHING = 0.5
"""What is added to each of the four counts for the smoothed value: Jeffreys' prior."""


class Correlate(msgspec.Struct, frozen=True):
    """Two filters, among traces that meet a third."""

    experiment_ids: list[str]
    filter_string1: str
    filter_string2: str
    base_filter: str = ""


@endpoint("POST 3.0/traces/calculate-filter-correlation")
def correlate(caller: Caller, request: Correlate) -> Answer:
    """How often traces meet both filters, each, and how that differs from chance: from -1 (never) to 1 (always)."""
    base, first, second = (
        language.parse(text) for text in (request.base_filter, request.filter_string1, request.filter_string2)
    )
    with caller.unit("tracking:read", write=False) as unit:
        here = named(unit, request.experiment_ids)
        one, other = (finding.count(unit, here, [*base, *filter]) for filter in (first, second))
        both, total = finding.count(unit, here, [*base, *first, *second]), finding.count(unit, here, base)
    return {
        "npmi": _number(information(both, one, other, total)),
        "npmi_smoothed": _number(information(both, one, other, total, SMOOTHING)),
        "filter1_count": one,
        "filter2_count": other,
        "joint_count": both,
        "total_count": total,
    }


def information(both: int, one: int, other: int, total: int, smoothing: float = 0.0) -> float:
    """The information that two filters have of each other; NaN where one of them never holds.

    >>> information(5, 5, 5, 10)
    1.0
    >>> information(0, 5, 5, 10)
    -1.0
    """
    cells = (both, one - both, other - both, total - one - other + both)
    if not (one and other) or min(cells) < 0:
        return math.nan
    if not (both or smoothing):
        return -1.0
    if one == other == both == total:
        return 1.0
    joint, alone, beside, neither = (count + smoothing for count in cells)
    everything = joint + alone + beside + neither
    mutual = math.log(joint * everything / ((joint + alone) * (joint + beside)))
    return max(-1.0, min(1.0, mutual / -math.log(joint / everything)))


def _number(value: float) -> Json:
    return value if math.isfinite(value) else "NaN"
