"""How a sweep is made: checked whole before it is kept, with known points and what earlier sweeps have learned."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import msgspec
from optuna.distributions import BaseDistribution
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial

from everloop.catalog.session import Session
from everloop.kernel.errors import Conflict, InvalidInput
from everloop.kernel.ids import NAME_PATTERN
from everloop.kernel.usecase import Json
from everloop.pipelines.sweeps import reading, rows, searching, space
from everloop.pipelines.sweeps.documents import attributes_document
from everloop.pipelines.sweeps.entities import Budget, Direction, SweepDefinition
from everloop.pipelines.sweeps.known import WARM
from everloop.pipelines.sweeps.objective import is_findable
from everloop.pipelines.sweeps.storage import OptunaStorage

MOST_TRIALS = 1_000_000
"""So many trials a budget has at most: a number beyond is a slip."""
_MOST_WORKERS = 1_000
_METRICS = {"minimize": StudyDirection.MINIMIZE, "maximize": StudyDirection.MAXIMIZE}


def make(
    session: Session, name: str, definition: SweepDefinition, directions: Sequence[Direction], experiment: str
) -> rows.SweepRow:
    """Keep a new sweep, which nobody drives yet.

    Raises:
        InvalidInput: something in it makes no sense.
        Conflict: there is one of that name.
    """
    check(name, definition, directions)
    with session.begin() as unit:
        if rows.by_name(unit, name) is not None:
            raise Conflict(f"There is a sweep {name!r}.", hint="Resume it, or choose another name.")
        kinds = tuple(_METRICS[direction].value for direction in directions)
        text = msgspec.json.encode(_bounded(definition)).decode()
        empty = attributes_document({"user": {}, "system": {}})
        at = unit.clock.now()
        return rows.add(
            unit, rows.SweepRow(0, name, kinds, "ready", experiment or name, "", at, None, "", "", text, empty)
        )


def check(name: str, definition: SweepDefinition, directions: Sequence[Direction]) -> None:
    """Refuse a sweep that makes no sense.

    Raises:
        InvalidInput: with what is wrong.
    """
    if re.fullmatch(NAME_PATTERN, name) is None:
        raise InvalidInput(f"{name[:80]!r} is no name of a sweep.", hint="Use letters, digits, dots, dashes and _.")
    wrong = [direction for direction in directions if direction not in _METRICS]
    if wrong or not directions:
        raise InvalidInput(f"{wrong[:1] or directions} is no direction.", hint='Each is "minimize" or "maximize".')
    if len(directions) != len(definition.objectives) or len(set(definition.objectives)) != len(directions):
        raise InvalidInput(f"{len(directions)} directions do not go with objectives {definition.objectives}.")
    check_budget(definition.budget)
    if definition.retries < 0:
        raise InvalidInput(f"{definition.retries} retries are below 0.", hint="0 tries each trial once.")
    if not 1 <= definition.workers <= _MOST_WORKERS:
        raise InvalidInput(f"{definition.workers} workers cannot be had.", hint=f"Take from 1 to {_MOST_WORKERS}.")
    if definition.executor != "local" and not is_findable(definition, definition.target):
        raise InvalidInput(
            f"{definition.target} cannot be found by another process.",
            hint="Put the function at the top level of a file, or use one worker.",
        )
    space.check(definition.space)
    searching.sampler_of(definition.search, definition.space, len(directions))
    searching.pruner_of(definition.search)
    if len(directions) > 1 and definition.search.pruner != "none":
        raise InvalidInput("Trials of several objectives cannot be pruned.", hint='Leave pruner="none".')


def check_budget(budget: Budget) -> None:
    """Refuse a budget that nobody can mean.

    Raises:
        InvalidInput: it is below nothing, or without an end that anybody would see.
    """
    if min(budget.trials, budget.seconds, budget.patience, budget.failures) < 0:
        raise InvalidInput("A budget is below 0.", hint="0 is without end.")
    if budget.trials > MOST_TRIALS:
        raise InvalidInput(
            f"{budget.trials} trials are too many.", hint=f"Up to {MOST_TRIALS:,}; 0 goes on until it is stopped."
        )


def enqueue(session: Session, row: rows.SweepRow, points: Sequence[Mapping[str, Json]]) -> None:
    """Have known points tried first."""
    storage = OptunaStorage(session)
    for point in points:
        waiting = create_trial(state=TrialState.WAITING, system_attrs={"fixed_params": dict(point)})
        storage.create_new_trial(row.number, waiting)


def warm(session: Session, row: rows.SweepRow, names: Sequence[str]) -> int:
    """Copy the complete trials of earlier sweeps, as far as they go with the space; how many.

    Raises:
        NotFound: there is no such sweep.
        InvalidInput: it went another way.
    """
    storage = OptunaStorage(session)
    definition = row.defined or SweepDefinition("", "")
    spaces = {name: space.distribution_of(kind) for name, kind in definition.space.items()}
    count = 0
    for name in names:
        with session.begin(write=False) as unit:
            other = rows.named(unit, name)
            known = reading.known_of(unit, other)
        if other.directions != row.directions:
            raise InvalidInput(f"Sweep {name!r} has other directions.", hint="What it learned would mislead this one.")
        for trial in known.trials:
            copied = _copied(trial, spaces, f"{name}/{trial.number}")
            if copied is not None:
                storage.create_new_trial(row.number, copied)
                count += 1
    return count


def _copied(trial: FrozenTrial, spaces: Mapping[str, BaseDistribution], source: str) -> FrozenTrial | None:
    """A complete trial as one of another sweep, unless its parameters are none of that one's."""
    if trial.state is not TrialState.COMPLETE:
        return None
    distributions = {name: spaces.get(name, old) for name, old in trial.distributions.items()}
    if spaces and not trial.params.keys() <= spaces.keys():
        return None
    try:
        fits = all(kind._contains(kind.to_internal_repr(trial.params[name])) for name, kind in distributions.items())
    except (ValueError, TypeError):
        return None
    if not fits:
        return None
    made = create_trial(
        values=trial.values,
        params=trial.params,
        distributions=distributions,
        system_attrs={WARM: source},
        intermediate_values=trial.intermediate_values,
    )
    made.datetime_start, made.datetime_complete = trial.datetime_start, trial.datetime_complete
    return made


def _bounded(definition: SweepDefinition) -> SweepDefinition:
    """With a grid, no more trials than it has points."""
    if definition.search.sampler != "grid":
        return definition
    points = 1
    for values in space.grid_of(definition.space).values():
        points *= len(values)
    trials = min(definition.budget.trials or points, points)
    return msgspec.structs.replace(definition, budget=msgspec.structs.replace(definition.budget, trials=trials))
