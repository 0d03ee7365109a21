"""Layouts: how a model's inputs are put together of what requests bring and what is read online."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from everloop.registry.columns import MatrixColumns
from everloop.registry.entities import Field

_FRACTIONS = ("float64", "float32", "float16")


class Layout:
    """The inputs of a model: some are columns of a matrix of features, the others come with the request."""

    def __init__(self, inputs: Sequence[Field], features: Sequence[str], brought: Sequence[str]) -> None:
        places = {name: place for place, name in enumerate(features) if name not in brought}
        self.names = tuple(field.name for field in inputs)
        self.is_matrix = all(field.type in _FRACTIONS and not field.shape for field in inputs)
        self._read = [(name, places[name]) for name in self.names if name in places]
        self._brought = [name for name in self.names if name not in places]
        self._to = _run([at for at, name in enumerate(self.names) if name in places])
        self._from = _run([place for _, place in self._read])
        self._is_whole = self.names == tuple(features)

    def matrix(self, given: Mapping[str, np.ndarray], features: np.ndarray | None, rows: int) -> MatrixColumns:
        """The inputs as one matrix."""
        if features is not None and self._is_whole:
            return MatrixColumns(self.names, features)
        matrix = np.empty((rows, len(self.names)))
        if features is not None and self._read:
            matrix[:, self._to] = features[:, self._from]
        for name in self._brought:
            matrix[:, self.names.index(name)] = given[name]
        return MatrixColumns(self.names, matrix)

    def columns(self, given: Mapping[str, np.ndarray], features: np.ndarray | None) -> Mapping[str, np.ndarray]:
        """The inputs as arrays of their own."""
        read = {} if features is None else {name: features[:, place] for name, place in self._read}
        return {name: read[name] if name in read else given[name] for name in self.names}


def _run(places: list[int]) -> slice | list[int]:
    """Places as a slice when they follow each other, which NumPy copies faster."""
    if places and places == list(range(places[0], places[0] + len(places))):
        return slice(places[0], places[0] + len(places))
    return places
