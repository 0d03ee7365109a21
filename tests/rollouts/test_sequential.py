"""The e-processes keep their promises: rare false alarms however often one looks, quick alarms when things are bad."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from everloop.rollouts.sequential import (
    Capital,
    brier,
    coin_payoffs,
    log_loss,
    paired_payoffs,
    rate_payoffs,
    rejects,
    running_mean,
)

unit = st.floats(0, 1)
chance = st.floats(0.001, 0.999)
payoffs = st.lists(st.floats(-1, 30), min_size=1, max_size=60).map(np.array)


def coin_game(losses: tuple[np.ndarray, np.ndarray], share: float, random: np.random.Generator) -> float:
    """The peak when each unit's coin decides which of its two potential losses is seen."""
    met = random.random(len(losses[0])) < share
    loss = np.where(met, losses[1], losses[0])
    capital = Capital()
    baseline = running_mean(loss, ~met, 0.1, 1.0)
    capital.bet(coin_payoffs(loss, met, np.full(len(loss), share), baseline))
    return capital.log_peak


@pytest.mark.parametrize("share", [0.01, 0.05, 0.5])
def test_equal_versions_looked_at_after_every_unit_alarm_in_at_most_five_percent(share: float) -> None:
    random = np.random.default_rng(1)
    alarms = 0
    for _ in range(400):
        losses = random.beta(1, 8, 2000)
        alarms += rejects(coin_game((losses, losses), share, random), 0.05)
    assert alarms / 400 <= 0.05


def test_a_season_that_doubles_all_losses_does_not_alarm() -> None:
    random = np.random.default_rng(2)
    season = np.where(np.arange(2000) // 250 % 2, 0.1, 0.25)
    alarms = 0
    for _ in range(300):
        losses = (random.random(2000) < season) * 0.9
        alarms += rejects(coin_game((losses, losses), 0.2, random), 0.05)
    assert alarms / 300 <= 0.05


def test_late_flights_whose_labels_all_come_last_do_not_alarm() -> None:
    random = np.random.default_rng(3)
    alarms = 0
    for _ in range(300):
        losses = np.sort(random.beta(1, 8, 1500))
        alarms += rejects(coin_game((losses, losses), 0.05, random), 0.05)
    assert alarms / 300 <= 0.05


def test_a_better_challenger_is_stopped_even_more_rarely() -> None:
    random = np.random.default_rng(4)
    alarms = 0
    for _ in range(300):
        losses = random.beta(1, 8, 2000)
        alarms += rejects(coin_game((losses, losses * 0.8), 0.25, random), 0.05)
    assert alarms / 300 <= 0.02


def test_a_challenger_with_twice_the_loss_is_caught_at_half_of_the_traffic() -> None:
    random = np.random.default_rng(5)
    caught = 0
    for _ in range(100):
        losses = random.beta(1, 8, 2000)
        caught += rejects(coin_game((losses, np.minimum(losses * 2, 1)), 0.5, random), 0.05)
    assert caught >= 95


@given(stable=unit, challenger=unit, probability=chance, baseline=unit, margin=st.floats(0, 0.5))
def test_on_average_over_the_coin_a_unit_pays_by_the_difference_of_its_losses(
    stable: float, challenger: float, probability: float, baseline: float, margin: float
) -> None:
    loss, met = np.array([challenger, stable]), np.array([True, False])
    paid = coin_payoffs(loss, met, np.full(2, probability), np.full(2, baseline), margin)
    mean = probability * paid[0] + (1 - probability) * paid[1]
    gain = challenger - stable - margin
    assert mean == pytest.approx(0, abs=1e-9) if abs(gain) < 1e-12 else mean * gain >= -1e-12


@given(loss=unit, met=st.booleans(), probability=st.floats(0, 1), baseline=unit, margin=st.floats(0, 1))
def test_nobody_ever_loses_more_than_was_staked(
    loss: float, met: bool, probability: float, baseline: float, margin: float
) -> None:
    paid = coin_payoffs(np.array([loss]), np.array([met]), np.array([probability]), np.array([baseline]), margin)
    assert paid[0] >= -1 - 1e-9
    assert paired_payoffs(np.array([loss]), np.array([baseline]), margin)[0] >= -1 - 1e-9


@given(first=payoffs, second=payoffs)
def test_units_one_by_one_and_all_at_once_give_the_same_capital(first: np.ndarray, second: np.ndarray) -> None:
    together, apart = Capital(), Capital()
    together.bet(np.concatenate([first, second]))
    for payoff in (*first, *second):
        apart.bet(np.array([payoff]))
    assert apart.log_e == pytest.approx(together.log_e, abs=1e-6)
    assert apart.log_peak == pytest.approx(together.log_peak, abs=1e-6)


@given(payoffs)
def test_the_peak_stays_when_the_capital_is_lost_again(won: np.ndarray) -> None:
    capital = Capital()
    capital.bet(won)
    before = capital.log_peak
    capital.bet(np.full(50, -1.0))
    assert capital.log_peak == before >= capital.log_e


def test_units_without_a_choice_pay_nothing() -> None:
    paid = coin_payoffs(np.array([1.0, 0.0]), np.array([True, False]), np.array([1.0, 0.0]), np.array([0.1, 0.1]))
    assert paid.tolist() == [0.0, 0.0]


def test_a_rate_within_its_limit_rarely_alarms_and_one_far_above_it_soon_does() -> None:
    random = np.random.default_rng(6)
    alarms = 0
    for _ in range(300):
        capital = Capital()
        capital.bet(rate_payoffs((random.random(3000) < 0.01).astype(float), 0.01))
        alarms += rejects(capital.log_peak, 0.05)
    assert alarms / 300 <= 0.05
    capital = Capital()
    capital.bet(rate_payoffs((random.random(20) < 0.5).astype(float), 0.01))
    assert rejects(capital.log_peak, 0.05)


def test_pairs_find_a_small_difference_that_the_coin_cannot() -> None:
    random = np.random.default_rng(7)
    losses = random.beta(1, 8, 3000)
    worse = np.minimum(losses + 0.02 + random.normal(0, 0.02, 3000), 1).clip(0)
    capital = Capital()
    capital.bet(paired_payoffs(worse, losses))
    assert rejects(capital.log_peak, 0.05)
    assert not rejects(coin_game((losses, worse), 0.05, random), 0.05)


def test_the_baseline_of_a_unit_knows_only_units_before_it() -> None:
    values, chosen = np.array([1.0, 5.0, 3.0, 7.0]), np.array([True, False, True, True])
    assert running_mean(values, chosen, 0.0, 1.0).tolist() == [0.0, 0.5, 0.5, 4 / 3]


def test_losses_are_scaled_to_between_nought_and_one() -> None:
    output, label = np.array([0.0, 1.0, 0.5, 1.0]), np.array([1.0, 1.0, 1.0, 0.0])
    assert log_loss(output, label) == pytest.approx([1.0, 0.0, math.log(2) / math.log(100), 1.0], abs=0.01)
    assert brier(output, label).tolist() == [1.0, 0.0, 0.25, 1.0]
