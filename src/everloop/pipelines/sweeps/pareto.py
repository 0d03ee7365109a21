"""The best trials: the first with the best value, or those that no other is better than in all objectives."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState


def best(trials: Iterable[FrozenTrial], directions: Sequence[StudyDirection]) -> list[FrozenTrial]:
    """The best of the complete trials by number; those that keep their constraints before all others.

    Costs n for one objective, and n times the size of the front for more.
    """
    complete = [trial for trial in trials if trial.state is TrialState.COMPLETE and trial.values]
    found = [trial for trial in complete if is_feasible(trial)]
    if not found:
        return []
    losses = {trial.number: losses_of(trial, directions) for trial in found}
    if len(directions) == 1:
        return [min(found, key=lambda trial: (losses[trial.number], trial.number))]
    front: list[FrozenTrial] = []
    for trial in sorted(found, key=lambda trial: (losses[trial.number], trial.number)):
        mine = losses[trial.number]
        if not any(_is_beaten(mine, losses[other.number]) for other in reversed(front)):
            front.append(trial)
    return sorted(front, key=lambda trial: trial.number)


def is_feasible(trial: FrozenTrial) -> bool:
    """Whether a trial keeps its constraints: none is above 0."""
    return all(value <= 0.0 for value in trial.constraints.values())


def losses_of(trial: FrozenTrial, directions: Sequence[StudyDirection]) -> tuple[float, ...]:
    """The values of a trial, turned so that less is better."""
    values = trial.values or []
    return tuple(
        -value if direction is StudyDirection.MAXIMIZE else value
        for value, direction in zip(values, directions, strict=False)
    )


def _is_beaten(mine: Sequence[float], other: Sequence[float]) -> bool:
    return mine != other and all(theirs <= ours for ours, theirs in zip(mine, other, strict=True))
