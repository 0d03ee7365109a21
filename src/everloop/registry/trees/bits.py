"""The trees of a table as bit vectors: by these the kernel scores many rows without walking (bits.h).

- `conditions`: which leaves of its tree `keep` when the rank in a plane is not below `limit`, which is one more than
  the threshold's position among those of its feature; of a category, `limit` is the node
- `starts`: where the conditions of each tree begin, and behind them those about categories; one more for the end
- `leaves`, `firsts`: the `key` of each leaf from left to right, and where each tree's begin
- `ranked`: of each feature that is compared, where its thresholds begin in `cuts`, how many they are and by which step
  they are looked up, and its planes with missing values above and below everything, -1 for none
- `coded`: the planes of categories
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from everloop.registry.trees.table import TreeTable

CONDITION = np.dtype([("keep", "<u8"), ("limit", "<i4"), ("plane", "<i4")])
RANKED = np.dtype([(name, "<i4") for name in ("begin", "count", "step", "feature", "above", "below")])
CODED = np.dtype([("feature", "<i4"), ("plane", "<i4")])
MOST_LEAVES = 64
_NARROW = 32
_PLANE = 256
"""Bytes of the ranks that a block of rows has in one plane: kernel.c has the same number."""
_STEPS = 16
"""About so many thresholds are compared one by one, before the rest is halved: to look up costs as much as eight."""
_CATEGORIES = 1 / 3
"""Categories are looked up row by row, on the way or not: with more of them among the conditions, walking is faster."""
_NO_KEY = np.iinfo(np.int64).max
"""No number has it: the kernel takes it for a missing value, and nothing is above it."""


class Bits(NamedTuple):
    """What the kernel reads, besides the table: some 30 bytes for each condition."""

    conditions: np.ndarray
    starts: np.ndarray
    leaves: np.ndarray
    firsts: np.ndarray
    ranked: np.ndarray
    cuts: np.ndarray
    coded: np.ndarray
    planes: int
    wide: bool


class _Shape(NamedTuple):
    """Of each node its tree (-1: none), the first of the tree's leaves that are below it, and their number."""

    tree: np.ndarray
    first: np.ndarray
    leaves: np.ndarray


class _Asked(NamedTuple):
    """Conditions in any order, and the tree of each."""

    conditions: np.ndarray
    tree: np.ndarray


def bits_of(table: TreeTable) -> Bits | None:
    """The bit vectors of a table; None when a tree has too many leaves for a word, or walking is faster.

    It takes some 4 ms for a hundred trees of 31 leaves, 30 for a thousand.
    """
    levels = _levels(table)
    shape = _shape(table, levels) if levels is not None else None
    numeric = table.inner & ~table.categorical
    if np.count_nonzero(table.categorical) > _CATEGORIES * np.count_nonzero(table.inner):
        return None
    if shape is None or (table.nodes["key"][numeric] == _NO_KEY).any():
        return None
    compared = np.flatnonzero(numeric & (shape.tree >= 0))
    chosen = np.flatnonzero(table.categorical & (shape.tree >= 0))
    columns = np.unique(table.nodes["column"][compared])
    ranked, cuts, limit = _ranks(table, compared, columns)
    coded = _coded(table, chosen, len(columns))
    numbers = _merged(
        shape.tree[compared],
        np.searchsorted(columns, table.nodes["column"][compared]) * _PLANE,
        limit,
        _kept(table, shape, compared),
    )
    categories = _of_categories(table, shape, chosen, coded)
    conditions, starts = _in_order(numbers, categories, len(table.roots))
    leaves = np.flatnonzero(~table.inner & (shape.tree >= 0))
    leaves = leaves[np.lexsort((shape.first[leaves], shape.tree[leaves]))]
    firsts = np.searchsorted(shape.tree[leaves], np.arange(len(table.roots))).astype("<i4")
    wide = bool(shape.leaves[table.roots].max() > _NARROW)
    keys = np.ascontiguousarray(table.nodes["key"][leaves])
    return Bits(conditions, starts, keys, firsts, ranked, cuts, coded, len(columns) + len(coded), wide)


def _levels(table: TreeTable) -> list[np.ndarray] | None:
    """The nodes that are as deep as each other, of all trees; None when they are no trees of few leaves."""
    nodes, inner = table.nodes, table.inner
    level, seen, levels = table.roots.astype(np.int64), 0, []
    if not level.size or np.count_nonzero(~inner) > MOST_LEAVES * len(level):
        return None
    while level.size:
        levels.append(level)
        seen += level.size
        # A walk doesn't mind nodes that share a child, and a file may have them.
        if seen > len(nodes) or len(levels) > MOST_LEAVES:
            return None
        child = nodes["child"][level[inner[level]]].astype(np.int64)
        level = np.concatenate([child, child + 1])
    return levels if np.unique(np.concatenate(levels)).size == seen else None


def _shape(table: TreeTable, levels: list[np.ndarray]) -> _Shape | None:
    total = len(table.nodes)
    insides = [level[table.inner[level]] for level in levels]
    children = [table.nodes["child"][inside] for inside in insides]
    tree, first, count = np.full(total, -1), np.zeros(total, np.int64), np.ones(total, np.int64)
    tree[table.roots] = np.arange(len(table.roots))
    for inside, child in zip(reversed(insides), reversed(children), strict=True):
        count[inside] = count[child] + count[child + 1]
    for inside, child in zip(insides, children, strict=True):
        tree[child] = tree[child + 1] = tree[inside]
        first[child], first[child + 1] = first[inside], first[inside] + count[child]
    return _Shape(tree, first, count) if count[table.roots].max() <= MOST_LEAVES else None


def _kept(table: TreeTable, shape: _Shape, nodes: np.ndarray) -> np.ndarray:
    """All leaves but those on the left of each node."""
    left, one = table.nodes["child"][nodes], np.uint64(1)
    below = (one << shape.leaves[left].astype(np.uint64)) - one
    return np.asarray(~(below << shape.first[left].astype(np.uint64)))


def _ranks(table: TreeTable, compared: np.ndarray, columns: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The features with their thresholds, the thresholds, and the limit of each node's condition."""
    feature, key = table.feature[compared], np.ascontiguousarray(table.nodes["key"][compared])
    ranked = np.empty(len(features := np.unique(feature)), RANKED)
    limit, cuts = np.empty(len(compared), np.int64), [np.empty(0, np.int64)]
    begin = 0
    for place, name in enumerate(features):
        own = feature == name
        found, position = np.unique(key[own], return_inverse=True)
        limit[own] = position + 1
        step = 1 << (len(found) // _STEPS).bit_length()
        # At least one is added, so that a look-up beyond the last threshold ends there.
        added = step - len(found) % step
        cuts += [found, np.full(added, _NO_KEY)]
        planes = (_plane(columns, int(name) + missing) for missing in (0, table.features))
        ranked[place] = (begin, len(found), step, name, *planes)
        begin += len(found) + added
    return ranked, np.concatenate(cuts), limit


def _plane(columns: np.ndarray, column: int) -> int:
    place = int(np.searchsorted(columns, column))
    return place * _PLANE if place < len(columns) and columns[place] == column else -1


def _coded(table: TreeTable, chosen: np.ndarray, planes: int) -> np.ndarray:
    coded = np.empty(len(features := np.unique(table.feature[chosen])), CODED)
    coded["feature"], coded["plane"] = features, (planes + np.arange(len(features))) * _PLANE
    return coded


def _of_categories(table: TreeTable, shape: _Shape, chosen: np.ndarray, coded: np.ndarray) -> _Asked:
    conditions = np.empty(len(chosen), CONDITION)
    conditions["keep"], conditions["limit"] = _kept(table, shape, chosen), chosen
    conditions["plane"] = coded["plane"][np.searchsorted(coded["feature"], table.feature[chosen])]
    return _Asked(conditions, shape.tree[chosen])


def _merged(tree: np.ndarray, plane: np.ndarray, limit: np.ndarray, keep: np.ndarray) -> _Asked:
    """What a tree asks in several places, as CatBoost's do, is asked once."""
    order = np.lexsort((limit, plane, tree))
    tree, plane, limit, keep = tree[order], plane[order], limit[order], keep[order]
    new = np.ones(len(order), bool)
    new[1:] = (np.diff(tree) != 0) | (np.diff(plane) != 0) | (np.diff(limit) != 0)
    conditions = np.empty(np.count_nonzero(new), CONDITION)
    conditions["plane"], conditions["limit"] = plane[new], limit[new]
    conditions["keep"] = np.bitwise_and.reduceat(keep, np.flatnonzero(new)) if len(order) else keep
    return _Asked(conditions, tree[new])


def _in_order(numbers: _Asked, categories: _Asked, trees: int) -> tuple[np.ndarray, np.ndarray]:
    """The conditions tree by tree, of each first those about numbers; and where each of these groups begins."""
    group = np.concatenate([2 * numbers.tree, 2 * categories.tree + 1])
    order = np.argsort(group, kind="stable")
    starts = np.searchsorted(group[order], np.arange(2 * trees + 1)).astype("<i4")
    return np.concatenate([numbers.conditions, categories.conditions])[order], starts
