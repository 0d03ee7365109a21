"""A model without libraries, for packages that are served in tests: a sum of its inputs, that can raise or be slow."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from everloop.registry.entities import Field, Signature
from everloop.registry.flavor import Predictor

SIGNATURE = Signature(
    (
        Field("distance", "float64"),
        Field("hour", "int64", nullable=False),
        Field("carrier", "string"),
        Field("wet", "bool"),
    ),
    (Field("probability", "float64"),),
)
TENSORS = Signature((Field("pixels", "float32", shape=(2, 2)), Field("code", "bytes")), (Field("sum", "float64"),))
SCORES = Signature((Field("distance", "float64"),), (Field("early", "float64"), Field("late", "float64")))


class Linear:
    """The flavor."""

    def requirements(self) -> Sequence[str]:
        """Nothing but what every package has."""
        return ()

    def load(self, folder: Path) -> Predictor:
        """The model, whatever is in the folder."""
        return Sum(tuple(SIGNATURE.inputs))


class Pixels(Linear):
    """The flavor of a model that takes tensors and bytes."""

    def load(self, folder: Path) -> Predictor:
        """The model."""
        return PixelSum(tuple(TENSORS.inputs))


class Both(Linear):
    """The flavor of a model with a score for each of two classes."""

    def load(self, folder: Path) -> Predictor:
        """The model."""
        return TwoScores(tuple(SCORES.inputs))


class Sum:
    """distance + 10 × hour + the length of the carrier; a distance below zero raises, one over a million takes long."""

    def __init__(self, inputs: tuple[Field, ...]) -> None:
        self.inputs = inputs

    def predict(self, columns: Mapping[str, np.ndarray]) -> np.ndarray:
        """The sums."""
        distance = np.asarray(columns["distance"], float)
        if (distance < 0).any():
            raise ValueError("a distance below zero")
        if (distance > 1e6).any():
            time.sleep(0.5)
        carriers = [len(carrier or "") for carrier in columns["carrier"]]
        found: np.ndarray = distance + 10 * np.asarray(columns["hour"], float) + np.array(carriers)
        return found

    def contributions(self, columns: Mapping[str, np.ndarray]) -> np.ndarray:
        """Nothing moved anything."""
        return np.zeros((len(columns["distance"]), len(self.inputs)))


class PixelSum(Sum):
    """All pixels of a row, and the length of its code."""

    def predict(self, columns: Mapping[str, np.ndarray]) -> np.ndarray:
        """The sums."""
        codes = [len(code) for code in columns["code"]]
        found: np.ndarray = columns["pixels"].sum(axis=(1, 2)).astype(float) + np.array(codes)
        return found


class TwoScores(Sum):
    """Two scores a row."""

    def predict(self, columns: Mapping[str, np.ndarray]) -> np.ndarray:
        """The scores, which add up to one."""
        late = np.clip(np.asarray(columns["distance"], float) / 1000, 0, 1)
        return np.column_stack([1 - late, late])
