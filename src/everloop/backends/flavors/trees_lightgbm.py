"""LightGBM's text as a table of trees, read without the library."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np

from everloop.registry.trees.growth import CategoricalSplit, Tree, grown
from everloop.registry.trees.table import Arithmetic, Link

if TYPE_CHECKING:
    from everloop.registry.trees.table import TreeTable

_ZERO = float(np.float32(1e-35))
"""What is nearer to nothing than this is taken for nothing."""
_CATEGORICAL, _DEFAULT_LEFT = 1, 2
_MISSING_NONE, _MISSING_NAN = 0, 2
_OWN_OBJECTIVE = "custom"
"""The user's own: LightGBM writes no word about it, and gives the sums as they are."""
_LINKS: dict[str, Link] = {
    _OWN_OBJECTIVE: "identity",
    "regression": "identity",
    "regression_l1": "identity",
    "huber": "identity",
    "fair": "identity",
    "quantile": "identity",
    "mape": "identity",
    "lambdarank": "identity",
    "rank_xendcg": "identity",
    "poisson": "exp",
    "gamma": "exp",
    "tweedie": "exp",
    "binary": "sigmoid",
    "multiclassova": "sigmoid",
    "cross_entropy": "sigmoid",
    "cross_entropy_lambda": "log1pexp",
    "multiclass": "softmax",
}


def trees_of(text: str) -> TreeTable | None:
    """The table of a model's text; None when it does what a table does not, such as linear trees."""
    head, *blocks = text.split("\n\nTree=")
    facts = _facts(head)
    how = _arithmetic(facts, head, len(blocks))
    if how is None or "num_class" not in facts:
        return None
    width = int(facts["num_tree_per_iteration"])
    trees = []
    for at, block in enumerate(blocks):
        tree = _tree(_facts(block.partition("\n\n")[0]), at % width)
        if tree is None:
            return None
        trees.append(tree)
    return grown(trees, int(facts["max_feature_idx"]) + 1, [0.0] * width, how)


def _facts(lines: str) -> dict[str, str]:
    return {name: value for name, _, value in (line.partition("=") for line in lines.splitlines())}


def _arithmetic(facts: Mapping[str, str], head: str, trees: int) -> Arithmetic | None:
    name, *words = facts.get("objective", _OWN_OBJECTIVE).split()
    options = dict(word.partition(":")[::2] for word in words)
    link = _LINKS.get(name)
    if link is None or not set(options) <= {"sigmoid", "num_class"}:
        # "sqrt", without a colon, is the one flag of an objective.
        if name != "regression" or words != ["sqrt"]:
            return None
        link = "square"
    averaged = "\naverage_output" in head
    divisor = trees / int(facts["num_tree_per_iteration"]) if averaged else 1.0
    return Arithmetic(link=link, slope=float(options.get("sigmoid", 1.0)), divisor=divisor, rule="truncated")


def _tree(facts: Mapping[str, str], output: int) -> Tree | None:
    if facts.get("is_linear", "0") != "0":
        return None
    leaves = int(facts["num_leaves"])
    values = _numbers(facts["leaf_value"])
    if leaves == 1:
        nothing = np.zeros(1, np.int64)
        return Tree(nothing - 1, np.zeros(1), nothing, nothing, np.zeros(1, bool), values, output)
    kinds = _whole(facts["decision_type"])
    missing, categorical = kinds >> 2 & 3, kinds & _CATEGORICAL != 0
    if not np.isin(missing, (_MISSING_NONE, _MISSING_NAN)).all():
        return None  # Zeros that stand for missing values.
    threshold = _numbers(facts["threshold"])
    splits = dict(_splits(facts, threshold, categorical)) if categorical.any() else {}
    # Where a feature never was missing, a missing value is a nought.
    default_left = np.where(missing == _MISSING_NAN, kinds & _DEFAULT_LEFT != 0, threshold >= 0)
    inner = leaves - 1
    return Tree(
        np.concatenate([_whole(facts["split_feature"]), np.full(leaves, -1)]),
        np.concatenate([_without_noughts(threshold), np.zeros(leaves)]),
        _joined(_whole(facts["left_child"]), inner, leaves),
        _joined(_whole(facts["right_child"]), inner, leaves),
        np.concatenate([default_left & ~categorical, np.zeros(leaves, bool)]),
        np.concatenate([np.zeros(inner), values]),
        output,
        splits,
    )


def _without_noughts(threshold: np.ndarray) -> np.ndarray:
    """Thresholds that divide values as they are like LightGBM does after it has made noughts of those near to it."""
    near = np.abs(threshold) <= _ZERO
    below = near & (threshold < 0)
    return np.where(below, np.nextafter(-_ZERO, -np.inf), np.where(near, _ZERO, threshold))


def _splits(
    facts: Mapping[str, str], threshold: np.ndarray, categorical: np.ndarray
) -> Iterator[tuple[int, CategoricalSplit]]:
    """The sets of categories, which are bits of words of 32; what is not in one goes right."""
    bounds, words = _whole(facts["cat_boundaries"]), _whole(facts["cat_threshold"])
    for node in np.flatnonzero(categorical):
        which = int(threshold[node])
        own = words[bounds[which] : bounds[which + 1]].astype("<u4")
        yield int(node), CategoricalSplit(np.flatnonzero(np.unpackbits(own.view(np.uint8), bitorder="little")).tolist())


def _joined(children: np.ndarray, inner: int, leaves: int) -> np.ndarray:
    """Leaves are told by negative numbers (-1 the first); here they stand behind the inner nodes."""
    return np.concatenate([np.where(children < 0, inner + ~children, children), np.zeros(leaves, np.int64)])


def _numbers(text: str) -> np.ndarray:
    return np.array([float(word) for word in text.split()])


def _whole(text: str) -> np.ndarray:
    return np.array([int(word) for word in text.split()], np.int64)
