"""Scoring: each variant is asked once for the rows that it gets.

A canary that raises, or gives what is no finite number, costs nobody an answer: the stable variant answers its rows,
and the log keeps them as failed.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from everloop.kernel.errors import InvalidInput, Unavailable
from everloop.registry.columns import MatrixColumns
from everloop.registry.entities import Field, Type
from everloop.registry.flavor import outputs_of
from everloop.serving.variants import Routing, Variant

if TYPE_CHECKING:
    from everloop.serving.processing import Before

Columns = Mapping[str, np.ndarray]
_CACHED = 1 << 12
log = logging.getLogger("everloop.serving")


@dataclass(frozen=True, eq=False, slots=True)
class Rows:
    """Rows to score: what the requests brought, the key of each row's unit, and when (µs)."""

    columns: Columns
    keys: Sequence[str]
    at: int


@dataclass(frozen=True, eq=False, slots=True)
class Part:
    """Some of the rows, scored by one variant. `inputs` has all rows; a score that failed is NaN.

    `values` are the outputs by name of a model that has others than one number a row.
    """

    variant: Variant
    rows: np.ndarray
    scores: np.ndarray
    inputs: Columns
    values: Columns | None = None

    def where(self, chosen: np.ndarray) -> list[Part]:
        """The part with only the chosen of its rows; none when there are none."""
        if chosen.all():
            return [self] if len(chosen) else []
        if not chosen.any():
            return []
        values = self.values and {name: given[chosen] for name, given in self.values.items()}
        return [Part(self.variant, self.rows[chosen], self.scores[chosen], self.inputs, values)]


@dataclass(eq=False)
class Scored:
    """The parts that answer each row once, and those beside them: shadows, and canaries' failures.

    `given` is what the requests brought along.
    """

    given: Columns
    answering: list[Part] = field(default_factory=list)
    beside: list[Part] = field(default_factory=list)
    unavailable: Unavailable | None = None
    """Why the stable variant's model cannot be asked now: it is in quarantine, or its sandbox died."""

    @cached_property
    def only(self) -> Part | None:
        """The part that there is, when one variant has answered all and nothing is beside it."""
        return self.answering[0] if len(self.answering) == 1 and not self.beside else None

    def logged(self, value: str) -> np.ndarray:
        """One attribute (`rows`, `scores`) of every part: the answers in the requests' order, then the rest."""
        return self._ordered([getattr(part, value) for part in (*self.answering, *self.beside)])

    def variants(self, value: str) -> np.ndarray:
        """One attribute of the variants (`deployment`, `role`), for each row as logged."""
        parts = (*self.answering, *self.beside)
        return self._ordered([np.full(len(part.rows), getattr(part.variant, value)) for part in parts])

    def inputs(self, name: str, type_: Type) -> np.ndarray:
        """What the variants were given for an input, for each row as logged.

        Where one does not take it, what the request brought; missing if that has none either.
        """
        if self.only is not None and name in self.only.inputs:
            return self.only.inputs[name]
        missing = np.full(1, None if type_ == "string" else np.nan)
        found = []
        for part in (*self.answering, *self.beside):
            source = part.inputs if name in part.inputs else self.given
            found.append(source[name][part.rows] if name in source else missing.repeat(len(part.rows)))
        return self._ordered(found)

    def values(self, outputs: Sequence[Field]) -> Columns | None:
        """The outputs by name for each row as logged; missing ones of parts that failed are None."""
        parts = (*self.answering, *self.beside)
        if all(part.values is None for part in parts):
            return None
        whole = all(part.values is not None for part in parts)
        return {
            output.name: self._ordered([_values(part, output.name, as_objects=not whole) for part in parts])
            for output in outputs
        }

    def _ordered(self, values: Sequence[np.ndarray]) -> np.ndarray:
        """An array for each part, put together as they are logged."""
        if len(values) == 1:
            return values[0]
        together = np.concatenate(values)
        return np.concatenate((together[self._order], together[len(self._order) :]))

    @cached_property
    def _order(self) -> np.ndarray:
        return np.argsort(np.concatenate([part.rows for part in self.answering]), kind="stable")


def score(routing: Routing, rows: Rows) -> Scored:
    """Ask each variant for its rows.

    The stable variant's failure shows as NaN in the answers.
    """
    scored, asker = Scored(rows.columns), _Asker(rows, routing)
    everything = _numbered(len(rows.keys))
    if len(routing.answering) == 1:
        _settle(routing.stable, everything, scored, asker)
    else:
        _divide(routing, rows, scored, asker)
    shadows = [shadow for shadow in routing.shadows if shadow.guard is None or shadow.guard.allows()]
    scored.beside += [asker.ask(shadow, everything) for shadow in shadows]
    return scored


def _settle(stable: Variant, rows: np.ndarray, scored: Scored, asker: _Asker) -> None:
    """Ask the stable variant for rows, and its fallback for those that it fails on; for all, while it is left alone."""
    asked = stable.guard is None or stable.guard.allows()
    part = asker.ask(stable, rows) if asked else asker.unasked(stable, rows)
    scored.unavailable = asker.unavailable.get(stable.deployment)
    if stable.fallback is None:
        scored.answering.append(part)
        return
    good = np.isfinite(part.scores)
    scored.answering += part.where(good)
    scored.beside += part.where(~good) if asked else []
    if not good.all():
        instead = asker.ask(stable.fallback, rows[~good])
        # The log keeps what the model was, or would have been, given.
        scored.answering.append(replace(instead, inputs={**part.inputs, **instead.inputs}))


def _divide(routing: Routing, rows: Rows, scored: Scored, asker: _Asker) -> None:
    """Ask the challengers for their rows, then the stable variant for its own and what they failed on."""
    assigned = np.asarray(routing.split.assign(rows.keys))
    left = assigned == routing.endpoint.stable
    for variant in routing.answering.values():
        mine = np.flatnonzero(assigned == variant.deployment)
        if variant.role == "stable" or not len(mine):
            continue
        if variant.guard is not None and not variant.guard.allows():
            left[mine] = True
            continue
        part = asker.ask(variant, mine)
        good = np.isfinite(part.scores)
        left[mine[~good]] = True
        scored.answering += part.where(good)
        scored.beside += part.where(~good)
    if left.any():
        _settle(routing.stable, np.flatnonzero(left), scored, asker)


class _Asker:
    """Asks variants, reading each feature service once."""

    def __init__(self, rows: Rows, routing: Routing) -> None:
        self._rows = rows
        self._outputs = routing.outputs
        self._read: dict[str, np.ndarray] = {}
        self._made: dict[object, Columns] = {}
        self.unavailable: dict[int, Unavailable] = {}

    def ask(self, variant: Variant, rows: np.ndarray) -> Part:
        """The variant's scores for some rows."""
        came = inputs = self._inputs(variant)
        if variant.before is not None:
            made = self._prepared(variant, variant.before, came)
            if made is None:
                return self.unasked(variant, rows)
            came, inputs = {**came, **made}, made
        if len(rows) == len(self._rows.keys):
            chosen = inputs
        elif isinstance(inputs, MatrixColumns):
            chosen = MatrixColumns(inputs.names, inputs.matrix[rows])
        else:
            chosen = {name: values[rows] for name, values in inputs.items()}
        scores, values = _scores(variant, chosen, len(rows), self._outputs, self.unavailable)
        return Part(variant, rows, scores, came, values)

    def unasked(self, variant: Variant, rows: np.ndarray) -> Part:
        """What a variant gives that is left alone: nothing."""
        inputs = self._inputs(variant)
        if variant.before is not None:
            inputs = {**variant.before.missing(len(self._rows.keys)), **inputs}
        return Part(variant, rows, np.full(len(rows), np.nan), inputs)

    def _prepared(self, variant: Variant, before: Before, came: Columns) -> Columns | None:
        """What the project's code makes of all rows, once for variants with the same code; None when it fails.

        Raises:
            InvalidInput: the stable variant's code says (ValueError) that a request brings nonsense.
        """
        key = (before.digest, before.takes, before.gives)
        if key not in self._made:
            try:
                self._made[key] = before(came) if variant.guard is None else variant.guard.run(lambda: before(came))
            except Exception as error:  # It is foreign code, as a model is.
                if variant.role == "stable" and isinstance(error, InvalidInput | ValueError):
                    raise InvalidInput(f"What the request brings cannot be used: {error}.") from error
                log.warning("deployment %s: what comes before its model failed: %r", variant.deployment, error)
                if variant.guard is not None:
                    variant.guard.record(failed=True)
                return None
        return self._made[key]

    def _inputs(self, variant: Variant) -> Columns:
        """What the variant takes, of all rows; one matrix when all are fractions."""
        given = self._rows.columns
        if isinstance(given, MatrixColumns) and given.names == variant.layout.names:
            return given
        features = self._features(variant)
        if variant.layout.is_matrix:
            return variant.layout.matrix(given, features, len(self._rows.keys))
        return variant.layout.columns(given, features)

    def _features(self, variant: Variant) -> np.ndarray | None:
        if variant.pinned is None or variant.online is None:
            return None
        table = variant.pinned.table
        if table not in self._read:
            self._read[table] = variant.online.matrix(self._rows.columns, self._rows.at)
        return self._read[table]


def _scores(
    variant: Variant,
    columns: Columns,
    count: int,
    outputs: Sequence[Field],
    unavailable: dict[int, Unavailable],
) -> tuple[np.ndarray, Columns | None]:
    """A score for each row, and all outputs if there are others; NaN when the model raises or gives something else."""
    guard = variant.guard
    try:
        if guard is None:
            scores, values = _given(variant, columns, count, outputs)
        else:
            scores, values = guard.run(lambda: _given(variant, columns, count, outputs))
    except Exception as error:  # noqa: BLE001  # A model is foreign code: whatever it raises must not take the others along.
        log.warning("deployment %s (version %s) failed: %s", variant.deployment, variant.version, error)
        if isinstance(error, Unavailable):
            unavailable[variant.deployment] = error
        scores, values = np.full(count, np.nan), None
    finite = np.isfinite(scores)
    if guard is not None:
        guard.record(failed=2 * int(np.count_nonzero(finite)) < count)  # A few odd rows are not the model's failure.
    return (scores if finite.all() else np.where(finite, scores, np.nan)), values


def _given(
    variant: Variant, columns: Columns, count: int, outputs: Sequence[Field]
) -> tuple[np.ndarray, Columns | None]:
    if not outputs:
        scores = np.asarray(variant.predictor.predict(columns), dtype=np.float64).reshape(count)
        return (scores if variant.after is None else variant.after(scores)), None
    values = _named(variant, columns, count, outputs)
    return _first_number(values, outputs), values


def _named(variant: Variant, columns: Columns, count: int, outputs: Sequence[Field]) -> Columns:
    """What the model gives, by the names of the endpoint's outputs; the first axis of each is the rows."""
    given = outputs_of(variant.predictor, variant.outputs, columns)
    if variant.after is not None:
        given = {variant.output: variant.after(np.asarray(given[variant.output], dtype=np.float64).reshape(count))}
    return {output.name: _by_row(given[output.name], count) for output in outputs}


def _by_row(values: np.ndarray | Sequence[str], count: int) -> np.ndarray:
    array = values if isinstance(values, np.ndarray) else np.array(values, dtype=object)
    if len(array) != count:
        raise ValueError(f"the model gave {len(array)} values for {count} rows")
    return array


def _first_number(values: Columns, outputs: Sequence[Field]) -> np.ndarray:
    """The number that stands for an answer: the first of the first output that has numbers.

    Where none has, the position of the answer among the output's categories (0 for one that is not among them).
    """
    for given in values.values():
        if given.dtype.kind in "fiub":
            return given.reshape(len(given), -1)[:, 0].astype(np.float64)
    name, first = next(iter(values.items()))
    categories = next((output.categories for output in outputs if output.name == name), ())
    codes = {category: float(code) for code, category in enumerate(categories)}
    return np.array([codes.get(str(value), 0.0) for value in first.reshape(len(first), -1)[:, 0].tolist()])


def _values(part: Part, name: str, *, as_objects: bool) -> np.ndarray:
    """An output of a part; as objects, arrays go together with the None of parts that failed."""
    if part.values is None:
        return np.full(len(part.rows), None, dtype=object)
    if not as_objects:
        return part.values[name]
    found = np.empty(len(part.rows), dtype=object)
    for row, value in enumerate(part.values[name].tolist()):
        found[row] = value
    return found


def _numbered(count: int) -> np.ndarray:
    """0 … count - 1, which nobody may change."""
    return _NUMBERS[:count] if count <= _CACHED else np.arange(count)


_NUMBERS = np.arange(_CACHED)
_NUMBERS.setflags(write=False)
