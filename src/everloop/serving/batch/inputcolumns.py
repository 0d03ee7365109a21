"""Arrow's columns as a model takes them: one matrix of numbers where that is all, else arrays by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from everloop.kernel.errors import InvalidInput
from everloop.registry.columns import MatrixColumns, check_inputs
from everloop.registry.entities import Field, Signature
from everloop.registry.trees.compiled import CompiledPredictor

if TYPE_CHECKING:
    from everloop.registry.flavor import Predictor

_NUMBERS = ("float", "int", "uint")


class InputColumns:
    """Makes of record batches what a model is asked with. It keeps nothing, so that many threads may ask it.

    A matrix of 30 columns costs some 0.1 µs a row. Texts become the codes of their categories in Arrow for compiled
    models, which take nothing but numbers; who asks an endpoint has no model to name.
    """

    def __init__(self, inputs: Sequence[Field], predictor: Predictor | None = None) -> None:
        self._inputs = tuple(inputs)
        self._names = tuple(field.name for field in inputs)
        self._categories = {field.name: pa.array(field.categories, pa.string()) for field in inputs if _is_text(field)}
        plain = all(field.type.startswith(_NUMBERS) and not field.shape for field in inputs)
        self._codes = isinstance(predictor, CompiledPredictor) and not plain
        self._matrix = plain or self._codes
        # Codes are no longer text, and what is neither text nor held to anything needs no look.
        held = [field for field in inputs if not self._codes or not (_is_text(field) or field.type == "bool")]
        self._signature = Signature(tuple(held), ())

    def check(self, schema: pa.Schema, text: bool, fields: Sequence[Field]) -> None:
        """Make sure that a table's columns are of types that some of the model's inputs can be had from.

        Raises:
            InvalidInput: they are not; it names every one. With `text`, numbers may be written as text.
        """
        wrong = [
            f"{field.name} must be {field.type}{list(field.shape) or ''}, not {schema.field(field.name).type}."
            for field in fields
            if not _can_be(field, schema.field(field.name).type, text)
        ]
        if wrong:
            raise InvalidInput(" ".join(wrong), hint="Cast the columns, or name those that were meant.")

    def __call__(self, batch: pa.RecordBatch) -> Mapping[str, np.ndarray]:
        """The columns of a batch's rows.

        Raises:
            InvalidInput: a value is none of its type, or is missing where it must not be.
        """
        arrays = [self._typed(field, batch.column(field.name)) for field in self._inputs]
        if not self._matrix:
            columns = {field.name: _numpy(field, values) for field, values in zip(self._inputs, arrays, strict=True)}
            check_inputs(self._signature, columns)
            return columns
        numbers = [_as_float(values) for values in arrays]
        matrix = pa.RecordBatch.from_arrays(numbers, list(self._names)).to_tensor(null_to_nan=True, row_major=True)
        found = MatrixColumns(self._names, matrix.to_numpy())
        if not self._codes:
            check_inputs(self._signature, found)
        elif self._signature.inputs:
            check_inputs(self._signature, {field.name: found[field.name] for field in self._signature.inputs})
        return found

    def _typed(self, field: Field, values: pa.Array) -> pa.Array:
        if _is_text(field):
            text = values.cast(pa.string())
            if not field.nullable and text.null_count:
                raise InvalidInput(f"{field.name} must not be missing.")
            return pc.index_in(text, value_set=self._categories[field.name]) if self._codes else text
        if pa.types.is_string(values.type) and field.type != "bytes":
            return _parsed(field, values)
        return values


def _parsed(field: Field, values: pa.Array) -> pa.Array:
    """Numbers and booleans that are written as text; nothing at all is a missing one."""
    trimmed = pc.utf8_trim_whitespace(values)
    trimmed = pc.if_else(pc.equal(trimmed, ""), pa.scalar(None, pa.string()), trimmed)
    wanted = pa.bool_() if field.type == "bool" else pa.int64() if field.type == "int64" else pa.float64()
    try:
        return trimmed.cast(wanted)
    except pa.ArrowInvalid as error:
        raise InvalidInput(f"{field.name} must be {field.type}: {error}.") from None


def _as_float(values: pa.Array) -> pa.Array:
    return values if values.type == pa.float64() else values.cast(pa.float64(), safe=False)


def _numpy(field: Field, values: pa.Array) -> np.ndarray:
    if field.shape:
        rows = [np.asarray(row, dtype=None if row is not None else float) for row in values.to_pylist()]
        try:
            return np.stack(rows)
        except ValueError:
            raise InvalidInput(f"{field.name} must have the shape {list(field.shape)} in each row.") from None
    if field.type == "bool" and values.null_count:
        raise InvalidInput(f"{field.name} must not be missing.")
    if pa.types.is_boolean(values.type) and field.type != "bool":
        values = values.cast(pa.uint8())
    found: np.ndarray = values.to_numpy(zero_copy_only=False)
    return found.astype(np.float64) if found.dtype == object and field.type.startswith(_NUMBERS) else found


def _is_text(field: Field) -> bool:
    return field.type == "string" and not field.shape


def _can_be(field: Field, kind: pa.DataType, text: bool) -> bool:
    types = pa.types
    kind = kind.value_type if types.is_dictionary(kind) else kind
    if types.is_null(kind):
        return True
    if field.shape:
        return bool(types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind))
    is_text = types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind)
    if field.type == "string" or (is_text and text):
        return bool(is_text)
    if field.type == "bytes":
        return bool(types.is_binary(kind) or types.is_large_binary(kind))
    if field.type == "bool":
        return bool(types.is_boolean(kind))
    return bool(types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind))
