"""What a sweep is: its space, how it searches, when it ends; its trials, and what can be drawn of them."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec

from everloop.kernel.events import Event
from everloop.kernel.usecase import Json

Direction = Literal["minimize", "maximize"]
SweepStatus = Literal["ready", "running", "stopping", "finished", "failed", "killed", "study"]
"""`study` is one of Optuna's own that uses our storage: nobody here drives it."""
TrialStatus = Literal["waiting", "running", "complete", "pruned", "failed", "killed"]
Value = None | bool | int | float | str


class FloatRange(msgspec.Struct, frozen=True, tag="float", omit_defaults=True):
    """A number from `low` to `high`: uniform, uniform in its logarithm, or in steps. `when` names what must hold."""

    low: float
    high: float
    log: bool = False
    step: float | None = None
    when: dict[str, Value | tuple[Value, ...]] = {}


class IntRange(msgspec.Struct, frozen=True, tag="int", omit_defaults=True):
    """A whole number from `low` to `high`, both included."""

    low: int
    high: int
    log: bool = False
    step: int = 1
    when: dict[str, Value | tuple[Value, ...]] = {}


class Choice(msgspec.Struct, frozen=True, tag="choice", omit_defaults=True):
    """One of several values."""

    values: tuple[Value, ...]
    when: dict[str, Value | tuple[Value, ...]] = {}


Space = FloatRange | IntRange | Choice


class Budget(msgspec.Struct, frozen=True, omit_defaults=True):
    """When a sweep ends: after so many trials, so many seconds, or so many trials without a better one (0: never).

    `failures` trials that raise one after another fail the sweep: then the objective is wrong, not the parameters.
    """

    trials: int = 0
    seconds: float = 0.0
    patience: int = 0
    failures: int = 3


class Search(msgspec.Struct, frozen=True, omit_defaults=True):
    """How a sweep searches: a sampler and a pruner by name, with options of Optuna's, and the seed of both."""

    sampler: str = "tpe"
    sampler_options: dict[str, Json] = {}
    pruner: str = "none"
    pruner_options: dict[str, Json] = {}
    seed: int = 0


class SweepDefinition(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a sweep does: which function it tries, with what, how, on how many workers. `retries` are for each trial."""

    target: str
    folder: str
    space: dict[str, Space] = {}
    arguments: dict[str, Json] = {}
    objectives: tuple[str, ...] = ("objective",)
    constraints: str = ""
    search: Search = Search()
    budget: Budget = Budget()
    workers: int = 1
    executor: str = "local"
    retries: int = 0


class Trial(msgspec.Struct, frozen=True):
    """One trial: its parameters, what it reported by step, its values (None where NaN), and its run."""

    number: int
    status: TrialStatus
    parameters: dict[str, Json]
    values: tuple[float | None, ...] = ()
    reported: dict[int, float | None] = {}
    constraints: dict[str, float | None] = {}
    run: str = ""
    started: datetime | None = None
    ended: datetime | None = None
    error: str = ""
    retried: int | None = None
    """The trial that this one repeats, because its worker died."""


class Sweep(msgspec.Struct, frozen=True):
    """A sweep: how far it is, and its best trials by number (several where there are several objectives)."""

    name: str
    status: SweepStatus
    directions: tuple[Direction, ...]
    created: datetime
    experiment: str = ""
    run: str = ""
    ended: datetime | None = None
    error: str = ""
    definition: SweepDefinition | None = None
    counts: dict[TrialStatus, int] = {}
    best: tuple[int, ...] = ()
    values: tuple[float | None, ...] = ()
    """Of the best trial; empty where there are several objectives."""


class Better(msgspec.Struct, frozen=True):
    """A point of the history: a trial's value, and the best one so far."""

    number: int
    value: float
    best: float


class Weight(msgspec.Struct, frozen=True):
    """How much of what an objective does is explained by a parameter, from 0 to 1."""

    parameter: str
    weight: float


class Line(msgspec.Struct, frozen=True):
    """A trial as a line through the parallel coordinates: where it crosses each axis, from 0 to 1 (None: nowhere)."""

    number: int
    at: tuple[float | None, ...]
    value: float


class Axis(msgspec.Struct, frozen=True):
    """An axis of the parallel coordinates: a parameter, with the labels of its ends or of its choices."""

    parameter: str
    labels: tuple[str, ...]
    log: bool = False


class Front(msgspec.Struct, frozen=True):
    """A trial of several objectives: its values, and whether no other is better in all of them."""

    number: int
    values: tuple[float, ...]
    is_best: bool


class Pictures(msgspec.Struct, frozen=True):
    """What is drawn of a sweep: its history, parallel coordinates, importance, and the Pareto front."""

    name: str
    objectives: tuple[str, ...]
    directions: tuple[Direction, ...]
    history: tuple[Better, ...] = ()
    axes: tuple[Axis, ...] = ()
    lines: tuple[Line, ...] = ()
    importance: tuple[Weight, ...] = ()
    front: tuple[Front, ...] = ()


class SweepStarted(Event, frozen=True, kw_only=True, tag="sweeps.started"):
    """A sweep began, or goes on."""

    target: str
    run: str
    resumed: bool = False


class SweepEnded(Event, frozen=True, kw_only=True, tag="sweeps.ended"):
    """A sweep ended, with its best trials."""

    status: SweepStatus
    trials: int
    best: tuple[int, ...] = ()
    error: str = ""


class SweepStopped(Event, frozen=True, kw_only=True, tag="sweeps.stopped"):
    """Somebody asked a sweep to stop."""


class SweepDeleted(Event, frozen=True, kw_only=True, tag="sweeps.deleted"):
    """A sweep was deleted with its trials; their runs stay."""
