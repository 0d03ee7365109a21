"""Policies: when to retrain, by name, so that a simulation can compare them."""

from __future__ import annotations

from datetime import timedelta

from everloop.kernel.durations import duration
from everloop.kernel.errors import InvalidInput
from everloop.loop.entities import Drift, Every, Loop, PerformanceDrop, Policy

SCHEDULES = {"daily": timedelta(days=1), "weekly": timedelta(days=7), "monthly": timedelta(days=30)}
"""The periods that have a word."""


def policy_of(text: str, loop: Loop) -> Policy:
    """The policy that a text names: `never`, `weekly`, `monthly`, `every 10d`, `drift`, `performance`, or the `loop`.

    `drift` and `performance` take the loop's own trigger of that kind, and its limits; schedules know no limits.

    Raises:
        InvalidInput: there is no such policy.
    """
    name = text.strip().lower()
    if name == "never":
        return Policy(name=name)
    if name == "loop":
        return Policy(name=name, triggers=loop.triggers, limits=loop.limits)
    if name in SCHEDULES:
        return Policy(name=name, triggers=(Every(period=SCHEDULES[name]),))
    if name.startswith("every "):
        return Policy(name=name, triggers=(Every(period=duration(name.removeprefix("every "))),))
    if name in ("drift", "performance"):
        kind = Drift if name == "drift" else PerformanceDrop
        own = tuple(trigger for trigger in loop.triggers if isinstance(trigger, kind))
        return Policy(name=name, triggers=own or (kind(),), limits=loop.limits)
    known = ", ".join(["never", *SCHEDULES, "every 10d", "drift", "performance", "loop"])
    raise InvalidInput(f"There is no policy {text!r}.", hint=f"There are: {known}.")
