"""The paired comparison of two models on the same rows."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from everloop.loop.paired import compare, delong
from everloop.monitoring.performance import roc_auc
from tests.examples import examples
from tests.loop.conftest import duel, scored


def test_both_areas_are_those_of_the_models_alone() -> None:
    one = duel(1.2, 0.8)
    areas, _ = delong(one.truth, one.challenger, one.champion)
    assert areas == (roc_auc(one.truth, one.challenger)[0], roc_auc(one.truth, one.champion)[0])


def test_delongs_variance_is_that_of_the_difference_over_fresh_samples() -> None:
    samples = [duel(1.2, 0.8, n=600, seed=seed) for seed in range(0, 1200, 3)]
    found = [delong(one.truth, one.challenger, one.champion) for one in samples]
    gains = [areas[0] - areas[1] for areas, _ in found]
    assert np.mean([variance for _, variance in found]) == pytest.approx(np.var(gains), rel=0.2)


@pytest.mark.parametrize("metric", ["roc_auc", "log_loss", "brier"])
def test_a_better_challenger_gains_and_a_worse_one_loses_by_every_metric(metric: str) -> None:
    better, worse = duel(2.0, 0.5), duel(0.5, 2.0)
    gain = compare(metric, better.truth, better.challenger, better.champion)  # type: ignore[arg-type]
    loss = compare(metric, worse.truth, worse.challenger, worse.champion)  # type: ignore[arg-type]
    assert gain is not None
    assert gain.gain > 0 > gain.p_better - 1e-6
    assert loss is not None
    assert loss.gain < 0 < 1e-6 - loss.p_worse


@pytest.mark.parametrize("metric", ["roc_auc", "log_loss"])
def test_equal_models_are_called_better_no_more_often_than_alpha(metric: str) -> None:
    calls = 0
    for seed in range(0, 900, 3):
        one = duel(1.0, 1.0, n=500, seed=seed)
        found = compare(metric, one.truth, one.challenger, one.champion)  # type: ignore[arg-type]
        calls += found is not None and found.p_better <= 0.05
    assert calls / 300 < 0.09


def test_the_same_model_twice_is_neither_better_nor_worse() -> None:
    one = duel(1.0, 1.0)
    found = compare("roc_auc", one.truth, one.champion, one.champion)
    assert found is not None
    assert (found.gain, found.p_better, found.p_worse) == (0.0, 0.5, 0.5)


def test_rows_of_one_class_cannot_decide() -> None:
    truth = np.ones(50)
    assert compare("roc_auc", truth, scored(1, truth, 1), scored(1, truth, 2)) is None


@settings(max_examples=examples(30))
@given(st.integers(0, 10_000), st.sampled_from(["roc_auc", "log_loss", "brier"]))
def test_swapping_the_models_turns_the_comparison_round(seed: int, metric: str) -> None:
    one = duel(1.0, 0.7, n=300, seed=seed)
    ours = compare(metric, one.truth, one.challenger, one.champion)  # type: ignore[arg-type]
    theirs = compare(metric, one.truth, one.champion, one.challenger)  # type: ignore[arg-type]
    assert ours is not None
    assert theirs is not None
    assert ours.gain == pytest.approx(-theirs.gain)
    assert ours.p_better == pytest.approx(theirs.p_worse)
