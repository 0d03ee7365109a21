"""Behavioural tests of the toy's model."""

from __future__ import annotations

import numpy as np


def test_scores_are_probabilities(predict, rows):
    scores = predict(rows)
    assert np.all((scores >= 0) & (scores <= 1)), "some are not"


def test_what_is_left_out_is_missing(predict):
    assert np.isfinite(predict({"weight": np.array([1.0])})[0])


def helper(predict):
    raise AssertionError("not a test")
