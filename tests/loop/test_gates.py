"""What a challenger must pass."""

from __future__ import annotations

from time import sleep

import numpy as np
import pytest

from everloop.loop import declare as el
from everloop.loop import gates
from everloop.loop.gates import Duel
from everloop.registry.entities import Finding
from tests.loop.conftest import duel


def halves(one: Duel) -> np.ndarray:
    return np.array(["AA", "UA"], dtype=object)[np.arange(len(one.truth)) % 2]


def test_a_challenger_that_is_clearly_better_passes_with_both_figures() -> None:
    result = gates.better_than(el.better_than("champion", "roc_auc"), duel(2.0, 0.5))
    assert result.passed
    assert result.evidence["challenger"] > result.evidence["champion"]  # type: ignore[operator]


def test_a_worse_challenger_is_refused_and_told_so() -> None:
    result = gates.better_than(el.better_than(), duel(0.5, 2.0))
    assert not result.passed
    assert "not better (p" in result.message


def test_a_challenger_that_is_better_only_by_luck_is_refused() -> None:
    lucky = next(one for seed in range(0, 60, 3) if (one := duel(1.0, 1.0, n=200, seed=seed)) and _leads(one))
    result = gates.better_than(el.better_than(), lucky)
    assert not result.passed
    assert "not better with significance" in result.message


def test_without_a_champion_a_challenger_passes_and_it_says_why() -> None:
    result = gates.better_than(el.better_than(), duel(0.1, None))
    assert (result.passed, result.message) == (True, "There is no champion to compare with yet.")


def test_rows_that_cannot_decide_refuse() -> None:
    one = duel(1.0, 0.5)
    result = gates.better_than(el.better_than(), Duel(np.zeros(4000), one.challenger, one.champion))
    assert not result.passed
    assert "0 positives" in result.message


@pytest.mark.parametrize("metric", ["log_loss", "brier"])
def test_losses_are_compared_the_right_way_round(metric: str) -> None:
    assert gates.better_than(el.better_than(metric=metric), duel(2.0, 0.5)).passed  # type: ignore[arg-type]
    assert not gates.better_than(el.better_than(metric=metric), duel(0.5, 2.0)).passed  # type: ignore[arg-type]


def test_a_slice_that_got_worse_refuses_a_challenger_that_is_better_on_average() -> None:
    one = duel(2.0, 0.8)
    groups = halves(one)
    broken = np.where(groups == "UA", 1 - one.challenger, one.challenger)
    result = gates.no_slice_worse(el.no_slice_worse("carrier", by=0.05), Duel(one.truth, broken, one.champion), groups)
    assert not result.passed
    assert result.evidence["worse"] == ["UA"]
    assert "1 of 2 slices of carrier: UA by" in result.message


def test_a_challenger_that_is_better_everywhere_passes_and_its_weakest_slice_is_named() -> None:
    one = duel(2.0, 0.8)
    result = gates.no_slice_worse(el.no_slice_worse("carrier"), one, halves(one))
    assert result.passed
    assert "lowest gain is +" in result.message


def test_slices_that_are_too_small_to_tell_are_left_out() -> None:
    one = duel(2.0, 0.8)
    groups = np.where(np.arange(len(one.truth)) < 150, "tiny", "AA").astype(object)
    broken = np.where(groups == "tiny", 1 - one.challenger, one.challenger)
    assert gates.no_slice_worse(el.no_slice_worse("carrier"), Duel(one.truth, broken, one.champion), groups).passed


def test_missing_values_are_a_slice_of_their_own() -> None:
    one = duel(2.0, 0.8)
    groups = np.where(halves(one) == "UA", None, "AA")
    result = gates.no_slice_worse(el.no_slice_worse("carrier"), one, groups)
    assert set(result.evidence["gains"]) == {"AA", "None"}  # type: ignore[arg-type]


def test_when_no_slice_is_large_enough_the_gate_refuses_to_guess() -> None:
    one = duel(2.0, 0.8, n=100)
    assert not gates.no_slice_worse(el.no_slice_worse("carrier"), one, halves(one)).passed


def test_a_fast_predictor_passes_and_a_slow_one_is_refused() -> None:
    assert gates.latency(el.latency("20ms"), lambda row: row, rows=7).passed
    slow = gates.latency(el.latency("0.2ms"), lambda row: sleep(0.0005), rows=7)
    assert not slow.passed
    assert "the limit is 0.2 ms" in slow.message


def test_latency_cannot_be_measured_without_rows() -> None:
    assert not gates.latency(el.latency("20ms"), lambda row: row, rows=0).passed


def test_behavioural_tests_that_hold_pass() -> None:
    result = gates.model_tests(el.tests("tests/model"), {"test_a": lambda: None, "test_b": lambda: None})
    assert (result.passed, result.message) == (True, "2 behavioural tests passed.")


def test_a_failing_behavioural_test_is_told_as_its_sentence() -> None:
    def rain() -> None:
        raise AssertionError("0.2 is not above 0.3")

    result = gates.model_tests(el.tests("tests/model"), {"test_rain_makes_a_delay_more_likely": rain})
    assert not result.passed
    assert "rain makes a delay more likely (0.2 is not above 0.3)" in result.message


def test_a_behavioural_test_that_raises_fails_and_does_not_end_the_loop() -> None:
    result = gates.model_tests(el.tests("x"), {"test_odd": lambda: {}["wind"]})
    assert "odd (KeyError: 'wind')" in result.message


def test_a_gate_without_tests_refuses() -> None:
    assert gates.model_tests(el.tests("tests/none"), {}).message == "There is no test in tests/none."


def test_an_unsafe_finding_refuses_and_a_warning_does_not() -> None:
    warning = Finding("model.txt", "is large", "warning")
    assert gates.package_scan(el.package_scan(), [warning]).passed
    result = gates.package_scan(el.package_scan(), [warning, Finding("model.pkl", "imports os.system")])
    assert not result.passed
    assert "model.pkl: imports os.system" in result.message


def _leads(one: Duel) -> bool:
    found = gates.compare("roc_auc", one.truth, one.challenger, one.champion)  # type: ignore[arg-type]
    return found is not None and found.gain > 0 and found.p_better > 0.1
