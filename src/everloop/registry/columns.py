"""Columns as predictors take them: read out of tables, described by a signature, checked against one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from itertools import repeat
from typing import TYPE_CHECKING

import numpy as np

from everloop.kernel.errors import InvalidInput
from everloop.registry.entities import Field, Signature, Type

if TYPE_CHECKING:
    import pyarrow as pa

_TYPES: dict[str, Type] = {"f": "float64", "i": "int64", "u": "int64", "b": "bool", "O": "string", "U": "string"}
_KINDS = {"f": "fiub", "i": "iuf", "u": "iuf"}
_ACCEPTED = {"bool": "b", "string": "OU", "bytes": "O"}
"""The kinds of NumPy's types that a type of field takes; numbers go by the first letter of their type."""
_TEXT = {str, type(None)}


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


def signature_of(columns: Mapping[str, np.ndarray], outputs: Sequence[str] = ("probability",)) -> Signature:
    """The signature of a model trained on these columns; the categories of strings are their values, sorted."""
    return Signature(
        tuple(_field(name, values) for name, values in columns.items()), tuple(Field(o, "float64") for o in outputs)
    )


def arrays_of(signature: Signature, columns: Mapping[str, Sequence[object]]) -> dict[str, np.ndarray]:
    """Columns out of JSON as arrays: null becomes NaN in numbers and None in strings. `check_inputs` judges them."""
    kinds = {field.name: field.type for field in signature.inputs}
    return {name: _array(kinds.get(name, "string"), values) for name, values in columns.items()}


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
    return ", ".join(f"{field.name}: {field.type}" for field in fields)


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


def _array(kind: Type, values: Sequence[object]) -> np.ndarray:
    shaped = np.empty(len(values), dtype=object)
    shaped[:] = values
    kinds = set(map(type, values))
    if kind == "bool" and kinds == {bool}:
        return shaped.astype(np.bool_)
    if kind in ("float64", "int64") and kinds <= {int, float, type(None)}:
        exact = kind == "int64" and kinds <= {int}
        return shaped.astype(np.int64 if exact else np.float64)
    return shaped


def _codes(field: Field) -> dict[str, float]:
    return {category: float(code) for code, category in enumerate(field.categories)}


def _coded(values: np.ndarray, codes: Mapping[str, float]) -> np.ndarray:
    return np.fromiter(map(codes.get, values.tolist(), repeat(np.nan)), np.float64, len(values))


def _field(name: str, values: np.ndarray) -> Field:
    kind = _TYPES.get(values.dtype.kind)
    if kind is None or (kind == "string" and not set(map(type, values.tolist())) <= _TEXT):
        raise InvalidInput(
            f"Column {name} has the type {values.dtype}, which no model takes.",
            hint="Use numbers, booleans or strings.",
        )
    categories = sorted(set(values.tolist()) - {None}) if kind == "string" else []
    return Field(name, kind, categories=tuple(categories))


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
def _whole_and_filled(signature: Signature) -> tuple[tuple[str, ...], bool, np.ndarray, np.ndarray]:
    """The names of the inputs, whether all are numbers, and which of them must be whole numbers, and never missing."""
    numbers = all(field.type[0] in "fiu" and not field.shape for field in signature.inputs)
    whole = [at for at, field in enumerate(signature.inputs) if field.type[0] in "iu"]
    filled = [at for at, field in enumerate(signature.inputs) if not field.nullable]
    return tuple(field.name for field in signature.inputs), numbers, np.array(whole, int), np.array(filled, int)


def _fits(signature: Signature, columns: MatrixColumns) -> bool:
    """Whether a matrix is surely what the signature asks for; if not, the slow way says why, or that it is."""
    names, numbers, whole, filled = _whole_and_filled(signature)
    if not numbers or columns.names != names:
        return False
    if len(whole):
        found = columns.matrix[:, whole]
        if not np.array_equal(found, np.trunc(found), equal_nan=True):
            return False
    return not len(filled) or not np.isnan(columns.matrix[:, filled]).any()


def _type_problem(field: Field, values: np.ndarray) -> str:
    if values.dtype.kind not in _accepted(field.type):
        return f"{field.name} must be {field.type}, not {values.dtype}."
    if values.dtype.kind == "O":
        kinds = set(map(type, values.tolist()))
        if not kinds <= _TEXT:
            other = sorted(kind.__name__ for kind in kinds - _TEXT)
            return f"{field.name} must be {field.type}, not {', '.join(other)}."
        return "" if field.nullable or type(None) not in kinds else f"{field.name} must not be missing."
    if values.dtype.kind != "f":
        return ""
    known = values[~np.isnan(values)]
    if field.type[0] in "iu" and not np.array_equal(known, np.trunc(known)):
        return f"{field.name} must be {field.type}, not fractions."
    return "" if field.nullable or len(known) == len(values) else f"{field.name} must not be missing."
