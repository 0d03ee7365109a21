"""Expressions over columns: `0.9 if distance > 500 and carrier == 'AA' else 0.2`. Parsed here and never evaluated.

There are numbers, texts, `+ - * /`, comparisons, `in (…)`, `and`, `or`, `not`, `… if … else …`, and `missing(column)`.
A comparison with a missing value does not hold.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import numpy as np

from everloop.kernel.errors import InvalidInput
from everloop.registry.entities import Field

Kind = Literal["number", "text", "truth"]
Columns = Mapping[str, np.ndarray]
Compute = Callable[[Columns], np.ndarray]
LONGEST = 2_000
"""So many characters make sense."""
_ARITHMETIC: dict[type, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
}  # fmt: skip
_COMPARISONS: dict[type, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    ast.Lt: operator.lt, ast.LtE: operator.le, ast.Gt: operator.gt, ast.GtE: operator.ge,
}  # fmt: skip


class Expression:
    """An expression, checked against the columns that there are. `inputs` are those that it reads."""

    def __init__(self, text: str, columns: Mapping[str, Field]) -> None:
        self.text = text
        self._columns = columns
        self._read: dict[str, Field] = {}
        self.kind, self._compute = self._parsed(text)
        self.inputs = tuple(self._read.values())

    def __call__(self, columns: Columns, rows: int) -> np.ndarray:
        """A value for each row."""
        with np.errstate(all="ignore"):
            return np.broadcast_to(self._compute(columns), (rows,))

    def _parsed(self, text: str) -> tuple[Kind, Compute]:
        if len(text) > LONGEST:
            raise InvalidInput(f"The expression has {len(text):,} characters.", hint=f"Up to {LONGEST:,} make sense.")
        try:
            tree = ast.parse(text.strip(), mode="eval").body
            return self._of(tree)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            raise self._wrong("it cannot be read") from None

    def _wrong(self, why: str) -> InvalidInput:
        return InvalidInput(
            f"The expression {self.text[:200]!r} makes no sense: {why}.",
            hint="Write one such as 0.9 if distance > 500 and carrier == 'AA' else 0.2",
        )

    def _of(self, node: ast.expr) -> tuple[Kind, Compute]:
        match node:
            case ast.Constant():
                return self._constant(node.value)
            case ast.Name() | ast.Attribute():
                return self._column(self._name(node))
            case ast.UnaryOp():
                return self._unary(node)
            case ast.BinOp():
                return self._arithmetic(node)
            case ast.BoolOp():
                return self._joined(node)
            case ast.Compare():
                return self._comparison(node)
            case ast.IfExp():
                return self._choice(node)
            case ast.Call():
                return self._missing(node)
        raise self._wrong(f"there is no {type(node).__name__.lower()} here")

    def _constant(self, value: object) -> tuple[Kind, Compute]:
        found: np.ndarray
        kind: Kind
        if isinstance(value, bool):
            kind, found = "truth", np.array(value)
        elif isinstance(value, int | float):
            kind, found = "number", np.array(float(value))
        elif isinstance(value, str):
            kind, found = "text", np.array(value, dtype=object)
        else:
            raise self._wrong(f"{value!r} is neither a number nor a text")
        return kind, lambda columns: found

    def _unary(self, node: ast.UnaryOp) -> tuple[Kind, Compute]:
        if isinstance(node.op, ast.USub):
            value = self._want(node.operand, "number")
            return "number", lambda columns: -value(columns)
        if isinstance(node.op, ast.Not):
            truth = self._want(node.operand, "truth")
            return "truth", lambda columns: ~truth(columns)
        raise self._wrong(f"there is no {type(node.op).__name__.lower()} here")

    def _want(self, node: ast.expr, kind: Kind) -> Compute:
        found, compute = self._of(node)
        if found != kind:
            raise self._wrong(f"{ast.unparse(node)} is a {found}, not a {kind}")
        return compute

    def _name(self, node: ast.expr) -> str:
        """A column's name; features have dots in theirs."""
        if isinstance(node, ast.Attribute):
            return f"{self._name(node.value)}.{node.attr}"
        if isinstance(node, ast.Name):
            return node.id
        raise self._wrong(f"{ast.unparse(node)} is no column")

    def _column(self, name: str) -> tuple[Kind, Compute]:
        field = self._columns.get(name)
        if field is None or field.shape or field.type == "bytes":
            raise self._wrong(f"there is no column {name!r}, there are {', '.join(sorted(self._columns)) or 'none'}")
        self._read[name] = field
        if field.type == "string":
            return "text", lambda columns: columns[name]
        return "number", lambda columns: columns[name].astype(np.float64, copy=False)

    def _arithmetic(self, node: ast.BinOp) -> tuple[Kind, Compute]:
        apply = _ARITHMETIC.get(type(node.op))
        if apply is None:
            raise self._wrong(f"there is no {type(node.op).__name__.lower()} here")
        left, right = self._want(node.left, "number"), self._want(node.right, "number")
        return "number", lambda columns: apply(left(columns), right(columns))

    def _joined(self, node: ast.BoolOp) -> tuple[Kind, Compute]:
        parts = [self._want(part, "truth") for part in node.values]
        reduce = np.logical_and.reduce if isinstance(node.op, ast.And) else np.logical_or.reduce
        return "truth", lambda columns: reduce(np.broadcast_arrays(*(part(columns) for part in parts)))

    def _comparison(self, node: ast.Compare) -> tuple[Kind, Compute]:
        if len(node.ops) > 1:
            raise self._wrong("it compares more than two things at once")
        (comparison,), (other,) = node.ops, node.comparators
        kind, left = self._of(node.left)
        if isinstance(comparison, ast.In | ast.NotIn) and isinstance(other, ast.Tuple | ast.List):
            found = [_same(left, self._want(one, kind)) for one in other.elts]
            if not found:
                raise self._wrong("it looks for something among nothing")
            among = _any(found)
            return "truth", among if isinstance(comparison, ast.In) else lambda columns: ~among(columns)
        right = self._want(other, kind)
        if isinstance(comparison, ast.Eq):
            return "truth", _same(left, right)
        if isinstance(comparison, ast.NotEq):
            same = _same(left, right)
            return "truth", lambda columns: ~same(columns)
        apply = _COMPARISONS.get(type(comparison))
        if apply is None or kind != "number":
            raise self._wrong(f"{ast.unparse(node)} cannot be compared so")
        return "truth", lambda columns: apply(left(columns), right(columns))

    def _choice(self, node: ast.IfExp) -> tuple[Kind, Compute]:
        test = self._want(node.test, "truth")
        kind, yes = self._of(node.body)
        no = self._want(node.orelse, kind)
        return kind, lambda columns: np.where(test(columns), yes(columns), no(columns))

    def _missing(self, node: ast.Call) -> tuple[Kind, Compute]:
        match node:
            case ast.Call(func=ast.Name(id="missing"), args=[ast.Name() | ast.Attribute() as column], keywords=[]):
                kind, compute = self._column(self._name(column))
                return "truth", _no_text(compute) if kind == "text" else lambda columns: np.isnan(compute(columns))
        raise self._wrong(f"there is no function {ast.unparse(node.func)}, only missing(column)")


def _same(left: Compute, right: Compute) -> Compute:
    return lambda columns: np.asarray(left(columns) == right(columns), dtype=bool)


def _any(parts: Sequence[Compute]) -> Compute:
    return lambda columns: np.logical_or.reduce([one(columns) for one in parts])


def _no_text(compute: Compute) -> Compute:
    return lambda columns: np.array([value is None for value in compute(columns)], dtype=bool)
