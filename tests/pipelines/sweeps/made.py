"""Sweeps as tests make them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from everloop.catalog.session import Session
from everloop.pipelines.sweeps import service
from everloop.pipelines.sweeps.entities import Budget, Direction, FloatRange, Search, Sweep, SweepDefinition, Trial

X = {"x": FloatRange(-5, 5)}


def created(
    session: Session,
    folder: Path,
    name: str,
    *,
    trials: int = 8,
    directions: Sequence[Direction] = ("minimize",),
    budget: Budget | None = None,
    search: Search = Search("random", seed=3),
    enqueue: Sequence[dict[str, Any]] = (),
    warm_start: Sequence[str] = (),
    called: str = "",
    **more: Any,
) -> Sweep:
    """A sweep of an objective of `goals.py`, not begun."""
    if len(directions) > 1:
        more.setdefault("objectives", tuple(f"objective_{place}" for place in range(len(directions))))
    definition = SweepDefinition(
        target=f"goals:{name}", folder=str(folder), search=search, budget=budget or Budget(trials), **more
    )
    return service.create(session, called or name, definition, tuple(directions), "", tuple(enqueue), tuple(warm_start))


def swept(session: Session, folder: Path, name: str, **more: Any) -> Sweep:
    """A sweep that has ended."""
    return service.resume(session, created(session, folder, name, **more).name)


def trials_of(session: Session, name: str) -> list[Trial]:
    """All trials of a sweep."""
    return service.trials(session, name)
