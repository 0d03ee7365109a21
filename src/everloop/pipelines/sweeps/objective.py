"""What a sweep tries: a function, a step or a pipeline, found by its name, and called with what a trial proposes."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from everloop.catalog.session import Session
from everloop.kernel.errors import InvalidInput
from everloop.pipelines import execution
from everloop.pipelines.declare import Pipeline, Step
from everloop.pipelines.project import folder_of, load
from everloop.pipelines.sweeps.entities import SweepDefinition
from everloop.pipelines.sweeps.space import suggested
from everloop.tracking.active import log_metrics, set_tag

if TYPE_CHECKING:
    from optuna.trial import Trial

Objective = Callable[..., object]


def place_of(objective: Objective) -> tuple[str, str]:
    """Where an objective can be found again: its folder, and `module:name`; without a name where it cannot."""
    function = objective.function if isinstance(objective, Step | Pipeline) else objective
    module = getattr(function, "__module__", "") or ""
    name = getattr(function, "__qualname__", "") or type(function).__name__
    if module == "__main__":
        file = getattr(sys.modules["__main__"], "__file__", None)
        if file is None:
            return "", name
        return str(Path(file).resolve().parent), f"{Path(file).stem}:{name}"
    return str(folder_of(module)) if module in sys.modules else "", f"{module}:{name}"


def found(definition: SweepDefinition) -> Objective:
    """The objective of a sweep, as its file is now.

    Raises:
        InvalidInput: it stands where nobody can find it, as inside of another function.
        NotFound: it is no longer there.
    """
    return _loaded(definition, definition.target)


def constraints_of(definition: SweepDefinition) -> Objective | None:
    """The function that says how far a trial is beyond its limits, unless there are none."""
    return _loaded(definition, definition.constraints) if definition.constraints else None


def called(session: Session, objective: Objective, definition: SweepDefinition, trial: Trial) -> list[float]:
    """The values of a trial.

    Raises:
        InvalidInput: the objective gave something else.
    """
    given: dict[str, object] = dict(definition.arguments)
    if definition.space:
        given |= suggested(trial, definition.space)
    elif isinstance(objective, Pipeline):
        raise InvalidInput(f"Pipeline {objective.name} takes no trial.", hint="Declare what is tried: space={…}.")
    if isinstance(objective, Pipeline):
        done, value = execution.execute(session, objective, given)
        set_tag("execution", done.id)
        return values_of(value, definition.objectives)
    return values_of(objective(**given) if definition.space else objective(trial, **given), definition.objectives)


def values_of(value: object, objectives: Sequence[str]) -> list[float]:
    """What an objective gave, as one number for each of the objectives; other metrics by name are logged.

    Raises:
        InvalidInput: it is something else, or no number.
    """
    if isinstance(value, Mapping):
        missing = [name for name in objectives if name not in value]
        if missing:
            raise InvalidInput(f"The objective gave no {missing[0]!r}, but {', '.join(map(str, value))}.")
        log_metrics({str(key): number for key, number in value.items() if key not in objectives})
        found = [value[name] for name in objectives]
    else:
        found = list(value) if isinstance(value, list | tuple) else [value]
    if len(found) != len(objectives):
        raise InvalidInput(
            f"The objective gave {len(found)} values for {len(objectives)} objectives.",
            hint="Give a direction for each: directions=('minimize', 'maximize').",
        )
    return [_number(one) for one in found]


def _number(value: object) -> float:
    try:
        number = float(value)  # type: ignore[arg-type]  # whatever it is, it is tried
    except (TypeError, ValueError):
        raise InvalidInput(f"The objective gave {value!r:.80}, which is no number.") from None
    if math.isnan(number):
        raise InvalidInput("The objective gave NaN, which is neither better nor worse than anything.")
    return number


def is_findable(definition: SweepDefinition, target: str) -> bool:
    """Whether another process can find a function of a sweep by its name."""
    module, _, name = target.partition(":")
    return bool(definition.folder and module and name) and "<" not in name


def _loaded(definition: SweepDefinition, target: str) -> Objective:
    if not is_findable(definition, target):
        raise InvalidInput(
            f"{target} cannot be found by another process.", hint="Put the function at the top level of a file."
        )
    made = load(Path(definition.folder), target, object)
    if not callable(made):
        raise InvalidInput(f"{target} is no function, step or pipeline.")
    return made
