"""Metrics are what scikit-learn says, and their errors are what repetition says."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import brier_score_loss, log_loss, roc_auc_score

from everloop.monitoring.performance import by_slice, calibration_error, midranks, performance_of, roc_auc

score = st.floats(0, 1, width=16)


@given(st.lists(st.tuples(st.booleans(), score), min_size=2, max_size=80))
def test_the_metrics_are_those_of_scikit_learn(rows: list[tuple[bool, float]]) -> None:
    label, output = (np.array(part, dtype=float) for part in zip(*rows, strict=True))
    found = performance_of(label, output)
    clipped = np.clip(output, 1e-6, 1 - 1e-6)
    assert found.log_loss == pytest.approx(log_loss(label, clipped, labels=[0, 1]))
    assert found.brier == pytest.approx(brier_score_loss(label, output))
    if 0 < label.sum() < len(label):
        assert found.roc_auc == pytest.approx(roc_auc_score(label, output))
    else:
        assert found.roc_auc is None


def test_the_standard_error_of_the_area_is_its_spread_over_repetitions() -> None:
    random = np.random.default_rng(1)
    areas, errors = [], []
    for _ in range(400):
        label = (random.random(400) < 0.25).astype(float)
        area, error = roc_auc(label, random.normal(label * 0.7, 1))
        areas.append(area)
        errors.append(error)
    assert np.mean(errors) == pytest.approx(np.std(areas), rel=0.1)


def test_the_interval_holds_the_area_and_stays_between_nought_and_one() -> None:
    found = performance_of(np.array([0.0, 0, 1, 1]), np.array([0.1, 0.6, 0.5, 0.9]))
    assert found.roc_auc is not None
    assert found.interval is not None
    low, high = found.interval
    assert 0 <= low <= found.roc_auc <= high <= 1


def test_a_single_positive_has_an_area_without_an_error() -> None:
    area, error = roc_auc(np.array([0.0, 0.0, 1.0]), np.array([0.1, 0.5, 0.3]))
    assert (area, error) == (0.5, None)


def test_the_calibration_error_is_the_mean_gap_of_the_bins() -> None:
    label, output = np.array([0.0, 1, 1, 1]), np.array([0.05, 0.07, 0.95, 1.0])
    assert calibration_error(label, output) == pytest.approx((abs(0.12 - 1) + abs(1.95 - 2)) / 4)


def test_rows_of_neighbouring_bins_do_not_make_up_for_each_other() -> None:
    label, output = np.array([1.0, 0.0]), np.array([0.85, 0.95])
    assert calibration_error(label, output) == pytest.approx((0.15 + 0.95) / 2)


def test_a_calibrated_model_has_almost_no_calibration_error() -> None:
    random = np.random.default_rng(2)
    output = random.random(50_000)
    assert calibration_error((random.random(50_000) < output).astype(float), output) < 0.01


def test_ties_share_the_middle_of_their_ranks() -> None:
    assert midranks(np.array([3.0, 1.0, 3.0, 2.0])).tolist() == [3.5, 1.0, 3.5, 2.0]


def test_slices_are_measured_apart_and_thin_ones_left_out() -> None:
    carrier = np.array(["AA"] * 4 + ["UA"] * 3 + [None], dtype=object)
    label, output = np.array([0.0, 1, 0, 1, 1, 0, 1, 1]), np.array([0.1, 0.9, 0.2, 0.8, 0.1, 0.9, 0.3, 0.5])
    found = by_slice(label, output, carrier, minimum=3)
    assert {name: part.roc_auc for name, part in found.items()} == {"AA": 1.0, "UA": 0.0}
    assert "missing" in by_slice(label, output, carrier)
