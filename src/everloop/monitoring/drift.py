"""Drift of a feature or of the output: three tests against learned nulls, and what it does to the model's output."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from everloop.monitoring import significance
from everloop.monitoring.detector import Limits, judge
from everloop.monitoring.entities import DriftScore, FeatureReference, Null, Statistic
from everloop.monitoring.profile import FeatureProfile
from everloop.monitoring.psi import effective_size, freeman_tukey, psi, transported

TESTS: tuple[Statistic, ...] = ("distribution", "mean", "missing")
"""The tests of a number; a category has no mean."""


def learn_nulls(feature: FeatureReference, chunks: Sequence[FeatureProfile]) -> dict[Statistic, Null]:
    """The null of each test, from comparing each chunk of the reference with all of the others."""
    whole = reference_profile(feature)
    seen: dict[Statistic, list[tuple[float, float]]] = {}
    for chunk in chunks:
        for statistic, value, size in statistics(feature, _without(whole, chunk), chunk):
            seen.setdefault(statistic, []).append((value, size))
    occupied = max(int((whole.counts > 0).sum()) - 1, 1)
    bases: dict[Statistic, float] = {"distribution": float(occupied), "mean": 1.0, "missing": 1.0}
    return {
        statistic: significance.learn(seen.get(statistic, []), bases[statistic])
        for statistic in TESTS
        if statistic != "mean" or _has_mean(feature)
    }


def learn_noise(feature: FeatureReference, chunks: Sequence[FeatureProfile]) -> float:
    """How much the chunks of the reference moved the output by themselves (root mean square)."""
    if not feature.curve or not chunks:
        return 0.0
    whole, curve = reference_profile(feature), np.array(feature.curve)
    moves = [transported(_without(whole, chunk).counts, chunk.counts, curve) for chunk in chunks]
    return math.sqrt(sum(move**2 for move in moves) / len(moves))


def score(feature: FeatureReference, current: FeatureProfile, before: float, limit: Limits) -> DriftScore:
    """How far the profile of a window is from the reference; `before` is the evidence of the windows before it."""
    whole = reference_profile(feature)
    p_values = {
        statistic: significance.p_value(feature.nulls[statistic], value, size)
        for statistic, value, size in statistics(feature, whole, current)
        if statistic in feature.nulls
    }
    verdict = judge([(p, feature.nulls[one].independent) for one, p in p_values.items()], before, limit)
    p_value, statistic = min(((p, one) for one, p in p_values.items()), default=(1.0, TESTS[0]))
    return DriftScore(
        feature=feature.name,
        statistic=statistic,
        effect=psi(whole.counts, current.counts),
        p_value=p_value,
        evidence=verdict.evidence,
        drifted=verdict.drifted,
        impact=impact(feature, current) if verdict.drifted else 0.0,
    )


def impact(feature: FeatureReference, current: FeatureProfile) -> float:
    """The estimated mean change of the model's output, beyond what the reference's own chunks do to it."""
    if not feature.curve:
        return 0.0
    moved = transported(np.array(feature.counts, float), current.counts, np.array(feature.curve))
    return math.sqrt(max(moved**2 - feature.noise**2, 0.0))


def statistics(
    feature: FeatureReference, reference: FeatureProfile, current: FeatureProfile
) -> list[tuple[Statistic, float, float]]:
    """Each test's name, value and effective size. Under independence each is about chi-square."""
    if not reference.rows or not current.rows:
        return []
    size = effective_size(reference.rows, current.rows)
    missing = math.asin(math.sqrt(current.missing / current.rows)) - math.asin(
        math.sqrt(reference.missing / reference.rows)
    )
    found: list[tuple[Statistic, float, float]] = [
        ("distribution", freeman_tukey(reference.counts, current.counts), size),
        ("missing", 4 * missing**2 * size, size),
    ]
    if _has_mean(feature) and reference.present and current.present:
        gap = current.total / current.present - reference.total / reference.present
        present = effective_size(reference.present, current.present)
        found.append(("mean", (gap / feature.deviation) ** 2 * present, present))
    return found


def reference_profile(feature: FeatureReference) -> FeatureProfile:
    """The profile of the reference itself; its total is 0, since sums are taken from its mean."""
    found = FeatureProfile(feature.bins.size)
    found.counts = np.array(feature.counts, dtype=float)
    return found


def _has_mean(feature: FeatureReference) -> bool:
    return feature.bins.kind == "number" and feature.deviation > 0


def _without(whole: FeatureProfile, chunk: FeatureProfile) -> FeatureProfile:
    rest = FeatureProfile(len(whole.counts))
    rest.counts = whole.counts - chunk.counts
    rest.total = whole.total - chunk.total
    return rest
