"""Drift of attribution: whether the model leans on its features as it did.

Rankings of features (NDCG) stay the same while a feature sticks at a value or its range collapses; the mean
contribution of a feature and its mean size do not. So those two are tested, against nulls learned as for drift.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np

from everloop.monitoring import significance
from everloop.monitoring.detector import Limits, judge
from everloop.monitoring.entities import AttributionReference, AttributionShift, Null, Statistic
from everloop.monitoring.psi import effective_size

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]


class Contributions(Protocol):
    """How much each input moved each prediction, `(n, inputs)`: `Predictor.contributions` of a model."""

    def __call__(self, columns: Mapping[str, np.ndarray], /) -> np.ndarray:
        """The contributions for some rows, given by column."""
        ...


def shares(contributions: Floats) -> Floats:
    """Each feature's share of all attribution: its mean absolute contribution, of the sum over features."""
    sizes = np.abs(contributions).mean(axis=0)
    return np.asarray(sizes / max(float(sizes.sum()), 1e-12))


def learn(names: Sequence[str], contributions: Floats, chunk: NDArray[np.int64]) -> tuple[AttributionReference, ...]:
    """The reference of each feature's attribution, from a sample whose rows belong to chunks of time."""
    share = shares(contributions)
    return tuple(_learn(name, float(share[n]), contributions[:, n], chunk) for n, name in enumerate(names))


def shift(
    reference: AttributionReference, contributions: Floats, share: float, before: float, limit: Limits
) -> AttributionShift:
    """How a feature's contributions in the sample of a window, with its share there, differ from the reference."""
    p_values = [
        (significance.p_value(reference.nulls[statistic], value, size), reference.nulls[statistic].independent)
        for statistic, value, size in _statistics(reference, contributions)
    ]
    verdict = judge(p_values, before, limit)
    return AttributionShift(
        feature=reference.name,
        share=share,
        reference_share=reference.share,
        mean=float(contributions.mean()),
        reference_mean=reference.mean,
        p_value=min(p for p, _ in p_values),
        evidence=verdict.evidence,
        drifted=verdict.drifted,
    )


def _learn(name: str, share: float, values: Floats, chunk: NDArray[np.int64]) -> AttributionReference:
    sizes = np.abs(values)
    reference = AttributionReference(
        name,
        share,
        float(values.mean()),
        float(values.std()),
        float(sizes.mean()),
        float(sizes.std()),
        len(values),
        {},
    )
    seen: dict[Statistic, list[tuple[float, float]]] = {"attribution": [], "attribution_size": []}
    for one in np.unique(chunk[chunk >= 0]):
        for statistic, value, size in _statistics(reference, values[chunk == one]):
            seen[statistic].append((value, size))
    nulls: dict[Statistic, Null] = {statistic: significance.learn(found, base=1.0) for statistic, found in seen.items()}
    return AttributionReference(
        name, share, reference.mean, reference.deviation, reference.size, reference.size_deviation, len(values), nulls
    )


def _statistics(reference: AttributionReference, values: Floats) -> list[tuple[Statistic, float, float]]:
    size = effective_size(reference.rows, len(values))
    # A feature that never moved the output has no deviation; what it does now is measured in millionths.
    deviation, spread = max(reference.deviation, 1e-6), max(reference.size_deviation, 1e-6)
    mean = (float(values.mean()) - reference.mean) / deviation
    scale = (float(np.abs(values).mean()) - reference.size) / spread
    return [("attribution", mean**2 * size, size), ("attribution_size", scale**2 * size, size)]
