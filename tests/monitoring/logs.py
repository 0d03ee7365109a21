"""Quiet and troubled days of a small world, as arrays and as the inference log holds them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa

from everloop.kernel.clock import micros
from everloop.monitoring.reference import Quiet

START = datetime(2026, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
ROWS = 300
WEIGHTS = {"wind": 1.0, "rain": 0.5, "seats": 0.0}
CARRIERS = np.array(["AA", "DL", "UA"], dtype=object)

Columns = dict[str, np.ndarray]


def days(
    count: int, random: np.random.Generator, *, wind: float = 0.0, missing: float = 0.0, spell: float = 0.0
) -> Columns:
    """Rows of some days: wind shifted by so much, seats missing at a rate, and whole days apart by `spell`."""
    rows = count * ROWS
    daily = np.repeat(random.normal(0, spell, count), ROWS) if spell else 0.0
    seats = np.where(random.random(rows) < missing, np.nan, random.integers(1, 5, rows) * 50.0)
    return {
        "wind": random.normal(wind, 1, rows) + daily,
        "rain": random.exponential(1, rows),
        "seats": seats,
        "carrier": CARRIERS[random.integers(0, 3, rows)],
    }


def contributions(columns: Mapping[str, np.ndarray]) -> np.ndarray:
    """The contributions of a linear model in log-odds."""
    rows = len(columns["wind"])
    parts = [np.nan_to_num(columns[name]) * WEIGHTS.get(name, 0.0) for name in ("wind", "rain", "seats")]
    return np.column_stack([*parts, np.zeros(rows)])


def outputs(columns: Columns) -> np.ndarray:
    """The linear model's probabilities."""
    return 1 / (1 + np.exp(1.5 - contributions(columns).sum(axis=1)))


def truth(columns: Columns, random: np.random.Generator) -> np.ndarray:
    """Labels that come true as the model says."""
    return (random.random(len(columns["wind"])) < outputs(columns)).astype(float)


def times(count: int, start: datetime = START) -> np.ndarray:
    """When the rows of some days were predicted: evenly over each day."""
    return micros(start) + np.arange(count * ROWS) * (86_400_000_000 // ROWS)


def quiet(random: np.random.Generator, count: int = 30, **world: float) -> Quiet:
    """Quiet days to make a reference from."""
    columns = days(count, random, **world)
    at = times(count, START - count * DAY)
    return Quiet(columns, at, outputs(columns), truth(columns, random), model_version=3)


def logged(columns: Columns, start: datetime, role: str = "stable", tag: str = "") -> pa.RecordBatch:
    """The rows of a day or more as a batch of the inference log."""
    rows = len(columns["wind"])
    ids = [f"{micros(start):x}{tag}-{number}" for number in range(rows)]
    fixed = {
        "prediction_id": pa.array(ids),
        "at": pa.array(times(rows // ROWS, start)),
        "deployment": pa.array(np.ones(rows, np.int32)),
        "model_version": pa.array(np.full(rows, 3, np.int32)),
        "role": pa.array([role] * rows),
        "probability": pa.array(np.ones(rows)),
        "key": pa.array(ids),
        "output": pa.array(outputs(columns)),
    }
    features = {f"feature:{name}": pa.array(values.tolist()) for name, values in columns.items()}
    return pa.record_batch(fixed | features)


def told(batch: pa.RecordBatch, values: np.ndarray) -> pa.RecordBatch:
    """The labels of a batch, known two hours after each prediction."""
    at = batch.column("at").to_numpy() + 7_200_000_000
    return pa.record_batch({"key": batch.column("key"), "value": pa.array(values), "at": pa.array(at)})
