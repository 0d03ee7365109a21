"""XGBoost's trees as a table: it rounds what it is given to float32, and adds in float32, tree after tree."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from everloop.registry.trees.growth import CategoricalSplit, Tree, grown
from everloop.registry.trees.table import Arithmetic, Link

if TYPE_CHECKING:
    from everloop.registry.trees.table import TreeTable

_LINKS: dict[str, Link] = {
    "reg:squarederror": "identity",
    "reg:squaredlogerror": "identity",
    "reg:absoluteerror": "identity",
    "reg:pseudohubererror": "identity",
    "rank:ndcg": "identity",
    "rank:map": "identity",
    "rank:pairwise": "identity",
    "binary:logitraw": "identity",
    "binary:logistic": "sigmoid32",
    "reg:logistic": "sigmoid32",
    "multi:softprob": "softmax32",
    "count:poisson": "exp32",
    "reg:gamma": "exp32",
    "reg:tweedie": "exp32",
    "survival:cox": "exp32",
}


def trees_of(booster: Any) -> TreeTable | None:
    """The table of a booster; None when it does what a table does not, such as trees of several targets.

    (`Any`: XGBoost's types are not checked.)
    """
    try:
        whole = msgspec.json.decode(bytes(booster.save_raw("json")))
    except msgspec.DecodeError:
        return None  # XGBoost writes Infinity, which is no JSON, where its sums overflowed in training.
    learner = whole["learner"]
    link = _LINKS.get(learner["objective"]["name"])
    facts = learner["learner_model_param"]
    # DART takes the base away from each tree's sum and adds it again, which rounds as no table does.
    if link is None or learner["gradient_booster"]["name"] != "gbtree" or int(facts["num_target"]) != 1:
        return None
    model = learner["gradient_booster"]["model"]
    if (model.get("cats") or {}).get("enc"):
        return None  # It would give the categories of a data frame codes of its own.
    if any(int(tree["tree_param"]["size_leaf_vector"]) > 1 for tree in model["trees"]):
        return None
    trees = [_tree(tree, output) for tree, output in zip(model["trees"], model["tree_info"], strict=True)]
    base = _base(whole, model, int(facts["num_feature"]), max(1, int(facts["num_class"])))
    how = Arithmetic(link=link, float32_inputs=True, float32_sums=True, rule="natural")
    return grown(trees, int(facts["num_feature"]), base, how, strict=True)


def _base(whole: Any, model: Mapping[str, Any], features: int, width: int) -> list[float]:
    """What the sums begin with, as the library itself computes it: the margin of the same trees with empty leaves."""
    import xgboost

    for tree in model["trees"]:
        numbers = zip(tree["left_children"], tree["split_conditions"], strict=True)
        tree["split_conditions"] = [number if child >= 0 else 0.0 for child, number in numbers]
    bare = xgboost.Booster({"nthread": 1})
    bare.load_model(bytearray(msgspec.json.encode(whole)))
    margin = bare.inplace_predict(np.zeros((1, features)), predict_type="margin", validate_features=False)
    return [float(number) for number in np.broadcast_to(margin.reshape(-1), width)]


def _tree(tree: Mapping[str, Any], output: int) -> Tree:
    left = np.array(tree["left_children"], np.int64)
    inner = left >= 0
    numbers = np.array(tree["split_conditions"], np.float32)
    return Tree(
        np.where(inner, np.array(tree["split_indices"], np.int64), -1),
        numbers.astype(np.float64),
        left,
        np.array(tree["right_children"], np.int64),
        np.array(tree["default_left"], bool),
        numbers.astype(np.float64),
        output,
        dict(_splits(tree)),
    )


def _splits(tree: Mapping[str, Any]) -> Iterator[tuple[int, CategoricalSplit]]:
    """The categories that go right; any other goes left."""
    for node, begin, size in zip(
        tree["categories_nodes"], tree["categories_segments"], tree["categories_sizes"], strict=True
    ):
        yield node, CategoricalSplit((), tree["categories"][begin : begin + size], unknown_left=True)
