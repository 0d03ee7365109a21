"""Whether a compiled model may stand for its native one: equal on every row, and faster."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from everloop.registry.columns import MatrixColumns
from everloop.registry.compilation.entities import Evidence

if TYPE_CHECKING:
    from everloop.registry.flavor import Predictor

TOLERANCE = 1e-9
MANY = 64
_CHUNK = 2_048
_BUDGET = 0.002
"""Seconds that each side may be timed for in a round, which ends with the calls that it has begun."""
_ROUNDS = 8


def holds(evidence: Evidence) -> bool:
    """Whether nothing differs by more than 1e-9, and both calls are faster."""
    faster = all(ours < theirs for ours, theirs in zip(evidence.compiled_us, evidence.native_us, strict=True))
    return evidence.rows > 0 and evidence.difference <= TOLERANCE and faster


def prove(native: Predictor, compiled: Predictor, sample: np.ndarray, boundary: np.ndarray) -> Evidence:
    """Compare two predictors on the rows of matrices; they are timed on the sample only when they agree."""
    rows = np.concatenate([sample, boundary])
    names = tuple(field.name for field in native.inputs)
    equal, difference = 0, 0.0
    for begin in range(0, len(rows), _CHUNK):
        columns = MatrixColumns(names, rows[begin : begin + _CHUNK])
        same, most = _compared(native.predict(columns), compiled.predict(columns))
        equal, difference = equal + same, max(difference, most)
    found = Evidence(len(rows), len(boundary), equal, difference)
    if difference > TOLERANCE or not len(rows):
        return found
    timed = sample if len(sample) else boundary
    ones = [MatrixColumns(names, timed[at : at + 1]) for at in range(min(len(timed), 256))]
    many = [
        MatrixColumns(names, np.resize(np.roll(timed, -at, axis=0), (MANY, len(names)))) for at in range(0, 512, 64)
    ]
    # Turn about, and the best round of each: what else the machine does only ever makes a call slower.
    times = [[_microseconds(it, calls) for it in (native, compiled) for calls in (ones, many)] for _ in range(_ROUNDS)]
    native_one, native_many, our_one, our_many = (min(column) for column in zip(*times, strict=True))
    return msgspec.structs.replace(found, native_us=(native_one, native_many), compiled_us=(our_one, our_many))


def _compared(native: np.ndarray, compiled: np.ndarray) -> tuple[int, float]:
    """How many rows are equal to the bit, and the largest difference; infinite when the scores do not even match."""
    if native.shape != compiled.shape or not np.array_equal(np.isfinite(native), np.isfinite(compiled)):
        return 0, float("inf")
    same = (native == compiled) | (np.isnan(native) & np.isnan(compiled))
    rows = same if same.ndim == 1 else same.reshape(len(same), -1).all(axis=1)
    with np.errstate(invalid="ignore"):
        most = np.where(same, 0.0, np.abs(native - compiled)).max(initial=0.0)
    return int(rows.sum()), float(most) if not np.isnan(most) else float("inf")


def _microseconds(predictor: Predictor, calls: Sequence[MatrixColumns]) -> float:
    """A call's time, over calls with different rows: with the same ones a processor soon knows every branch."""
    predictor.predict(calls[0])
    made, begun = 0, time.perf_counter()
    while True:
        for columns in calls:
            predictor.predict(columns)
            made += 1
            spent = time.perf_counter() - begun
            if spent > _BUDGET:
                return spent / made * 1e6
