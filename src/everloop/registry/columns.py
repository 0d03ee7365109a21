"""Columns as predictors take them: read out of tables, described by a signature, checked against one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from itertools import repeat
from typing import TYPE_CHECKING, NamedTuple, cast, get_args

import numpy as np

from everloop.kernel.errors import InvalidInput
from everloop.registry import forms
from everloop.registry.entities import Field, Signature, Type

if TYPE_CHECKING:
    import pyarrow as pa

_TYPES: dict[str, Type] = {"f": "float64", "i": "int64", "u": "int64", "b": "bool", "O": "string", "U": "string"}
_KINDS = {"f": "fiub", "i": "iuf", "u": "iuf"}
_ACCEPTED = {"bool": "b", "string": "OU", "bytes": "O"}
"""The kinds of NumPy's types that a type of field takes; numbers go by the first letter of their type."""
_TEXT = {str, type(None)}
_BYTES = {bytes, type(None)}


def columns_of(table: pa.Table, names: Sequence[str] = ()) -> dict[str, np.ndarray]:
    """The columns of a table (all, or those named): missing numbers become NaN, missing strings None.

    Raises:
        InvalidInput: the table has no such column.
    """
    wanted = list(names) or table.column_names
    missing = [name for name in wanted if name not in table.column_names]
    if missing:
        raise InvalidInput(
            f"The table has no column {', '.join(missing)}.", hint=f"It has {', '.join(table.column_names)}."
        )
    return {name: table.column(name).to_numpy() for name in wanted}


def signature_of(
    columns: Mapping[str, np.ndarray],
    outputs: str | Sequence[str] | Mapping[str, np.ndarray] = ("probability",),
    narrow: bool = False,
) -> Signature:
    """The signature of a model trained on these columns; the categories of strings are their values, sorted.

    Numbers of one value a row are float64 or int64 whatever they came in, since a table's int16 says little about what
    will be asked; `narrow` keeps their types, and with them the ranges that requests are held to. Arrays in each row
    keep type and shape. `outputs` are names of float64 scores, or a prediction's arrays, which tell types and shapes.
    """
    inputs = tuple(_field(name, values, narrow) for name, values in columns.items())
    if isinstance(outputs, Mapping):
        return Signature(inputs, tuple(_plain(_field(name, values, True)) for name, values in outputs.items()))
    names = (outputs,) if isinstance(outputs, str) else outputs
    return Signature(inputs, tuple(Field(name, "float64") for name in names))


def arrays_of(signature: Signature, columns: Mapping[str, Sequence[object]]) -> dict[str, np.ndarray]:
    """Columns out of JSON as arrays: null becomes NaN in numbers and None in strings. `check_inputs` judges them."""
    known = {field.name: field for field in signature.inputs}
    unknown = Field("", "string")
    return {name: _array(known.get(name, unknown), values) for name, values in columns.items()}


def typed(fields: Sequence[Field], columns: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The columns that fields name, each of its field's own type: what models that take tensors are handed.

    Raises:
        InvalidInput: a column is missing, does not fit its type, or has gaps where the type knows none (integers).
    """
    missing = [field.name for field in fields if field.name not in columns]
    problems = [f"The model needs {', '.join(missing)}."] if missing else []
    if not problems:
        problems = [problem for field in fields if (problem := _conversion_problem(field, columns[field.name]))]
    if problems:
        raise InvalidInput(" ".join(problems), hint=f"Send all of {described(fields)}.")
    return {field.name: _converted(field, columns[field.name]) for field in fields}


def check_inputs(signature: Signature, columns: Mapping[str, np.ndarray]) -> int:
    """The number of rows, when the columns are what the signature asks for. Costs some 20 µs for 50 rows × 20 columns.

    Raises:
        InvalidInput: columns are missing, unknown, of unequal length, of the wrong type, or have forbidden gaps; it
            names every one.
    """
    if isinstance(columns, MatrixColumns) and _fits(signature, columns):
        return len(columns.matrix)
    problems = [*_name_problems(signature, columns)]
    if not problems:
        problems = [*_length_problems(signature, columns), *_type_problems(signature, columns)]
    if problems:
        raise InvalidInput(" ".join(problems), hint=f"The model takes {described(signature.inputs)}.")
    return next((len(values) for values in columns.values()), 0)


def described(fields: Sequence[Field]) -> str:
    """The fields as a reader writes them: `distance: float64, carrier: string`."""
    return ", ".join(f"{field.name}: {forms.spelled(field)}" for field in fields)


class MatrixColumns(Mapping[str, np.ndarray]):
    """Columns of numbers that lie in one C-contiguous float64 matrix `(n, names)`, NaN for missing.

    What takes a whole matrix (`InputMatrix`, the compiled models) takes it as it is, without a step for each column.
    """

    __slots__ = ("matrix", "names")

    def __init__(self, names: tuple[str, ...], matrix: np.ndarray) -> None:
        self.names = names
        self.matrix = matrix

    def __getitem__(self, name: str) -> np.ndarray:
        try:
            return self.matrix[:, self.names.index(name)]
        except ValueError:
            raise KeyError(name) from None

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)


class InputMatrix:
    """Columns as one C-contiguous float64 matrix, the same way in training and in serving.

    Strings become the positions of their categories; unknown and missing ones become NaN.
    """

    def __init__(self, inputs: Sequence[Field]) -> None:
        self.inputs = tuple(inputs)
        self._names = tuple(field.name for field in inputs)
        self._codes = [_codes(field) if field.type == "string" else None for field in inputs]

    @property
    def categorical(self) -> list[int]:
        """The positions of the string inputs."""
        return [position for position, codes in enumerate(self._codes) if codes is not None]

    def __call__(self, columns: Mapping[str, np.ndarray]) -> np.ndarray:
        """The matrix, a row for each row of the columns.

        Raises:
            InvalidInput: a column is missing, or holds what is not of its type.
        """
        if isinstance(columns, MatrixColumns) and columns.names == self._names:
            return columns.matrix
        missing = [field.name for field in self.inputs if field.name not in columns]
        if missing:
            raise InvalidInput(f"The model needs {', '.join(missing)}.", hint=f"Send all of {described(self.inputs)}.")
        rows = len(columns[self.inputs[0].name])
        matrix = np.empty((rows, len(self.inputs)), dtype=np.float64)
        for position, (field, codes) in enumerate(zip(self.inputs, self._codes, strict=True)):
            values = columns[field.name]
            try:
                matrix[:, position] = values if codes is None else _coded(values, codes)
            except (TypeError, ValueError):
                raise InvalidInput(
                    f"Column {field.name} is not {field.type}, or has not {rows} rows.", hint="Check the request."
                ) from None
        return matrix


def _array(field: Field, values: Sequence[object]) -> np.ndarray:
    shaped = np.empty(len(values), dtype=object)
    shaped[:] = forms.texts_of(field, values) if field.form else values
    if field.shape:
        return _deep(field, values, shaped)
    kinds = set(map(type, values))
    if field.type == "bool" and kinds == {bool}:
        return shaped.astype(np.bool_)
    if field.type[0] in "fiu" and kinds <= {int, float, type(None)}:
        exact = field.type[0] in "iu" and kinds <= {int}
        try:
            return shaped.astype((np.uint64 if field.type == "uint64" else np.int64) if exact else np.float64)
        except OverflowError:  # Numbers beyond 64 bits stay what they are, for the check to name.
            return shaped
    return shaped


def _deep(field: Field, values: Sequence[object], shaped: np.ndarray) -> np.ndarray:
    """Nested lists as one array, when they are regular and hold nothing but what the field does."""
    try:
        found = np.array(values, dtype=object)
    except ValueError:
        return shaped
    kinds = set(map(type, found.ravel().tolist()))
    if field.type[0] in "fiu" and kinds <= {int, float, type(None)}:
        exact = field.type[0] in "iu" and kinds <= {int}
        try:
            return found.astype(np.int64 if exact else np.float64)
        except OverflowError:
            return found
    return found.astype(np.bool_) if field.type == "bool" and kinds == {bool} else found


def _converted(field: Field, values: np.ndarray) -> np.ndarray:
    if field.type in ("string", "bytes"):
        return values.astype(object)
    with np.errstate(over="ignore"):
        return values.astype(field.type, copy=False)


def _conversion_problem(field: Field, values: np.ndarray) -> str:
    problem = _type_problem(field, values)
    if not problem and field.type[0] in "iu" and values.dtype.kind == "f" and np.isnan(values).any():
        return f"{field.name} has missing values, which {field.type} cannot hold."
    return problem


def _codes(field: Field) -> dict[str, float]:
    return {category: float(code) for code, category in enumerate(field.categories)}


def _coded(values: np.ndarray, codes: Mapping[str, float]) -> np.ndarray:
    return np.fromiter(map(codes.get, values.tolist(), repeat(np.nan)), np.float64, len(values))


def _field(name: str, values: np.ndarray, narrow: bool) -> Field:
    kind = _TYPES.get(values.dtype.kind)
    shape = values.shape[1:]
    if kind is None or (kind == "string" and not set(map(type, values.ravel().tolist())) <= _TEXT):
        raise InvalidInput(
            f"Column {name} has the type {values.dtype}, which no model takes.",
            hint="Use numbers, booleans or strings.",
        )
    if kind == "string" and not shape:
        return Field(name, kind, categories=tuple(sorted(set(values.tolist()) - {None})))
    exact = (narrow or shape) and values.dtype.name in get_args(Type)
    return Field(name, cast(Type, values.dtype.name) if exact else kind, shape=shape)


def _plain(field: Field) -> Field:
    """An output: its values are no categories."""
    return Field(field.name, field.type, shape=field.shape)


def _name_problems(signature: Signature, columns: Mapping[str, np.ndarray]) -> list[str]:
    names = {field.name for field in signature.inputs}
    missing = [field.name for field in signature.inputs if field.name not in columns]
    unknown = sorted(columns.keys() - names)
    problems = [f"Missing: {', '.join(missing)}."] if missing else []
    return [*problems, f"Unknown: {', '.join(unknown)}."] if unknown else problems


def _length_problems(signature: Signature, columns: Mapping[str, np.ndarray]) -> list[str]:
    shapes = {field.name: field.shape for field in signature.inputs}
    other = [name for name, values in columns.items() if not _is_of(values.shape[1:], shapes[name])]
    flat = [name for name in other if not shapes[name]]
    if other:
        deep = [f"Not of the shape {list(shapes[name])} in each row: {name}." for name in other if shapes[name]]
        return [f"Not one value a row: {', '.join(flat)}.", *deep] if flat else deep
    lengths = {name: len(values) for name, values in columns.items()}
    if len(set(lengths.values())) <= 1:
        return []
    return [f"Columns differ in length: {', '.join(f'{name} has {rows}' for name, rows in lengths.items())}."]


def _accepted(type_: Type) -> str:
    return _ACCEPTED.get(type_) or _KINDS[type_[0]]


def _is_of(shape: Sequence[int], wanted: Sequence[int]) -> bool:
    return len(shape) == len(wanted) and all(want in (-1, size) for size, want in zip(shape, wanted, strict=True))


def _type_problems(signature: Signature, columns: Mapping[str, np.ndarray]) -> list[str]:
    return [problem for field in signature.inputs if (problem := _type_problem(field, columns[field.name]))]


@cache
def _limits(kind: Type) -> tuple[float, float] | None:
    """The least and the greatest number that a type holds; None where every float64 does."""
    if kind[0] in "iu":
        return int(np.iinfo(kind).min), int(np.iinfo(kind).max)
    return (float(np.finfo(kind).min), float(np.finfo(kind).max)) if kind in ("float32", "float16") else None


def _range_problem(field: Field, known: np.ndarray) -> str:
    """The first number that a type cannot hold; infinities are the same in every type of floats."""
    limits = _limits(field.type)
    if limits is None or not known.size:
        return ""
    low, high = limits
    if field.type[0] in "iu":
        beyond = known[(known < low) | (known >= high + 1)] if known.dtype.kind == "f" else _beyond(known, low, high)
    else:
        with np.errstate(over="ignore"):
            beyond = known[np.isinf(known.astype(field.type)) & ~np.isinf(known)]
    if not len(beyond):
        return ""
    said = f"{low} to {high}" if field.type[0] in "iu" else f"up to {high:.5g}"
    return f"{field.name} must be {field.type} ({said}), not {beyond[0].item()!r}."


def _beyond(known: np.ndarray, low: float, high: float) -> np.ndarray:
    """The integers outside of a range; the range is cut to what their own type holds, to be compared in it."""
    own = np.iinfo(known.dtype)
    return known[(known < max(low, own.min)) | (known > min(high, own.max))]


class _Plan(NamedTuple):
    """What a matrix is held to: the names, whether all are numbers, the columns that must be whole, never missing, and
    within a range (with its least and greatest number)."""

    names: tuple[str, ...]
    numbers: bool
    whole: np.ndarray
    filled: np.ndarray
    narrow: np.ndarray
    low: np.ndarray
    high: np.ndarray


_plans: dict[int, tuple[tuple[Field, ...], _Plan]] = {}
"""Plans by the identity of their inputs, which stand beside them: to hash all fields costs more than all checks."""


def _plan(signature: Signature) -> _Plan:
    known = _plans.get(id(signature.inputs))
    if known is not None and known[0] is signature.inputs:
        return known[1]
    if len(_plans) >= 64:
        _plans.clear()
    plan = _planned(signature.inputs)
    _plans[id(signature.inputs)] = (signature.inputs, plan)
    return plan


def _planned(inputs: Sequence[Field]) -> _Plan:
    narrow = [(at, limits) for at, field in enumerate(inputs) if (limits := _limits(field.type))]
    return _Plan(
        tuple(field.name for field in inputs),
        all(field.type[0] in "fiu" and not field.shape for field in inputs),
        np.array([at for at, field in enumerate(inputs) if field.type[0] in "iu"], int),
        np.array([at for at, field in enumerate(inputs) if not field.nullable], int),
        np.array([at for at, _ in narrow], int),
        np.array([float(low) for _, (low, _) in narrow]),
        np.array([float(high) for _, (_, high) in narrow]),
    )


def _fits(signature: Signature, columns: MatrixColumns) -> bool:
    """Whether a matrix is surely what the signature asks for; if not, the slow way says why, or that it is."""
    plan = _plan(signature)
    if not plan.numbers or columns.names != plan.names:
        return False
    if len(plan.whole):
        found = columns.matrix[:, plan.whole]
        if not np.array_equal(found, np.trunc(found), equal_nan=True):
            return False
    if len(plan.narrow):
        found = columns.matrix[:, plan.narrow]
        if ((found < plan.low) | (found >= plan.high)).any():  # At a limit itself, the slow way knows.
            return False
    return not len(plan.filled) or not np.isnan(columns.matrix[:, plan.filled]).any()


def _type_problem(field: Field, values: np.ndarray) -> str:
    if values.dtype.kind not in _accepted(field.type):
        return f"{field.name} must be {field.type}, not {_endless(values) or values.dtype}."
    if values.dtype.kind == "O":
        return _object_problem(field, values)
    if values.dtype.kind not in "fiu":
        return ""
    known = values[~np.isnan(values)] if values.dtype.kind == "f" else values
    if field.type[0] in "iu" and values.dtype.kind == "f" and not np.array_equal(known, np.trunc(known)):
        return f"{field.name} must be {field.type}, not fractions."
    if not field.nullable and known.size < values.size:
        return f"{field.name} must not be missing."
    return _range_problem(field, known)


def _endless(values: np.ndarray) -> str:
    """The first integer of a column that no array of numbers holds."""
    if values.dtype.kind != "O":
        return ""
    found = next((value for value in values.ravel().tolist() if type(value) is int and value.bit_length() > 63), None)
    return "" if found is None else f"an integer of {found.bit_length()} bits"


def _object_problem(field: Field, values: np.ndarray) -> str:
    wanted = _BYTES if field.type == "bytes" else _TEXT
    kinds = set(map(type, values.ravel().tolist()))
    if not kinds <= wanted:
        other = sorted(kind.__name__ for kind in kinds - wanted)
        return f"{field.name} must be {field.type}, not {', '.join(other)}."
    if field.form and (told := forms.problem(field, values.tolist())):
        return told
    return "" if field.nullable or type(None) not in kinds else f"{field.name} must not be missing."
