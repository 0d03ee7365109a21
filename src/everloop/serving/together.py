"""Requests of one schema as one run of a model: their rows stand one after another, and each gets its own rows back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np

from everloop.registry.columns import MatrixColumns

Columns = Mapping[str, np.ndarray]
Outputs = Mapping[str, "np.ndarray | Sequence[str]"]


def schema_of(columns: Columns) -> object:
    """What columns must have in common to be run together: names, types, and the shapes of their values.

    None: they have no common number of rows, so they cannot be run with others.
    """
    if isinstance(columns, MatrixColumns):
        return columns.names
    if len({len(values) for values in columns.values()}) != 1:
        return None
    return tuple((name, values.dtype, values.shape[1:]) for name, values in columns.items())


def rows_of(columns: Columns) -> int:
    """The number of rows, of the first column where they differ."""
    if isinstance(columns, MatrixColumns):
        return len(columns.matrix)
    return next((len(values) for values in columns.values()), 0)


def grouped(requests: Sequence[Columns]) -> list[list[int]]:
    """The positions of the requests, those of one schema together."""
    if len(requests) == 1:
        return [[0]]
    groups: dict[object, list[int]] = {}
    for position, columns in enumerate(requests):
        schema = schema_of(columns)
        groups.setdefault(object() if schema is None else schema, []).append(position)
    return list(groups.values())


def joined(requests: Sequence[Columns]) -> Columns:
    """The rows of requests of one schema, one after another."""
    first = requests[0]
    if len(requests) == 1:
        return first
    if isinstance(first, MatrixColumns):
        return MatrixColumns(first.names, np.concatenate([one.matrix for one in requests]))  # type: ignore[attr-defined]  # One schema.
    return {name: np.concatenate([one[name] for one in requests]) for name in first}


def parted(outputs: Outputs, lengths: Sequence[int]) -> list[Outputs] | None:
    """Each request's rows of the outputs; None when an output has not one value for each row."""
    rows = sum(lengths)
    if any(len(values) != rows for values in outputs.values()):
        return None
    if len(lengths) == 1:
        return [outputs]
    edges = [0]
    for length in lengths:
        edges.append(edges[-1] + length)
    if len(outputs) == 1:
        name, values = next(iter(outputs.items()))
        return [{name: values[start:stop]} for start, stop in pairwise(edges)]
    return [{name: values[start:stop] for name, values in outputs.items()} for start, stop in pairwise(edges)]
