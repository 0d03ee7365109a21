"""Sweeps and trials as they are shown."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import msgspec
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial

from everloop.catalog.session import Session
from everloop.pipelines import lease
from everloop.pipelines.sweeps import trialruns
from everloop.pipelines.sweeps.documents import utc
from everloop.pipelines.sweeps.entities import Direction, Sweep, SweepStatus, Trial
from everloop.pipelines.sweeps.known import ERROR, RETRIES, Aside, Known
from everloop.pipelines.sweeps.pareto import best
from everloop.pipelines.sweeps.rows import SweepRow


def known_of(session: Session, row: SweepRow) -> Known:
    """The trials of a sweep, all read."""
    known = Known(row.number)
    known.read(session)
    return known


def directions_of(row: SweepRow) -> list[StudyDirection]:
    """Whether each objective is minimised or maximised, as Optuna says it."""
    return [StudyDirection(number) for number in row.directions]


def sweep_of(session: Session, row: SweepRow) -> Sweep:
    """A sweep as it is now."""
    known = known_of(session, row)
    finest = best(known.trials, directions_of(row))
    values = finest[0].values if len(row.directions) == 1 and finest else ()
    return Sweep(
        name=row.name,
        status=status_of(session, row),
        directions=tuple(_said(number) for number in row.directions),
        created=row.created,
        experiment=row.experiment,
        run=row.run,
        ended=row.ended,
        error=row.error,
        definition=row.defined,
        counts=dict(sorted(Counter(trialruns.status_of(trial) for trial in known.trials).items())),  # type: ignore[arg-type]  # these are the statuses
        best=tuple(trial.number for trial in finest),
        values=tuple(map(finite, values or ())),
    )


def status_of(session: Session, row: SweepRow) -> SweepStatus:
    """How a sweep is; one whose driver is gone was killed, whether or not that is written."""
    if row.status in ("running", "stopping") and lease.is_abandoned(session.home, row.lease):
        return "killed"
    return row.status


def trials_of(trials: Sequence[FrozenTrial], asides: Sequence[Aside]) -> list[Trial]:
    """Trials as they are shown."""
    return [_trial(trial, asides[trial.number]) for trial in trials]


def finite(value: float) -> float | None:
    """A value as JSON has it: NaN and infinities are None."""
    return value if math.isfinite(value) else None


def _trial(trial: FrozenTrial, aside: Aside) -> Trial:
    return Trial(
        number=trial.number,
        status=trialruns.status_of(trial),  # type: ignore[arg-type]  # it is one of them
        parameters=msgspec.to_builtins(trial.params),
        values=tuple(map(finite, trial.values or ())),
        reported={step: finite(value) for step, value in trial.intermediate_values.items()},
        constraints={key: finite(value) for key, value in trial.constraints.items()},
        run=aside.run,
        started=utc(trial.datetime_start),
        ended=utc(trial.datetime_complete),
        error=str(trial.system_attrs.get(ERROR, "")),
        retried=next(iter(trial.system_attrs.get(RETRIES, [])[-1:]), None),
    )


def _said(number: int) -> Direction:
    return "maximize" if number == StudyDirection.MAXIMIZE.value else "minimize"
