"""Gathering: requests that have the same columns become one, so that everything is done once for all of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from everloop.kernel.errors import InvalidInput
from everloop.registry.columns import MatrixColumns, check_inputs
from everloop.registry.entities import Signature
from everloop.serving.request import PredictionRequest

MOST_ROWS = 1 << 16
"""Requests are not put together beyond so many rows: Arrow's strings end at 2 GB."""
Columns = Mapping[str, np.ndarray]


@dataclass(frozen=True, eq=False, slots=True)
class Group:
    """Requests (by their places in the turn) as one: their columns, the rows that each has, and for what moment."""

    places: Sequence[int]
    counts: Sequence[int]
    columns: Columns
    at: datetime | None

    @property
    def rows(self) -> int:
        """The rows of all of them."""
        return sum(self.counts)


def gathered(
    signature: Signature, requests: Sequence[PredictionRequest], places: Sequence[int]
) -> Iterator[Group | tuple[int, InvalidInput]]:
    """The requests at some places, checked and put together; or what is wrong with one of them, with its place."""
    for alike, counts in _alike(requests, places):
        yield from _checked(signature, requests, _together(requests, alike, counts))


def _checked(
    signature: Signature, requests: Sequence[PredictionRequest], group: Group
) -> Iterator[Group | tuple[int, InvalidInput]]:
    try:
        check_inputs(signature, group.columns)
        if 0 in group.counts:
            raise InvalidInput("The request has no rows.", hint="Send at least one.")
    except InvalidInput as error:
        if len(group.places) == 1:
            yield group.places[0], error
            return
        alone = [each for one in group.places for each in gathered(signature, requests, [one])]
        yield from (each for each in alone if not isinstance(each, Group))
        good = [each for each in alone if isinstance(each, Group)]
        if good:
            yield _together(requests, [each.places[0] for each in good], [each.counts[0] for each in good])
        return
    yield group


def _alike(requests: Sequence[PredictionRequest], places: Sequence[int]) -> Iterator[tuple[list[int], list[int]]]:
    """The places and the rows of requests whose columns can be joined without changing a value."""
    kinds: dict[object, tuple[list[int], list[int]]] = {}
    for place in places:
        request = requests[place]
        names, types, rows = _kind(request.columns)
        kind = (names, types, request.at)
        found = kinds.get(kind)
        if found is None:
            kinds[kind] = ([place], [rows])
        elif rows > 1 and sum(found[1]) + rows > MOST_ROWS:
            yield found
            kinds[kind] = ([place], [rows])
        else:
            found[0].append(place)
            found[1].append(rows)
    yield from kinds.values()


def _kind(columns: Columns) -> tuple[object, object, int]:
    """What must be the same in requests that are joined, and how many rows there are."""
    if type(columns) is MatrixColumns:  # isinstance is slow for what is no Mapping by birth, as dictionaries are.
        return columns.names, "matrix", len(columns.matrix)
    shapes = {values.shape for values in columns.values()}
    if len(shapes) == 1:
        (shape,) = shapes
        if len(shape) == 1:
            return tuple(columns), tuple([values.dtype.char for values in columns.values()]), shape[0]
    # Columns of several lengths or dimensions: alone, so that whatever is wrong is their own.
    first = next(iter(shapes), ())
    return id(columns), "", first[0] if first else 0


def _together(requests: Sequence[PredictionRequest], places: Sequence[int], counts: Sequence[int]) -> Group:
    return Group(places, counts, _joined([requests[place].columns for place in places]), requests[places[0]].at)


def _joined(given: Sequence[Columns]) -> Columns:
    first = given[0]
    if len(given) == 1:
        return first
    if isinstance(first, MatrixColumns):
        matrices = [columns.matrix for columns in given if isinstance(columns, MatrixColumns)]
        return MatrixColumns(first.names, np.concatenate(matrices))
    return {name: np.concatenate([columns[name] for columns in given]) for name in first}
