"""Limits: what holds a loop back although a trigger fires."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from everloop.loop.entities import Limits


def held_back(limits: Limits, now: datetime, attempts: Sequence[datetime]) -> str:
    """Why no candidate may be made now, or an empty text.

    `attempts` are the times of the candidates that triggers made before.
    """
    if attempts and limits.cooldown and now - max(attempts) < limits.cooldown:
        return f"Cooling down until {max(attempts) + limits.cooldown:%Y-%m-%d %H:%M}."
    used = retrains_in_month(now, attempts)
    if limits.retrains_per_month and used >= limits.retrains_per_month:
        return f"{used} retrains in {now:%B %Y} already: the limit is {limits.retrains_per_month}."
    return ""


def retrains_in_month(now: datetime, attempts: Sequence[datetime]) -> int:
    """How many attempts fell into the calendar month (UTC) of `now`."""
    return sum((at.year, at.month) == (now.year, now.month) for at in attempts)
