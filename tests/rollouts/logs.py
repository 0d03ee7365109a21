"""Record batches as the inference log and the label log hold them, and a world that fills them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa

from everloop.kernel.clock import micros
from everloop.rollouts.entities import Canary, Rollout, Strategy

START = datetime(2026, 1, 1, tzinfo=UTC)
STABLE, CHALLENGER = 1, 2
Model = Callable[[np.ndarray, np.random.Generator], np.ndarray]


def rollout(strategy: Strategy = Canary()) -> Rollout:
    """A rollout that has just begun."""
    return Rollout(
        id="r",
        endpoint="delay",
        stable=STABLE,
        challenger=CHALLENGER,
        version=2,
        strategy=strategy,
        status="running",
        step=0,
        step_since=START,
        step_labels=0,
        started=START,
        revision=2,
    )


def predictions(*rows: tuple[str, int, float, float], role: str = "", second: int = 1) -> pa.RecordBatch:
    """Predictions: (key, deployment, probability of meeting it, output)."""
    keys, deployments, probabilities, outputs = zip(*rows, strict=True)
    at = micros(START) + second * 1_000_000
    return pa.record_batch(
        {
            "prediction_id": pa.array([f"{key}-{deployment}" for key, deployment, *_ in rows]),
            "at": pa.array([at] * len(rows), pa.int64()),
            "deployment": pa.array(deployments, pa.int32()),
            "role": pa.array([role or ("canary" if d == CHALLENGER else "stable") for d in deployments]),
            "probability": pa.array(probabilities, pa.float64()),
            "key": pa.array(keys, pa.string()),
            "output": pa.array(outputs, pa.float64()),
        }
    )


def labels(*rows: tuple[str, float]) -> pa.RecordBatch:
    """Labels: (key, value)."""
    keys, values = zip(*rows, strict=True)
    return pa.record_batch({"key": pa.array(keys, pa.string()), "value": pa.array(values, pa.float64())})


def canary_day(
    challenger: Model, share: float, flights: int, random: np.random.Generator
) -> tuple[pa.RecordBatch, pa.RecordBatch]:
    """Flights of which a quarter is late, predicted by a decent stable version or by a challenger, and their labels."""
    chance = 1 / (1 + np.exp(-random.normal(-1.35, 0.9, flights)))
    late = (random.random(flights) < chance).astype(float)
    stable, other = decent(chance, random), challenger(chance, random)
    met = random.random(flights) < share
    keys = [f"{random.integers(2**62):x}" for _ in range(flights)]
    rows = [
        (key, CHALLENGER, share, float(theirs)) if hit else (key, STABLE, 1 - share, float(ours))
        for key, hit, ours, theirs in zip(keys, met, stable, other, strict=True)
    ]
    return predictions(*rows), labels(*zip(keys, late.tolist(), strict=True))


def decent(chance: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """A model that knows much of the truth, with an error of its own each time."""
    return 1 / (1 + np.exp(-(np.log(chance / (1 - chance)) + random.normal(0, 0.4, len(chance)))))


def inverted(chance: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """A model that says the opposite."""
    return 1 - decent(chance, random)


def constant(value: float) -> Model:
    """A model that always says the same."""
    return lambda chance, random: np.full(len(chance), value)
