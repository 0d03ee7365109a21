"""Trees as libraries keep them, brought into one table: breadth-first, with thresholds that one comparison serves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from everloop.registry.trees.table import (
    CATEGORICAL,
    LEFT,
    MAX_FEATURES,
    MAX_OUTPUTS,
    NODE,
    RIGHT,
    UNKNOWN,
    UNKNOWN_RIGHT,
    Arithmetic,
    TreeTable,
    keys_of,
)

MAX_CATEGORIES = 65_536


@dataclass(frozen=True)
class CategoricalSplit:
    """Which codes go where; any other code goes with `unknown_left`."""

    left: Sequence[int]
    right: Sequence[int] = ()
    unknown_left: bool = False


@dataclass(frozen=True)
class Tree:
    """One tree, node 0 its root; `feature` is -1 in leaves; `value` is `(nodes,)`, or `(nodes, outputs)` for them all.

    A value of at most the threshold goes left (less than it, where the ensemble is grown with `strict`).
    """

    feature: np.ndarray
    threshold: np.ndarray
    left: np.ndarray
    right: np.ndarray
    missing_left: np.ndarray
    value: np.ndarray
    output: int = 0
    categories: Mapping[int, CategoricalSplit] = field(default_factory=dict)


def grown(
    trees: Sequence[Tree], features: int, base: Sequence[float], arithmetic: Arithmetic, *, strict: bool = False
) -> TreeTable | None:
    """The table of an ensemble; None when it is too wide for one, or is no tree at all."""
    if not trees or not 1 <= features <= MAX_FEATURES or len(base) > MAX_OUTPUTS:
        return None
    table = _Table(arithmetic.float32_inputs, strict, len(base))
    for tree in trees:
        if not table.plant(tree, features):
            return None
    if table.count >= 2**31:
        return None
    return TreeTable(features, arithmetic, table.arrays(np.asarray(base, np.float64)))


def divided(thresholds: np.ndarray, *, float32: bool, strict: bool) -> np.ndarray:
    """The float64 such that exactly the values up to it go left, as they do by the library's own comparison.

    Rounding to float32 keeps the order, so the values that are rounded to at most a threshold end somewhere: half way
    to the next float32, with that middle itself where ties go down. Nothing is below -infinity: a strict one has none.
    """
    if not float32:
        return np.nextafter(thresholds, -np.inf) if strict else np.asarray(thresholds, np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        single = thresholds.astype(np.float32)
        above = single > thresholds if not strict else single >= thresholds
        single = np.where(above, np.nextafter(single, np.float32(-np.inf)), single)
        upper = np.nextafter(single, np.float32(np.inf)).astype(np.float64)
        upper = np.where(np.isposinf(upper), 2.0**128, upper)
        lower = np.where(np.isneginf(single), -(2.0**128), single.astype(np.float64))
        middle = lower + (upper - lower) / 2
        found = np.where(middle.astype(np.float32) <= single, middle, np.nextafter(middle, -np.inf))
    return np.where(np.isposinf(single), np.inf, found)


class _Table:
    """The arrays while trees are added."""

    def __init__(self, float32: bool, strict: bool, width: int) -> None:
        self.count = 0
        self._float32, self._strict, self._width = float32, strict, width
        self._nodes: list[np.ndarray] = []
        self._roots: list[int] = []
        self._outputs: list[int] = []
        self._values: list[np.ndarray] = []
        self._rows = 0
        self._sets: list[np.ndarray] = []

    def plant(self, tree: Tree, features: int) -> bool:
        """Add a tree; False when it is none that can be added."""
        laid = _breadth_first(tree)
        if laid is None:
            return False
        order, child = laid
        inner = tree.feature[order] >= 0
        if (tree.feature[order] >= features).any() or not 0 <= tree.output < self._width:
            return False
        if self._strict and np.isneginf(tree.threshold[order][inner]).any():
            return False  # No number is below it, and the kernel asks for numbers up to one.
        nodes = np.zeros(len(order), NODE)
        nodes["child"] = self.count + np.where(inner, child, np.arange(len(order)))
        column = tree.feature[order] + np.where(tree.missing_left[order], features, 0)
        nodes["column"] = np.where(inner, column, 2 * features)
        numbers = divided(tree.threshold[order], float32=self._float32, strict=self._strict)
        nodes["key"] = np.where(inner, keys_of(numbers), self._leaves(tree, order, inner))
        self._categories(tree, order, nodes)
        self._roots.append(self.count)
        self._outputs.append(tree.output)
        self._nodes.append(nodes)
        self.count += len(nodes)
        return True

    def arrays(self, base: np.ndarray) -> dict[str, np.ndarray]:
        """Everything that was added."""
        return {
            "nodes": np.concatenate(self._nodes),
            "roots": np.array(self._roots, np.int32),
            "outputs": np.array(self._outputs, np.int32),
            "values": np.concatenate(self._values) if self._values else np.empty((0, len(base))),
            "sets": np.cumsum([0, *map(len, self._sets)], dtype=np.int64),
            "ways": np.concatenate([np.empty(0, np.uint8), *self._sets]),
            "base": base,
        }

    def _leaves(self, tree: Tree, order: np.ndarray, inner: np.ndarray) -> np.ndarray:
        if tree.value.ndim == 1:
            return np.asarray(tree.value[order], np.float64).view(np.int64)
        places = self._rows + np.cumsum(~inner) - 1
        self._values.append(np.asarray(tree.value[order[~inner]], np.float64))
        self._rows += int((~inner).sum())
        return places

    def _categories(self, tree: Tree, order: np.ndarray, nodes: np.ndarray) -> None:
        where = {int(old): new for new, old in enumerate(order)} if tree.categories else {}
        for old, split in tree.categories.items():
            node = nodes[where[old]]
            node["key"] = len(self._sets)
            node["flags"] |= CATEGORICAL | (0 if split.unknown_left else UNKNOWN_RIGHT)
            ways = np.full(max([*split.left, *split.right], default=-1) + 1, UNKNOWN, np.uint8)
            ways[list(split.right)] = RIGHT
            ways[list(split.left)] = LEFT
            self._sets.append(ways)


def _breadth_first(tree: Tree) -> tuple[np.ndarray, np.ndarray] | None:
    """The nodes in their new order, and where the left child of each stands then; None when a node has two parents."""
    levels, children = [], []
    level, count = np.zeros(1, np.int64), 1
    while len(level):
        if count > len(tree.feature):
            return None
        inner = tree.feature[level] >= 0
        child = np.zeros(len(level), np.int64)
        child[inner] = count + 2 * np.arange(inner.sum())
        levels.append(level)
        children.append(child)
        level = np.stack([tree.left[level[inner]], tree.right[level[inner]]], axis=1).reshape(-1)
        count += len(level)
    return np.concatenate(levels), np.concatenate(children)
