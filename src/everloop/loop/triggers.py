"""Triggers: when a loop asks for a new candidate.

Pure functions of what was observed, so that production and simulations share them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from everloop.loop.entities import Drift, Every, NewData, PerformanceDrop, Trigger
from everloop.loop.metrics import Outcomes, measure, worsening

KINDS: dict[type, str] = {Drift: "drift", PerformanceDrop: "performance", Every: "schedule", NewData: "new data"}
"""What each trigger is called in reports."""


@dataclass(frozen=True)
class DriftWindow:
    """A finished window of the monitor: the estimated effect of its significant drift, and the feature that leads."""

    end: datetime
    impact: float
    feature: str = ""


@dataclass(frozen=True)
class Observation:
    """What triggers look at: `since` when the last candidate was proposed, and how the champion has done.

    `outcomes` gives the answers served between two times whose labels are in; after `mature` every label is.
    `reference` holds the champion's metrics at its promotion, `rows` how much datasets have grown since the last
    candidate.
    """

    now: datetime
    since: datetime
    champion_since: datetime
    windows: Sequence[DriftWindow] = ()
    outcomes: Callable[[datetime, datetime], Outcomes] | None = None
    mature: timedelta = timedelta(0)
    reference: Mapping[str, float] = field(default_factory=dict)
    rows: Mapping[str, int] = field(default_factory=dict)


def fired(trigger: Trigger, seen: Observation) -> str:
    """Why the trigger fires now, or an empty text when it does not."""
    match trigger:
        case Every():
            return _schedule(trigger, seen)
        case Drift():
            return _drift(trigger, seen)
        case PerformanceDrop():
            return _performance(trigger, seen)
        case NewData():
            return _new_data(trigger, seen)


def first_fired(triggers: Sequence[Trigger], seen: Observation) -> tuple[str, str]:
    """The kind and the reason of the first trigger that fires; two empty texts when none does."""
    for trigger in triggers:
        reason = fired(trigger, seen)
        if reason:
            return KINDS[type(trigger)], reason
    return "", ""


def _schedule(trigger: Every, seen: Observation) -> str:
    passed = seen.now - seen.since
    return f"{_days(passed)} since the last candidate." if passed >= trigger.period else ""


def _drift(trigger: Drift, seen: Observation) -> str:
    began = max(seen.since, seen.champion_since)
    recent = [window for window in seen.windows if window.end > began][-trigger.windows :]
    if len(recent) < trigger.windows or any(window.impact < trigger.impact for window in recent):
        return ""
    worst = max(recent, key=lambda window: window.impact)
    return (
        f"Drift moved the output by an estimated {worst.impact:.3f} ({worst.feature} first) in each of "
        f"{len(recent)} windows: at least {trigger.impact:g}."
    )


def _performance(trigger: PerformanceDrop, seen: Observation) -> str:
    reference = seen.reference.get(trigger.metric)
    if seen.outcomes is None or reference is None:
        return ""
    end = seen.now - seen.mature
    start = max(seen.champion_since, end - trigger.over)
    if end - start < trigger.over / 2:
        return ""
    outcomes = seen.outcomes(start, end)
    if len(outcomes) < trigger.minimum:
        return ""
    value = measure(trigger.metric, outcomes)
    if not worsening(trigger.metric, reference, value) >= trigger.drop:
        return ""
    return (
        f"{trigger.metric} was {value:.4f} over {len(outcomes)} labelled predictions, {reference:.4f} at promotion: "
        f"worse by at least {trigger.drop:g}."
    )


def _new_data(trigger: NewData, seen: Observation) -> str:
    grown = seen.rows.get(trigger.dataset, 0)
    return f"{trigger.dataset} has grown by {grown} rows." if grown >= trigger.rows else ""


def _days(span: timedelta) -> str:
    days = span / timedelta(days=1)
    return f"{days:.0f} days" if days >= 2 else f"{span / timedelta(hours=1):.0f} hours"
