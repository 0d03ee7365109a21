"""Trees of scikit-learn, held to their own bounds: compiled code follows their indices without looking.

A file that was made by hand can name a node or a column that is not there. It holds nothing but numbers, and still
reads other memory, or ends the process, when it is asked.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from everloop.kernel.errors import Corrupted

_DEEPEST = 12


def check_trees(estimator: Any) -> None:
    """Look at every tree inside of an estimator (`Any`: scikit-learn is untyped).

    Raises:
        Corrupted: one leads out of itself.
    """
    for found in _trees(estimator, _DEEPEST, set()):
        if not _within(found):
            raise Corrupted("A tree of the model leads out of itself.", hint="Register the model again.")


def _trees(value: Any, depth: int, seen: set[int]) -> Iterator[Any]:
    if depth < 0 or id(value) in seen:
        return
    seen.add(id(value))
    if type(value).__name__ in ("Tree", "TreePredictor"):
        yield value
        return
    for child in _children(value):
        yield from _trees(child, depth - 1, seen)


def _children(value: Any) -> Iterator[Any]:
    import numpy as np

    if isinstance(value, dict):
        yield from value.values()
    elif isinstance(value, list | tuple | set):
        yield from value
    elif isinstance(value, np.ndarray):
        yield from value.ravel().tolist() if value.dtype == object else ()
    elif type(value).__module__.startswith("sklearn."):
        yield from getattr(value, "__dict__", {}).values()


def _within(tree: Any) -> bool:
    if type(tree).__name__ == "Tree":
        left, right = tree.children_left, tree.children_right
        inner = left != -1
        values = tree.value.shape == (tree.node_count, tree.n_outputs, tree.max_n_classes)
        known = tree.feature[inner] < tree.n_features
        return bool(values and known.all() and (tree.feature[inner] >= 0).all() and _forward(left, right, inner))
    nodes = tree.nodes
    inner = nodes["is_leaf"] == 0
    return bool(len(nodes) and _forward(nodes["left"], nodes["right"], inner))


def _forward(left: Any, right: Any, inner: Any) -> bool:
    """Whether children come after their parents, and are there: then every path ends in a leaf."""
    import numpy as np

    at = np.flatnonzero(inner)
    return all(bool(((side[at] > at) & (side[at] < len(inner))).all()) for side in (left, right))
