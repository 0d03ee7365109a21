"""What the model must do, as sentences: the gate `el.tests` runs them on each candidate.

`predict` takes columns (arrays by name) and gives the probability of a late arrival for each row; `rows` are held-out
examples.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

Columns = Mapping[str, np.ndarray]
Predict = Callable[[Columns], np.ndarray]


def test_probabilities_lie_between_zero_and_one(predict: Predict, rows: Columns) -> None:
    """A probability is a probability."""
    scores = predict(rows)
    assert np.all((scores >= 0) & (scores <= 1))


def test_a_late_airport_makes_flights_later(predict: Predict, rows: Columns) -> None:
    """When the airport's last arrivals were an hour late, a flight is likelier to be late than after early ones."""
    late = predict(
        _with(rows, {"airport_landings.arr_delay_mean_3h": 60.0, "airport_departures.dep_delay_mean_2h": 60.0})
    )
    early = predict(
        _with(rows, {"airport_landings.arr_delay_mean_3h": -15.0, "airport_departures.dep_delay_mean_2h": -2.0})
    )
    assert late.mean() > early.mean()


def test_a_prediction_does_not_hang_on_missing_weather(predict: Predict, rows: Columns) -> None:
    """Without a weather report there is still an answer."""
    gone = {name: np.nan for name in rows if name.startswith("airport_weather.")}
    assert np.all(np.isfinite(predict(_with(rows, gone))))


def _with(rows: Columns, values: Mapping[str, float]) -> Columns:
    size = len(next(iter(rows.values())))
    return {**rows, **{name: np.full(size, value) for name, value in values.items()}}
