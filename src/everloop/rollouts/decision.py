"""What happens next in a rollout: pure functions from strategy, progress and evidence to a decision."""

from __future__ import annotations

import math
from datetime import datetime
from itertools import pairwise
from typing import Literal

import msgspec

from everloop.kernel.errors import InvalidInput
from everloop.rollouts.entities import (
    BetterOrEqual,
    BlueGreen,
    Canary,
    ErrorRate,
    Evidence,
    Guard,
    MinimumLabels,
    Rollout,
    Shadow,
    Strategy,
)
from everloop.serving.entities import Share

Stance = Literal["stop", "wait", "go"]
Action = Literal["hold", "advance", "promote", "roll_back"]


class Verdict(msgspec.Struct, frozen=True):
    """What a guard says to a rollout, and on what grounds."""

    guard: str
    stance: Stance
    message: str


class Decision(msgspec.Struct, frozen=True):
    """What to do with a rollout, why, and what each guard said."""

    action: Action
    reason: str
    verdicts: tuple[Verdict, ...] = ()


def check(strategy: Strategy) -> None:
    """Let a strategy through that can be gone through.

    Raises:
        InvalidInput: a canary's percentages do not grow.
    """
    if not isinstance(strategy, Canary):
        return
    steps = strategy.steps
    growing = all(before < after for before, after in pairwise(steps))
    if not steps or not growing or not all(0 < step <= 100 for step in steps):
        listed = ", ".join(f"{step:g}" for step in steps) or "none"
        raise InvalidInput(
            f"The steps of a canary are {listed}.", hint="Give growing percentages above 0, such as 5, 25, 50."
        )


def percents(strategy: Strategy) -> tuple[float, ...]:
    """The challenger's percentage of the answers at each step, before all of them are its own."""
    match strategy:
        case Canary(steps=steps):
            return steps
        case BlueGreen():
            return (100.0,)
        case Shadow():
            return (0.0,)


def shares(strategy: Strategy, step: int, stable: int, challenger: int) -> tuple[Share, ...]:
    """The traffic of an endpoint at a step."""
    match strategy:
        case Canary(steps=steps) if steps[step] < 100:
            return (Share(stable, 100 - steps[step]), Share(challenger, steps[step], "canary"))
        case Canary():
            return (Share(challenger, 100.0),)
        case Shadow():
            return (Share(stable, 100.0), Share(challenger, 100.0, "shadow"))
    # The old version goes on in the shadow of the new one, so that late labels compare the two on the same units.
    return (Share(challenger, 100.0), Share(stable, 100.0, "shadow"))


def guard_key(guard: Guard) -> str:
    """The guard with its parameters, as evidence names it.

    >>> guard_key(ErrorRate(limit=0.01))
    'error_rate(limit=0.01, alpha=0.05)'
    """
    fields = ", ".join(f"{name}={getattr(guard, name)}" for name in guard.__struct_fields__)
    return f"{guard.__struct_config__.tag}({fields})"


def decide(rollout: Rollout, evidence: Evidence, now: datetime) -> Decision:
    """Roll back when a guard objects; else go on when the step has lasted long enough and no guard asks to wait."""
    verdicts = tuple(judge(guard, rollout, evidence) for guard in rollout.strategy.guards)
    stops, waits = (_messages(verdicts, stance) for stance in ("stop", "wait"))
    if stops or waits:
        return Decision("roll_back" if stops else "hold", stops or waits, verdicts)
    until = rollout.step_since + rollout.strategy.hold
    if now < until:
        return Decision("hold", f"This step lasts until {until:%Y-%m-%d %H:%M}.", verdicts)
    reason = _messages(verdicts, "go") or f"It held for {rollout.strategy.hold}."
    last = rollout.step + 1 >= len(percents(rollout.strategy))
    return Decision("promote" if last else "advance", reason, verdicts)


def _messages(verdicts: tuple[Verdict, ...], stance: str) -> str:
    return " ".join(verdict.message for verdict in verdicts if verdict.stance == stance)


def judge(guard: Guard, rollout: Rollout, evidence: Evidence) -> Verdict:
    """What a guard says to the evidence so far."""
    match guard:
        case ErrorRate():
            return _error_rate(guard, evidence)
        case BetterOrEqual():
            return _better_or_equal(guard, evidence)
        case MinimumLabels():
            return _minimum_labels(guard, rollout, evidence)


def _error_rate(guard: ErrorRate, evidence: Evidence) -> Verdict:
    key, arm = guard_key(guard), evidence.challenger
    said = f"{arm.errors} of the challenger's {arm.units} units failed (limit {guard.limit:.1%}"
    if _refuted(evidence, key, guard.alpha):
        return Verdict(key, "stop", f"{said}, p {_p_value(evidence, key):.2g} at any look).")
    return Verdict(key, "go", f"{said}).")


def _better_or_equal(guard: BetterOrEqual, evidence: Evidence) -> Verdict:
    key, challenger, stable = guard_key(guard), evidence.challenger, evidence.stable
    losses = f"{_loss(challenger.losses, guard.metric)} against {_loss(stable.losses, guard.metric)}"
    said = f"The challenger's {guard.metric} is {losses} ({challenger.labels} and {stable.labels} labels"
    if _refuted(evidence, key, guard.alpha):
        return Verdict(key, "stop", f"{said}, p {_p_value(evidence, key):.2g} at any look).")
    if min(challenger.labels, stable.labels) < guard.labels:
        return Verdict(key, "wait", f"{said}; waiting for {guard.labels} of each).")
    return Verdict(key, "go", f"{said}).")


def _minimum_labels(guard: MinimumLabels, rollout: Rollout, evidence: Evidence) -> Verdict:
    came = evidence.challenger.labels - rollout.step_labels
    said = f"{came} of {guard.n} labels of the challenger have come in this step."
    return Verdict(guard_key(guard), "go" if came >= guard.n else "wait", said)


def _refuted(evidence: Evidence, key: str, alpha: float) -> bool:
    return evidence.peaks.get(key, 0.0) >= -math.log(alpha)


def _p_value(evidence: Evidence, key: str) -> float:
    return math.exp(-evidence.peaks.get(key, 0.0))


def _loss(losses: dict[str, float], metric: str) -> str:
    return f"{losses[metric]:.4f}" if metric in losses else "unknown"
