"""What answers instead of a model, without being one: a constant, a rule."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from everloop.kernel.errors import Refused
from everloop.registry.columns import MatrixColumns
from everloop.registry.entities import Field
from everloop.serving.configuration import Constant, Rule
from everloop.serving.expression import Expression


class Substitute:
    """Answers by an expression; a constant is one that reads nothing."""

    def __init__(self, instead: Constant | Rule, known: Sequence[Field]) -> None:
        fields = {field.name: field for field in known}
        text = instead.expression if isinstance(instead, Rule) else repr(instead.value)
        self._expression = Expression(text, fields)
        self.inputs = self._expression.inputs

    def predict(self, columns: Mapping[str, np.ndarray]) -> np.ndarray:
        """A number for each row."""
        if isinstance(columns, MatrixColumns):
            rows = len(columns.matrix)  # There may be rows without a column.
        else:
            rows = len(next(iter(columns.values())))
        return np.array(self._expression(columns, rows), dtype=np.float64)

    def contributions(self, columns: Mapping[str, np.ndarray]) -> np.ndarray:
        """Nothing: no model has answered.

        Raises:
            Refused: always.
        """
        raise Refused("A fallback answered, which cannot be explained.", hint="Ask again when the model answers.")
