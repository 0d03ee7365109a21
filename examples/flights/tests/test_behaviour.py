"""The behavioural tests let a sound model through, and each stops one that lacks what it asks for."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from flights.behaviour import Columns, Predict
from flights.training import Split

import everloop as el
from flights import behaviour

SENTENCES = [test for name, test in vars(behaviour).items() if name.startswith("test_")]


@pytest.fixture
def rows(schedule: object, model: el.Model, parts: Split) -> Columns:
    """Held-out examples, as the model takes them."""
    return el.columns_of(el.read_table(parts.holdout), [field.name for field in model.signature.inputs])


@pytest.fixture
def predict(schedule: object, model: el.Model) -> Predict:
    """A sound model."""
    predictor = el.load_model(model)
    return lambda columns: predictor.predict(columns)


@pytest.mark.parametrize("sentence", SENTENCES, ids=lambda sentence: sentence.__name__)
def test_a_sound_model_passes(sentence: Callable[[Predict, Columns], None], predict: Predict, rows: Columns) -> None:
    sentence(predict, rows)


@pytest.mark.parametrize(
    ("sentence", "broken"),
    [
        ("test_probabilities_lie_between_zero_and_one", lambda score, columns: score + 1),
        ("test_a_late_airport_makes_flights_later", lambda score, columns: 1 - score),
        (
            "test_a_prediction_does_not_hang_on_missing_weather",
            lambda score, columns: score + columns["airport_weather.temp"] * 0,
        ),
    ],
)
def test_a_broken_model_is_stopped(
    sentence: str, broken: Callable[[np.ndarray, Columns], np.ndarray], predict: Predict, rows: Columns
) -> None:
    with pytest.raises(AssertionError):
        getattr(behaviour, sentence)(lambda columns: broken(predict(columns), columns), rows)
