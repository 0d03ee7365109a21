"""What is drawn of a sweep, as data: history, parallel coordinates, importance, and the Pareto front."""

from __future__ import annotations

import math
from collections.abc import Sequence

from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from everloop.catalog.session import Session
from everloop.kernel.errors import Refused
from everloop.pipelines.sweeps import reading
from everloop.pipelines.sweeps.entities import Axis, Better, Front, Line, Pictures, Weight
from everloop.pipelines.sweeps.known import Known
from everloop.pipelines.sweeps.pareto import best
from everloop.pipelines.sweeps.rows import SweepRow
from everloop.tracking.importance import Importances, importances

_MOST_LINES = 2_000


def pictures(session: Session, row: SweepRow) -> Pictures:
    """Everything that is drawn of a sweep. With several objectives all but the front is about the first."""
    known = reading.known_of(session, row)
    directions = reading.directions_of(row)
    complete = [trial for trial in known.trials if trial.state is TrialState.COMPLETE and trial.values]
    names = list(dict.fromkeys(name for trial in complete for name in trial.params))
    sweep = reading.sweep_of(session, row)
    return Pictures(
        name=row.name,
        objectives=sweep.definition.objectives if sweep.definition else tuple(str(n) for n in range(len(directions))),
        directions=sweep.directions,
        history=tuple(_history(complete, directions[0])),
        axes=tuple(_axis(name, known.distributions[name]) for name in names),
        lines=tuple(_line(trial, names) for trial in complete[-_MOST_LINES:]),
        importance=tuple(_weights(known)),
        front=tuple(_front(complete, directions)) if len(directions) > 1 else (),
    )


def explained(known: Known, objective: int = 0) -> Importances:
    """Which parameters explain an objective.

    Raises:
        Refused: there are too few complete trials.
    """
    complete = [trial for trial in known.trials if trial.state is TrialState.COMPLETE and trial.values]
    names = list(dict.fromkeys(name for trial in complete for name in trial.params))
    texts = {name: [_text(trial, name) for trial in complete] for name in names}
    return importances("objective", [(trial.values or [])[objective] for trial in complete], texts)


def _text(trial: FrozenTrial, name: str) -> str | None:
    return str(trial.params[name]) if name in trial.params else None


def _weights(known: Known) -> list[Weight]:
    try:
        return [Weight(one.parameter, one.share) for one in explained(known).parameters]
    except Refused:
        return []


def _history(complete: Sequence[FrozenTrial], direction: StudyDirection) -> list[Better]:
    found: list[Better] = []
    better = max if direction is StudyDirection.MAXIMIZE else min
    for trial in complete:
        value = (trial.values or [math.nan])[0]
        if math.isfinite(value):
            found.append(Better(trial.number, value, better(value, found[-1].best) if found else value))
    return found


def _axis(name: str, distribution: BaseDistribution) -> Axis:
    if isinstance(distribution, CategoricalDistribution):
        return Axis(name, tuple(map(str, distribution.choices)))
    low, high = getattr(distribution, "low", 0), getattr(distribution, "high", 0)
    return Axis(name, (f"{low:g}", f"{high:g}"), bool(getattr(distribution, "log", False)))


def _line(trial: FrozenTrial, names: Sequence[str]) -> Line:
    return Line(trial.number, tuple(_crossing(trial, name) for name in names), (trial.values or [0.0])[0])


def _crossing(trial: FrozenTrial, name: str) -> float | None:
    if name not in trial.params:
        return None
    distribution = trial.distributions[name]
    value = float(distribution.to_internal_repr(trial.params[name]))
    if isinstance(distribution, CategoricalDistribution):
        return value / max(len(distribution.choices) - 1, 1)
    low, high = float(getattr(distribution, "low", 0)), float(getattr(distribution, "high", 0))
    if getattr(distribution, "log", False):
        value, low, high = math.log(value), math.log(low), math.log(high)
    return (value - low) / (high - low) if high > low else 0.5


def _front(complete: Sequence[FrozenTrial], directions: Sequence[StudyDirection]) -> list[Front]:
    finest = {trial.number for trial in best(complete, directions)}
    return [
        Front(trial.number, tuple(trial.values or ()), trial.number in finest)
        for trial in complete
        if all(map(math.isfinite, trial.values or ()))
    ]
