"""Reports: a window's gathered rows judged against its reference, with the evidence of the windows before it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from msgspec.structs import replace

from everloop.monitoring import attribution, significance
from everloop.monitoring.detector import Limits, judge, limits
from everloop.monitoring.drift import score
from everloop.monitoring.entities import (
    AttributionShift,
    DriftScore,
    MonitorDefinition,
    Performance,
    Reference,
    WindowReport,
)
from everloop.monitoring.gathered import GatheredRows
from everloop.monitoring.performance import performance_of
from everloop.monitoring.reference import worsening

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]


def drift_report(
    blank: WindowReport,
    gathered: GatheredRows,
    contributions: Floats | None,
    last: WindowReport | None,
    definition: MonitorDefinition,
) -> WindowReport:
    """What can be said when a window ends; `contributions` are those of its sample, `last` the report before it."""
    reference = gathered.reference
    if reference is None:
        return blank
    limit = limits(definition.budget, watched(reference))
    same = last if last and last.reference == reference.since else None
    before = {one.feature: one.evidence for one in same.drift} if same else {}
    enough = gathered.rows >= definition.minimum_rows
    scores = [
        score(feature, gathered.profiles[feature.name], before.get(feature.name, 0.0), limit)
        for feature in reference.features
        if enough
    ]
    output = same.prediction.evidence if same and same.prediction else 0.0
    judged = enough and gathered.output.rows >= definition.minimum_rows
    return replace(
        blank,
        drift=tuple(sorted(scores, key=lambda one: (-one.impact, -one.evidence, one.p_value, one.feature))),
        prediction=score(reference.output, gathered.output, output, limit) if judged else None,
        attribution=_attribution(reference, contributions, same, limit) if contributions is not None else (),
        impact=sum(one.impact for one in scores),
    )


def performance_report(
    gathered: GatheredRows,
    report: WindowReport,
    truth: Floats,
    last: WindowReport | None,
    definition: MonitorDefinition,
) -> WindowReport:
    """The report of a window, completed by the labels of its rows (NaN where none has come)."""
    outputs = np.array(gathered.outputs)
    known = np.isfinite(truth) & np.isfinite(outputs)
    labels = int(known.sum())
    if labels < definition.minimum_rows:
        return replace(report, labels=labels, final=True)
    found = performance_of(truth[known], outputs[known])
    reference = gathered.reference
    if reference is None:
        return replace(report, labels=labels, performance=found, final=True)
    same = last if last and last.reference == reference.since else None
    before = {one.feature: one.evidence for one in same.performance_drift} if same else {}
    worse = _worse(found, reference, before, limits(definition.budget, watched(reference)))
    return replace(report, labels=labels, performance=found, performance_drift=worse, final=True)


def watched(reference: Reference) -> int:
    """How many things share the error budget in a window."""
    return len(reference.features) + 1 + len(reference.attribution) + len(reference.performance_nulls)


def _attribution(
    reference: Reference, contributions: Floats, last: WindowReport | None, limit: Limits
) -> tuple[AttributionShift, ...]:
    before = {one.feature: one.evidence for one in last.attribution} if last else {}
    share = attribution.shares(contributions)
    return tuple(
        attribution.shift(one, contributions[:, n], float(share[n]), before.get(one.name, 0.0), limit)
        for n, one in enumerate(reference.attribution)
    )


def _worse(
    found: Performance, reference: Reference, before: Mapping[str, float], limit: Limits
) -> tuple[DriftScore, ...]:
    """Each metric that can be tested, with its worsening in units of the metric. A better one has the p-value 1."""
    was = reference.performance
    if was is None:
        return ()
    gaps = {"log_loss": found.log_loss - was.log_loss, "roc_auc": (was.roc_auc or 0.0) - (found.roc_auc or 0.0)}
    scores = []
    for statistic, by in worsening(was, found).items():
        null = reference.performance_nulls.get(statistic)
        if null is None:
            continue
        p_value = significance.p_value(null, by**2, found.n) / 2 if by > 0 else 1.0
        verdict = judge([(p_value, null.independent)], before.get(statistic, 0.0), limit)
        scores.append(DriftScore(statistic, statistic, gaps[statistic], p_value, verdict.evidence, verdict.drifted))
    return tuple(scores)
