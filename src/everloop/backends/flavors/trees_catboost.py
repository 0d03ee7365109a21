"""CatBoost's trees as a table, from its JSON: whole levels that ask alike, or trees of any shape."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from everloop.registry.trees.growth import Tree, grown
from everloop.registry.trees.table import Arithmetic, Link, TreeTable

_LINKS: dict[str, Link] = {
    "RMSE": "identity",
    "MAE": "identity",
    "Quantile": "identity",
    "MAPE": "identity",
    "Huber": "identity",
    "MultiRMSE": "identity",
    "Poisson": "exp",
    "Tweedie": "exp",
    "Logloss": "sigmoid",
    "CrossEntropy": "sigmoid",
    "MultiClassOneVsAll": "sigmoid",
    "MultiClass": "softmax",
}
_DEEPEST = 16


def trees_of(model: Mapping[str, Any]) -> TreeTable | None:
    """The table of a model in CatBoost's own JSON; None when it asks for more than numbers."""
    info = model["features_info"]
    link = _LINKS.get(model["model_info"]["params"]["loss_function"]["type"])
    scale, base = model.get("scale_and_bias", (1, [0.0]))
    known = set(info) <= {"float_features"} and not model.get("ctr_data")
    if link is None or not known or scale != 1:
        return None
    floats = [
        (int(one["flat_feature_index"]), one["nan_value_treatment"] != "AsTrue") for one in info["float_features"]
    ]
    trees: list[Tree] = []
    for tree in model.get("oblivious_trees") or model.get("trees") or ():
        made = _level_by_level(tree, floats, len(base)) if "splits" in tree else _free(tree, floats, len(base))
        if made is None:
            return None
        trees.append(made)
    return grown(trees, len(floats), [float(one) for one in base], Arithmetic(link=link, float32_inputs=True))


def _level_by_level(tree: Mapping[str, Any], floats: Sequence[tuple[int, bool]], width: int) -> Tree | None:
    """The nodes of a whole binary tree in the order of a heap; its leaves are numbered by their answers' bits."""
    splits = tree["splits"] or []
    depth = len(splits)
    if depth > _DEEPEST or any(one["split_type"] != "FloatFeature" for one in splits):
        return None
    asked = [floats[one["float_feature_index"]] for one in splits]
    level = np.repeat(np.arange(depth), 2 ** np.arange(depth))
    inner, leaves = 2**depth - 1, 2**depth
    at = np.arange(inner)
    filler = np.zeros(leaves)
    values = np.array(tree["leaf_values"], np.float64).reshape(leaves, -1)[_reversed_bits(depth)]
    return Tree(
        np.concatenate([np.array([place for place, _ in asked], np.int64)[level], filler - 1]).astype(np.int64),
        np.concatenate([np.array([one["border"] for one in splits], np.float32).astype(float)[level], filler]),
        np.concatenate([2 * at + 1, filler]).astype(np.int64),
        np.concatenate([2 * at + 2, filler]).astype(np.int64),
        np.concatenate([np.array([left for _, left in asked], bool)[level], filler]).astype(bool),
        _valued(np.concatenate([np.zeros((inner, values.shape[1])), values]), width),
    )


def _reversed_bits(depth: int) -> np.ndarray:
    """The first answer is the lowest bit of a leaf's number, but the highest of its place from left to right."""
    places = np.arange(2**depth)
    return sum((places >> bit & 1) << (depth - 1 - bit) for bit in range(depth)) + np.zeros(2**depth, np.int64)


def _free(root: Mapping[str, Any], floats: Sequence[tuple[int, bool]], width: int) -> Tree | None:
    """Nodes in the order that they are met."""
    rows: list[tuple[int, float, int, int, bool, Any]] = []
    waiting = [root]
    for node in waiting:
        if "split" not in node:
            rows.append((-1, 0.0, 0, 0, False, node["value"]))
            continue
        if node["split"]["split_type"] != "FloatFeature":
            return None
        place, left = floats[node["split"]["float_feature_index"]]
        rows.append((place, float(np.float32(node["split"]["border"])), len(waiting), len(waiting) + 1, left, 0.0))
        waiting += [node["left"], node["right"]]
    feature, threshold, lefts, rights, missing, values = zip(*rows, strict=True)
    numbers = np.stack([np.broadcast_to(np.asarray(value, np.float64), (width,)) for value in values])
    return Tree(
        np.array(feature, np.int64),
        np.array(threshold),
        np.array(lefts, np.int64),
        np.array(rights, np.int64),
        np.array(missing, bool),
        _valued(numbers, width),
    )


def _valued(values: np.ndarray, width: int) -> np.ndarray:
    return values[:, 0] if width == 1 else values
