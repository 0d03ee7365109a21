"""Scoring: each variant is asked once for the rows that it gets.

A canary that raises, or gives what is no finite number, costs nobody an answer: the stable variant answers its rows,
and the log keeps them as failed.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from everloop.registry.entities import Type
from everloop.registry.flavor import Predictor
from everloop.serving.arrow import numbers, repeated, texts
from everloop.serving.inferencelog import ENTITY, FEATURE
from everloop.serving.variants import Routing, Variant

Columns = Mapping[str, np.ndarray]
log = logging.getLogger("everloop.serving")


@dataclass(frozen=True, eq=False, slots=True)
class Rows:
    """Rows to score: what the request brought, the key of each row's unit, and when (µs)."""

    columns: Columns
    keys: Sequence[str]
    at: int


@dataclass(frozen=True, eq=False, slots=True)
class Part:
    """Some of the rows, scored by one variant. `inputs` has all rows; a score that failed is NaN."""

    variant: Variant
    rows: np.ndarray
    scores: np.ndarray
    inputs: Columns

    def where(self, chosen: np.ndarray) -> list[Part]:
        """The part with only the chosen of its rows; none when there are none."""
        return [Part(self.variant, self.rows[chosen], self.scores[chosen], self.inputs)] if chosen.any() else []


@dataclass(eq=False, slots=True)
class Scored:
    """The parts that answer each row once, and those beside them: shadows, and canaries' failures."""

    answering: list[Part] = field(default_factory=list)
    beside: list[Part] = field(default_factory=list)

    def logged(self, value: str) -> np.ndarray:
        """One attribute (`rows`, `scores`) of every part: the answers in the request's order, then the rest."""
        return self.ordered([getattr(part, value) for part in (*self.answering, *self.beside)])

    def variants(self, value: str) -> np.ndarray:
        """One attribute of the variants (`deployment`, `role`), for each row as logged."""
        parts = (*self.answering, *self.beside)
        return self.ordered([np.full(len(part.rows), getattr(part.variant, value)) for part in parts])

    def inputs(self, name: str, type_: Type) -> np.ndarray:
        """What the variants were given for an input, for each row as logged; missing where one does not take it."""
        missing = None if type_ == "string" else np.nan
        return self.ordered(
            [
                part.inputs[name][part.rows] if name in part.inputs else np.full(len(part.rows), missing)
                for part in (*self.answering, *self.beside)
            ]
        )

    def ordered(self, values: Sequence[np.ndarray]) -> np.ndarray:
        """An array for each part, put together as they are logged."""
        if len(values) == 1:
            return values[0]
        order = np.argsort(np.concatenate([part.rows for part in self.answering]), kind="stable")
        together = np.concatenate(values)
        return np.concatenate((together[order], together[len(order) :]))


def score(routing: Routing, rows: Rows) -> Scored:
    """Ask each variant for its rows.

    The stable variant's failure shows as NaN in the answers.
    """
    scored, asker = Scored(), _Asker(rows)
    assigned = np.asarray(routing.split.assign(rows.keys))
    left = assigned == routing.endpoint.stable
    for variant in routing.answering.values():
        mine = np.flatnonzero(assigned == variant.deployment)
        if variant.role == "stable" or not len(mine):
            continue
        part = asker.ask(variant, mine)
        good = np.isfinite(part.scores)
        left[mine[~good]] = True
        scored.answering += part.where(good)
        scored.beside += part.where(~good)
    if left.any():
        scored.answering.append(asker.ask(routing.stable, np.flatnonzero(left)))
    everything = np.arange(len(rows.keys))
    scored.beside += [asker.ask(shadow, everything) for shadow in routing.shadows]
    return scored


def batch_of(routing: Routing, rows: Rows, scored: Scored, head: Mapping[str, str | int]) -> pa.RecordBatch:
    """The scored rows as the log keeps them. `head` has what is the same in every row, and the ids' `prefix`."""
    asked = scored.logged("rows")
    count = len(asked)
    columns: dict[str, np.ndarray | Sequence[str | None]] = {
        "prediction_id": prediction_ids(str(head["prefix"]), count),
        "request_digest": np.full(count, head["request_digest"]),
        "at": np.full(count, rows.at),
        "deployment": scored.variants("deployment"),
        "model_version": scored.variants("version"),
        "role": scored.variants("role").tolist(),
        "probability": scored.variants("probability"),
        "key": [rows.keys[row] for row in asked.tolist()],
        "output": scored.logged("scores"),
        "latency_us": np.full(count, head["latency_us"]),
    }
    for name in routing.entities:
        columns[ENTITY + name] = [None if v is None else str(v) for v in rows.columns[name][asked].tolist()]
    for input_ in routing.logged:
        columns[FEATURE + input_.name] = scored.inputs(input_.name, input_.type)
    arrays = [
        repeated(str(head["request_id"]), count)
        if field.name == "request_id"
        else _array(columns[field.name], field.type)
        for field in routing.schema
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=routing.schema)


def prediction_ids(prefix: str, count: int) -> list[str]:
    """The ids of a request's predictions: an id that sorts by time, and the row's number."""
    return [f"{prefix}-{number}" for number in range(count)]


class _Asker:
    """Asks variants, reading each feature service once."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows
        self._read: dict[str, Columns] = {}

    def ask(self, variant: Variant, rows: np.ndarray) -> Part:
        """The variant's scores for some rows."""
        inputs = self._inputs(variant)
        whole = len(rows) == len(self._rows.keys)
        columns = {f.name: inputs[f.name] if whole else inputs[f.name][rows] for f in variant.inputs}
        return Part(variant, rows, _scores(variant.predictor, columns, len(rows), variant), inputs)

    def _inputs(self, variant: Variant) -> Columns:
        if variant.pinned is None or variant.online is None:
            return self._rows.columns
        table = variant.pinned.table
        if table not in self._read:
            self._read[table] = variant.online.read(self._rows.columns, self._rows.at) | dict(self._rows.columns)
        return self._read[table]


def _scores(predictor: Predictor, columns: Columns, count: int, variant: Variant) -> np.ndarray:
    """A score for each row; all NaN when the model raises or gives something else."""
    try:
        scores = np.asarray(predictor.predict(columns), dtype=np.float64).reshape(count)
    except Exception as error:  # noqa: BLE001  # A model is foreign code: whatever it raises must not take the others along.
        log.warning("deployment %s (version %s) failed: %s", variant.deployment, variant.version, error)
        return np.full(count, np.nan)
    return np.where(np.isfinite(scores), scores, np.nan)


def _array(values: np.ndarray | Sequence[str | None], type_: pa.DataType) -> pa.Array:
    if type_ == pa.string():
        return texts(values.tolist() if isinstance(values, np.ndarray) else values)
    return numbers(np.asarray(values), type_)
