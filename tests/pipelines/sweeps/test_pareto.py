"""What the best is, for any trials."""

from __future__ import annotations

import pytest

pytest.importorskip("optuna")

from hypothesis import given
from hypothesis import strategies as st
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial

from everloop.pipelines.sweeps.budget import without_better
from everloop.pipelines.sweeps.pareto import best, losses_of

DIRECTIONS = st.lists(st.sampled_from([StudyDirection.MINIMIZE, StudyDirection.MAXIMIZE]), min_size=1, max_size=3)


@st.composite
def searches(draw: st.DrawFn) -> tuple[list[FrozenTrial], list[StudyDirection]]:
    directions = draw(DIRECTIONS)
    point = st.lists(st.integers(-3, 3), min_size=len(directions), max_size=len(directions))
    trials = []
    for number, values in enumerate(draw(st.lists(point, max_size=20))):
        state = draw(st.sampled_from([TrialState.COMPLETE, TrialState.COMPLETE, TrialState.FAIL]))
        trial = create_trial(state=state, values=values if state is TrialState.COMPLETE else None)
        trial.number = number
        trials.append(trial)
    return trials, directions


@given(searches())
def test_nothing_beats_the_best(search: tuple[list[FrozenTrial], list[StudyDirection]]) -> None:
    trials, directions = search
    losses = [losses_of(trial, directions) for trial in trials if trial.state is TrialState.COMPLETE]
    for trial in best(trials, directions):
        mine = losses_of(trial, directions)
        assert not [o for o in losses if o != mine and all(a <= b for a, b in zip(o, mine, strict=True))]


@given(searches())
def test_whatever_is_not_best_is_beaten_or_equalled(search: tuple[list[FrozenTrial], list[StudyDirection]]) -> None:
    trials, directions = search
    finest = best(trials, directions)
    for trial in trials:
        if trial.state is TrialState.COMPLETE:
            mine = losses_of(trial, directions)
            others = [losses_of(one, directions) for one in finest]
            assert any(all(a <= b for a, b in zip(other, mine, strict=True)) for other in others)


@given(searches())
def test_patience_counts_from_the_last_that_is_best(search: tuple[list[FrozenTrial], list[StudyDirection]]) -> None:
    trials, directions = search
    finest = best(trials, directions)
    after = [one for one in trials if one.state is TrialState.COMPLETE and finest and one.number > finest[-1].number]
    assert without_better(trials, directions) == len(after)
