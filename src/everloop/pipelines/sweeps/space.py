"""Declared spaces: checked before anything runs, and asked of Optuna parameter by parameter."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from everloop.kernel.errors import InvalidInput
from everloop.pipelines.sweeps.entities import Choice, FloatRange, IntRange, Space, Value

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.trial import Trial


def check(space: Mapping[str, Space]) -> None:
    """Refuse a space that holds nothing, or depends on what is not in it.

    Raises:
        InvalidInput: with the parameter and what is wrong with it.
    """
    before: set[str] = set()
    for name, kind in space.items():
        if isinstance(kind, Choice):
            if not kind.values:
                raise InvalidInput(f"Parameter {name!r} has no value to choose.", hint="Choice((…, …)) takes some.")
        elif not (math.isfinite(kind.low) and math.isfinite(kind.high) and kind.low <= kind.high):
            raise InvalidInput(f"Parameter {name!r} has nothing from {kind.low} to {kind.high}.")
        else:
            _check_range(name, kind)
        missing = [other for other in kind.when if other not in before]
        if missing:
            raise InvalidInput(
                f"Parameter {name!r} depends on {missing[0]!r}, which does not stand before it.",
                hint="Declare first what others depend on.",
            )
        before.add(name)


def suggested(trial: Trial, space: Mapping[str, Space]) -> dict[str, Value]:
    """What a trial tries: a value for each parameter whose condition holds."""
    found: dict[str, Value] = {}
    for name, kind in space.items():
        if _holds(kind.when, found):
            found[name] = trial._suggest(name, distribution_of(kind))
    return found


def distribution_of(kind: Space) -> BaseDistribution:
    """A parameter as Optuna knows it."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if isinstance(kind, Choice):
        return CategoricalDistribution(kind.values)
    if isinstance(kind, IntRange):
        return IntDistribution(kind.low, kind.high, kind.log, kind.step)
    return FloatDistribution(kind.low, kind.high, kind.log, kind.step)


def grid_of(space: Mapping[str, Space]) -> dict[str, list[Value]]:
    """Every value of each parameter, for a grid.

    Raises:
        InvalidInput: one has too many, or a condition.
    """
    found: dict[str, list[Value]] = {}
    for name, kind in space.items():
        if kind.when:
            raise InvalidInput(
                f"Parameter {name!r} has a condition, which a grid cannot have.", hint='Use "brute_force".'
            )
        found[name] = _values(name, kind)
    if not found:
        raise InvalidInput("A grid needs a declared space.", hint="Give space={…}, or another sampler.")
    return found


def _values(name: str, kind: Space) -> list[Value]:
    if isinstance(kind, Choice):
        return list(kind.values)
    if isinstance(kind, IntRange):
        return list(range(kind.low, kind.high + 1, kind.step))
    if kind.step is None:
        raise InvalidInput(
            f"Parameter {name!r} has no steps, which a grid needs.", hint="Give step=…, or use a Choice."
        )
    count = math.floor((kind.high - kind.low) / kind.step + 1e-9) + 1
    return [kind.low + place * kind.step for place in range(count)]


def _check_range(name: str, kind: FloatRange | IntRange) -> None:
    if kind.step is not None and not kind.step > 0:
        raise InvalidInput(f"Parameter {name!r} has the step {kind.step}.", hint="Steps are above 0.")
    if kind.log and (kind.low <= 0 or kind.step not in (None, 1)):
        raise InvalidInput(f"Parameter {name!r} has no logarithm.", hint="log=True takes low > 0, and no step.")


def _holds(when: Mapping[str, Value | tuple[Value, ...]], found: Mapping[str, Value]) -> bool:
    return all(
        name in found and (found[name] in wanted if isinstance(wanted, tuple) else found[name] == wanted)
        for name, wanted in when.items()
    )
