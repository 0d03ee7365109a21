"""Proof that the parts of a split share nothing, from the values themselves: it trusts no hashes of keys."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from everloop.datasets.splits.assignment import known_of
from everloop.datasets.splits.entities import (
    Comparison,
    Folds,
    GroupedKFold,
    GroupedSplit,
    HashSplit,
    InTime,
    Proof,
    Strategy,
)
from everloop.datasets.splits.keyhash import key_hashes, require_columns
from everloop.datasets.splits.moments import NEVER, moments_of
from everloop.kernel.clock import from_micros

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

    from everloop.datasets.splits.assignment import Mask

    Numbers = NDArray[np.int64]


def prove(table: pa.Table, strategy: Strategy, masks: Mapping[str, Mask], at: datetime) -> Proof:
    """What was compared between the parts of a table, and whether all of it holds."""
    used = np.zeros(table.num_rows, dtype=bool)
    for mask in masks.values():
        used |= mask
    comparisons = [*_of_rows(strategy, masks), *_of_keys(table, strategy, masks), *_of_time(table, strategy, masks)]
    left_out = table.num_rows - int(np.count_nonzero(used))
    holds = all(comparison.holds for comparison in comparisons)
    return Proof(holds, table.num_rows, left_out, tuple(comparisons), at)


def duplicates(table: pa.Table, strategy: Strategy, masks: Mapping[str, Mask]) -> list[Comparison]:
    """How many rows of one part stand in another as well, equal in every column: leaks that no row number shows."""
    columns = tuple(table.column_names)
    hashes = key_hashes(table, columns, 0)
    found = []
    for first, second in pairs(strategy, masks):
        one, other = np.unique(hashes[masks[first]]), np.unique(hashes[masks[second]])
        shared = len(np.intersect1d(one, other, assume_unique=True))
        counts = (len(one), len(other))
        found.append(Comparison("duplicates", first, second, columns, counts, shared, shared == 0))
    return found


def pairs(strategy: Strategy, names: Mapping[str, Mask] | Sequence[str]) -> list[tuple[str, str]]:
    """The parts that must share nothing: each two of them; of folds, the training part of each and its test."""
    if isinstance(strategy, Folds):
        return [(name, f"{name.removesuffix('.train')}.test") for name in names if name.endswith(".train")]
    return list(combinations(names, 2))


def exact_codes(table: pa.Table, columns: Sequence[str]) -> tuple[Numbers, int]:
    """A number for each row, the same for rows that agree in the columns (missing values agree), and their count.

    Raises:
        InvalidInput: the table has no such column.
    """
    import pyarrow as pa

    require_columns(table, columns)
    codes, count = _encoded(table[columns[0]])
    for name in columns[1:]:
        others, size = _encoded(table[name])
        codes, count = _encoded(pa.chunked_array([codes * size + others]))
    return codes, count


def _encoded(values: pa.ChunkedArray) -> tuple[Numbers, int]:
    """A number for each value, from 0, and how many different ones there are."""
    encoded = values.combine_chunks().dictionary_encode(null_encoding="encode")
    return np.asarray(encoded.indices).astype(np.int64), len(encoded.dictionary)


def _of_rows(strategy: Strategy, masks: Mapping[str, Mask]) -> Iterator[Comparison]:
    for first, second in pairs(strategy, masks):
        one, other = masks[first], masks[second]
        shared = int(np.count_nonzero(one & other))
        counts = (int(np.count_nonzero(one)), int(np.count_nonzero(other)))
        yield Comparison("rows", first, second, (), counts, shared, shared == 0)


def _of_keys(table: pa.Table, strategy: Strategy, masks: Mapping[str, Mask]) -> Iterator[Comparison]:
    """No group stands on two sides."""
    match strategy:
        case GroupedSplit(by=on) | GroupedKFold(by=on) | HashSplit(key=on):
            codes, count = exact_codes(table, on)
        case _:
            return
    present = {name: np.bincount(codes[mask], minlength=count) > 0 for name, mask in masks.items()}
    for first, second in pairs(strategy, masks):
        shared = int(np.count_nonzero(present[first] & present[second]))
        counts = (int(np.count_nonzero(present[first])), int(np.count_nonzero(present[second])))
        yield Comparison("keys", first, second, on, counts, shared, shared == 0)


def _of_time(table: pa.Table, strategy: Strategy, masks: Mapping[str, Mask]) -> Iterator[Comparison]:
    """All of an earlier part, labels too, was known before the first row of a later one."""
    if not isinstance(strategy, InTime):
        return
    times = moments_of(table, strategy.column)
    known = known_of(table, strategy) if strategy.known else times
    on = tuple(name for name in (strategy.column, strategy.known) if name)
    for first, second in pairs(strategy, masks):
        one, labels, other = times[masks[first]], known[masks[first]], times[masks[second]]
        start = int(other.min()) if len(other) else NEVER
        end = int(max(one.max(), labels.max())) if len(one) else NEVER
        late = int(np.count_nonzero((one >= start) | (labels > start))) if len(other) else 0
        latest, earliest = (from_micros(moment) if moment < NEVER else None for moment in (end, start))
        yield Comparison("time", first, second, on, (len(one), len(other)), late, late == 0, latest, earliest)
