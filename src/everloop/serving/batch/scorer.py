"""Predictions for the rows of a table, beside the columns that are copied."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
import pyarrow as pa

from everloop.kernel.errors import EverloopError, InvalidInput, Refused
from everloop.registry.entities import Field
from everloop.registry.flavor import Predictor, outputs_of
from everloop.serving.batch.entities import AT, PREDICTION, PROBLEM, VERSION, RowPolicy
from everloop.serving.batch.inputcolumns import InputColumns
from everloop.serving.batch.parts import Part

if TYPE_CHECKING:
    from everloop.store.service import Store

Given = Mapping[str, pa.Array]
"""Columns of predictions by name, a value a row."""
TOLD = 10
"""So many rows are named when a batch is refused."""
_NONE_GIVEN = "the model gave no number"


class Answerer(Protocol):
    """Something that predicts rows: a model, or an endpoint."""

    def answer(self, batch: pa.RecordBatch, first: int) -> Given:
        """Predictions of rows; `first` is the number of the first one in the whole input.

        Raises:
            EverloopError: it refuses one of them.
        """
        ...

    def empty(self) -> Given:
        """Columns of the same types without rows."""
        ...


class ModelAnswerer:
    """A version of a model."""

    def __init__(self, predictor: Predictor, inputs: Sequence[Field], outputs: Sequence[Field], version: int) -> None:
        self.columns = InputColumns(inputs, predictor)
        self._predictor = predictor
        self._outputs = tuple(outputs)
        self._version = version

    def answer(self, batch: pa.RecordBatch, first: int) -> Given:
        """The model's outputs and its version."""
        columns = self.columns(batch)
        try:
            found = outputs_of(self._predictor, self._outputs, columns)
            arrays = {_called(name, len(found)): _array(values, batch.num_rows) for name, values in found.items()}
        except EverloopError:
            raise
        except Exception as error:
            raise Refused(f"the model raised {type(error).__name__}: {error}") from error
        return arrays | {VERSION: pa.array(np.full(batch.num_rows, self._version, np.int32))}

    def empty(self) -> Given:
        """Floats of one value a row, and the version."""
        names = [_called(field.name, len(self._outputs)) for field in self._outputs] or [PREDICTION]
        kinds = [_kind(field) for field in self._outputs] or [pa.float64()]
        return {name: pa.array([], kind) for name, kind in zip(names, kinds, strict=True)} | {
            VERSION: pa.array([], pa.int32())
        }


@dataclass(frozen=True)
class Scorer:
    """What every part of a batch goes through. `kept` are the columns that are copied, `at_us` the time that is
    written (None: no time), `prepare` adds columns that come from elsewhere, such as features."""

    answerer: Answerer
    kept: tuple[str, ...]
    policy: RowPolicy
    at_us: int | None
    prepare: Callable[[pa.RecordBatch], pa.RecordBatch] = lambda batch: batch

    def score(self, part: Part, store: Store, told: Callable[[int], None] = lambda rows: None) -> tuple[pa.Table, int]:
        """The predictions of a part, and how many rows of it were refused.

        Raises:
            InvalidInput: rows are refused, and the policy is that then everything fails; it names them.
        """
        tables: list[pa.Table] = []
        refused = 0
        first = part.first
        for batch in part.batches(store):
            table, bad = self._scored(batch, part, first)
            tables.append(table)
            refused += bad
            first += batch.num_rows
            told(batch.num_rows)
        return pa.concat_tables(tables, promote_options="permissive"), refused

    def empty(self, schema: pa.Schema) -> pa.Table:
        """What a table without rows comes to."""
        kept = {name: pa.array([], schema.field(name).type) for name in self.kept}
        return self._table(kept, self.answerer.empty(), 0, [])

    def _scored(self, batch: pa.RecordBatch, part: Part, first: int) -> tuple[pa.Table, int]:
        pieces, problems = self._answered(self.prepare(batch), first)
        if problems and self.policy == "fail":
            raise _refusal(part.name, problems)
        given = _joined(pieces, self.answerer.empty())
        kept = {name: batch.column(name) for name in self.kept}
        reasons = [(row - first, reason) for row, reason in problems.items()]
        return self._table(kept, given, batch.num_rows, reasons), len(problems)

    def _answered(self, batch: pa.RecordBatch, first: int) -> tuple[list[Given | int], dict[int, str]]:
        """Answers in pieces (a number: so many rows without one), and the reasons of rows that were refused."""
        pieces: list[Given | int] = []
        problems: dict[int, str] = {}
        for start, rows, found in self._halved(batch, 0, first):
            if isinstance(found, str):
                problems[first + start] = found
                pieces.append(rows)
                if self.policy == "fail" and len(problems) == TOLD:
                    break
                continue
            pieces.append(found)
            for row in _without_number(found):
                problems[first + start + row] = _NONE_GIVEN
        return pieces, problems

    def _halved(self, batch: pa.RecordBatch, start: int, first: int) -> Iterator[tuple[int, int, Given | str]]:
        """All rows at once; where that is refused each half, until the rows are found that cannot be answered."""
        try:
            yield start, batch.num_rows, self.answerer.answer(batch, first + start)
        except EverloopError as error:
            if error.status >= 500:
                raise  # It is not the rows' fault.
            if batch.num_rows <= 1:
                yield start, batch.num_rows, error.message
                return
            half = batch.num_rows // 2
            yield from self._halved(batch.slice(0, half), start, first)
            yield from self._halved(batch.slice(half), start + half, first)

    def _table(self, kept: Given, given: Given, rows: int, reasons: Sequence[tuple[int, str]]) -> pa.Table:
        twice = sorted({*kept} & {*given, AT, PROBLEM})
        if twice:
            raise InvalidInput(
                f"The input has a column {twice[0]!r}, which is what a column of predictions is called.",
                hint="Rename it, or leave it out: name the columns to copy with --columns.",
            )
        columns = {**kept, **given}
        if self.at_us is not None:
            columns[AT] = pa.array(np.full(rows, self.at_us), pa.timestamp("us", "UTC"))
        if self.policy == "null":
            texts: list[str | None] = [None] * rows
            for row, reason in reasons:
                texts[row] = reason
            columns[PROBLEM] = pa.array(texts, pa.string())
        return pa.table(columns)


def _called(name: str, count: int) -> str:
    return PREDICTION if count == 1 else f"{PREDICTION}.{name}"


def _array(values: np.ndarray | Sequence[str], rows: int) -> pa.Array:
    if len(values) != rows:
        raise Refused(f"the model gave {len(values)} values for {rows} rows")
    if isinstance(values, np.ndarray) and values.ndim > 1:
        return pa.array(values.tolist())
    return pa.array(values, from_pandas=True)


def _kind(field: Field) -> pa.DataType:
    if field.shape:
        return pa.list_(pa.float64())
    names = {"bool": pa.bool_(), "string": pa.string(), "bytes": pa.binary()}
    return names.get(field.type) or pa.type_for_alias(field.type)


def _without_number(given: Given) -> list[int]:
    """The rows for which there is nothing."""
    found: set[int] = set()
    for name, values in given.items():
        if name.startswith(PREDICTION) and values.null_count:
            found.update(np.flatnonzero(values.is_null().to_numpy(zero_copy_only=False)).tolist())
    return sorted(found)


def _joined(pieces: Sequence[Given | int], empty: Given) -> Given:
    """Pieces as whole columns, with nothing for the rows that were refused."""
    answered = [piece for piece in pieces if not isinstance(piece, int)]
    if len(answered) == len(pieces) == 1:
        return answered[0]
    like = answered[0] if answered else empty
    return {
        name: pa.concat_arrays(
            [pa.nulls(piece, kind.type) if isinstance(piece, int) else piece[name].cast(kind.type) for piece in pieces]
        )
        for name, kind in like.items()
    }


def _refusal(name: str, problems: Mapping[int, str]) -> InvalidInput:
    told = list(problems.items())[:TOLD]
    rows = ", ".join(f"{row + 1:,}" for row, _ in told)
    more = " and more" if len(problems) >= TOLD else ""
    return InvalidInput(
        f"{name}: row{'s' if len(told) > 1 else ''} {rows}{more} cannot be predicted: {told[0][1]}",
        hint="Mend the rows, or let them have no prediction but a reason: --rows null.",
    )
