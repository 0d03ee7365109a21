"""Whether a sweep has spent what it may."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from everloop.pipelines.sweeps.documents import local
from everloop.pipelines.sweeps.entities import SweepDefinition
from everloop.pipelines.sweeps.known import WARM
from everloop.pipelines.sweeps.pareto import best


def is_spent(
    trials: Sequence[FrozenTrial], definition: SweepDefinition, directions: Sequence[StudyDirection], now: datetime
) -> bool:
    """Whether the seconds or the patience of a sweep are used up; its trials are counted where they are made.

    The seconds are those that its trials took, shared among its workers: the time while nobody drove it is free.
    """
    budget = definition.budget
    if budget.seconds and seconds_of(trials, now) / definition.workers >= budget.seconds:
        return True
    return bool(budget.patience) and without_better(trials, directions) >= budget.patience


def seconds_of(trials: Sequence[FrozenTrial], now: datetime) -> float:
    """The seconds that trials took by now, those of earlier sweeps left out."""
    here = local(now)
    return sum(
        ((trial.datetime_complete or here) - trial.datetime_start).total_seconds()
        for trial in trials
        if trial.datetime_start is not None and WARM not in trial.system_attrs
    )


def without_better(trials: Sequence[FrozenTrial], directions: Sequence[StudyDirection]) -> int:
    """How many trials have ended after the last one that was better than those before it."""
    found = [trial for trial in trials if trial.state in (TrialState.COMPLETE, TrialState.PRUNED)]
    newest = max((trial.number for trial in best(found, directions)), default=-1)
    return sum(trial.number > newest for trial in found) if newest >= 0 else 0
