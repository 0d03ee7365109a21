"""What a rollout is: its strategy and guards, the evidence about both versions, and what became of it."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Literal

import msgspec

from everloop.kernel.events import Event
from everloop.kernel.ids import Name

Loss = Literal["log_loss", "brier"]
"""What late labels are scored by; of both, less is better."""
Probability = Annotated[float, msgspec.Meta(gt=0, lt=1)]
Percent = Annotated[float, msgspec.Meta(gt=0, le=100)]


class ErrorRate(msgspec.Struct, frozen=True, kw_only=True, tag="error_rate"):
    """Stop a challenger that fails on more than `limit` of its units, and more often than the stable version does."""

    limit: Probability
    alpha: Probability = 0.05


class BetterOrEqual(msgspec.Struct, frozen=True, kw_only=True, tag="better_or_equal"):
    """Stop a challenger whose mean loss on late labels is worse than the stable version's by more than `margin`.

    A fair challenger is ever stopped with a probability of `alpha` at most. Before each version has `labels` labels the
    rollout waits, since without them nothing speaks for it.
    """

    metric: Loss = "log_loss"
    alpha: Probability = 0.05
    margin: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    labels: Annotated[int, msgspec.Meta(ge=0)] = 20


class MinimumLabels(msgspec.Struct, frozen=True, kw_only=True, tag="minimum_labels"):
    """Hold each step until so many labels of the challenger's units have come in since it began."""

    n: Annotated[int, msgspec.Meta(ge=1)]


Guard = ErrorRate | BetterOrEqual | MinimumLabels


class Canary(msgspec.Struct, frozen=True, kw_only=True, tag="canary"):
    """Give the challenger a growing percentage of the traffic; each step lasts for `hold` at least."""

    steps: tuple[Percent, ...] = (5.0, 25.0, 50.0)
    hold: timedelta = timedelta(hours=6)
    guards: tuple[Guard, ...] = ()


class BlueGreen(msgspec.Struct, frozen=True, kw_only=True, tag="blue_green"):
    """Give the challenger all traffic at once, while the stable version goes on predicting in its shadow for `hold`."""

    hold: timedelta = timedelta(hours=6)
    guards: tuple[Guard, ...] = ()


class Shadow(msgspec.Struct, frozen=True, kw_only=True, tag="shadow"):
    """Let the challenger predict beside the stable version for `hold`, without answering anybody."""

    hold: timedelta = timedelta(hours=24)
    guards: tuple[Guard, ...] = ()


Strategy = Canary | BlueGreen | Shadow
Status = Literal["running", "promoted", "rolled_back"]


class ArmStats(msgspec.Struct, frozen=True):
    """What is known of one version during a rollout. Mean losses are over labelled units, by metric."""

    units: int = 0
    errors: int = 0
    labels: int = 0
    losses: dict[str, float] = {}


class Evidence(msgspec.Struct, frozen=True):
    """What speaks for and against a challenger: both versions' figures, and each guard's test.

    `peaks` holds, by `guard_key`, the natural logarithm of the largest capital that the guard's e-process ever reached;
    `exp(-peak)` is a p-value that stays right however often one looks.
    """

    challenger: ArmStats = ArmStats()
    stable: ArmStats = ArmStats()
    peaks: dict[str, float] = {}


class Rollout(msgspec.Struct, frozen=True):
    """A challenger on its way to all traffic.

    `stable` and `challenger` are revisions of deployments. `step` counts from 0. `units` are the predictions that met
    the challenger. `revision` is that of the endpoint's traffic as this rollout left it.
    """

    id: str
    endpoint: Name
    stable: int
    challenger: int
    version: int
    strategy: Strategy
    status: Status
    step: int
    step_since: datetime
    step_labels: int
    started: datetime
    revision: int
    ended: datetime | None = None
    reason: str = ""
    evidence: Evidence = Evidence()
    units: int = 0


class RolloutStep(msgspec.Struct, frozen=True):
    """A move in the history of a rollout: the percentage that the challenger had from then on, and why."""

    rollout: str
    sequence: int
    at: datetime
    percent: float
    status: Status
    reason: str
    evidence: Evidence


class RolloutStarted(Event, frozen=True, kw_only=True, tag="rollouts.started"):
    """A challenger met its first traffic."""

    endpoint: str
    version: int
    strategy: Strategy


class RolloutAdvanced(Event, frozen=True, kw_only=True, tag="rollouts.advanced"):
    """A challenger was given more traffic."""

    percent: float
    reason: str
    evidence: Evidence


class RolloutPromoted(Event, frozen=True, kw_only=True, tag="rollouts.promoted"):
    """A challenger was given all traffic."""

    reason: str
    evidence: Evidence


class RolloutRolledBack(Event, frozen=True, kw_only=True, tag="rollouts.rolled_back"):
    """Traffic left a challenger."""

    reason: str
    evidence: Evidence
