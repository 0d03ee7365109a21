"""Trees as ONNX, in float64: the operator `TreeEnsemble` of ai.onnx.ml 5. And ONNX Runtime, where it runs models."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from everloop.kernel.errors import Corrupted, Misconfigured
from everloop.registry.trees.kernel import Unscorable
from everloop.registry.trees.table import LEFT, RIGHT, TreeTable

if TYPE_CHECKING:
    from everloop.registry.trees.table import Link

_LEQ, _MEMBER = 0, 6
_SUM = 1
_LINKS: dict[Link, str] = {"sigmoid": "Sigmoid", "softmax": "Softmax", "exp": "Exp"}
_OPSETS = {"": 18, "ai.onnx.ml": 5}


def to_onnx(table: TreeTable) -> bytes | None:
    """The table as an ONNX model from a float64 matrix to scores `(n, outputs)`.

    None where ONNX would compute otherwise: with sums in float32, links of their own, or fractions for categories.
    """
    how = table.arithmetic
    if how.float32_sums or how.link not in ("identity", *_LINKS):
        return None
    if table.categorical.any() and how.rule != "exact":
        return None
    from onnx import TensorProto, helper, numpy_helper

    def constant(name: str, value: Any) -> Any:
        return numpy_helper.from_array(np.array(value, dtype=np.float64), name)

    nodes = [helper.make_node("TreeEnsemble", ["X"], ["summed"], domain="ai.onnx.ml", **_ensemble(table))]
    constants = [constant("base", table.base), constant("divisor", how.divisor), constant("slope", how.slope)]
    nodes.append(helper.make_node("Add", ["summed", "base"], ["based"]))
    nodes.append(helper.make_node("Div", ["based", "divisor"], ["divided"]))
    nodes.append(helper.make_node("Mul", ["divided", "slope"], ["raw"]))
    nodes.append(helper.make_node(_LINKS.get(how.link, "Identity"), ["raw"], ["scores"]))
    taken = helper.make_tensor_value_info("X", TensorProto.DOUBLE, [None, table.features])
    given = helper.make_tensor_value_info("scores", TensorProto.DOUBLE, [None, table.width])
    graph = helper.make_graph(nodes, "trees", [taken], [given], constants)
    opsets = [helper.make_opsetid(domain, version) for domain, version in _OPSETS.items()]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=10)
    return limited(model, missing=how.missing, largest=how.largest)


def limited(model: Any, *, missing: bool, largest: float) -> bytes:
    """The bytes of an ONNX model (`Any`: protobuf's types are made at run time) that says what it does not take."""
    from onnx import helper

    helper.set_model_props(model, {"missing": str(missing), "largest": repr(largest)})
    return bytes(model.SerializeToString())


class Graph:
    """An ONNX model from a float64 matrix to scores, run by ONNX Runtime on the thread that asks."""

    def __init__(self, model: Path | bytes) -> None:
        try:
            import onnxruntime
        except ImportError:
            raise Misconfigured("ONNX Runtime is not installed.", hint="pip install 'everloop[onnx]'") from None
        onnxruntime.disable_telemetry_events()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 4
        try:
            data = model if isinstance(model, bytes) else model.read_bytes()
            self._session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # noqa: BLE001 - ONNX Runtime has no error of its own for a bad model
            raise Corrupted(f"It is no ONNX model ({error}).", hint="Compile the model again.") from None
        self._input = self._session.get_inputs()[0].name
        self._output = [self._session.get_outputs()[-1].name]
        limits = self._session.get_modelmeta().custom_metadata_map
        self._missing, self._largest = limits.get("missing") != "False", float(limits.get("largest", "inf"))

    def __call__(self, matrix: np.ndarray) -> np.ndarray:
        """The scores: `(n,)` where there is one, else `(n, k)`.

        Raises:
            Unscorable: a value is infinite or missing, and the model's own library would refuse it.
        """
        refused = np.abs(matrix) > self._largest
        refused = refused if self._missing else refused | np.isnan(matrix)
        if refused.any():
            row, column = np.argwhere(refused)[0].tolist()
            raise Unscorable(row, column)
        found = np.asarray(self._session.run(self._output, {self._input: matrix})[0], np.float64)
        return found[:, 0] if found.ndim == 2 and found.shape[1] == 1 else found


def _ensemble(table: TreeTable) -> dict[str, Any]:
    """The attributes of the operator. Its leaves give one output each, so trees of several are there once for each."""
    from onnx import numpy_helper

    made = _Attributes(table)
    ends = np.append(table.roots[1:], len(table.nodes))
    for root, end, output in zip(table.roots, ends, table.outputs, strict=True):
        for target in range(table.width) if table.values.size else [int(output)]:
            made.plant(int(root), int(end), target)
    found = made.attributes
    tensors = {
        "nodes_splits": np.array(found.pop("nodes_splits"), np.float64),
        "nodes_modes": np.array(found.pop("nodes_modes"), np.uint8),
        "leaf_weights": np.array(found.pop("leaf_weights"), np.float64),
    }
    members = found.pop("membership_values")
    if members:
        tensors["membership_values"] = np.array(members, np.float64)
    return (
        found
        | {name: numpy_helper.from_array(np.asarray(value), name) for name, value in tensors.items()}
        | {"n_targets": table.width, "aggregate_function": _SUM, "post_transform": 0}
    )


class _Attributes:
    """The operator's lists while trees are added: inner nodes and leaves are numbered apart."""

    def __init__(self, table: TreeTable) -> None:
        self._table = table
        self._inner, self._threshold = table.inner, table.threshold
        self._feature, self._missing_left = table.feature, table.missing_left
        self._categorical = table.categorical
        names = ("nodes_splits", "nodes_modes", "nodes_featureids", "nodes_missing_value_tracks_true", "tree_roots")
        sides = ("nodes_truenodeids", "nodes_trueleafs", "nodes_falsenodeids", "nodes_falseleafs")
        self.attributes: dict[str, list[Any]] = {
            name: [] for name in (*names, *sides, "leaf_weights", "leaf_targetids", "membership_values")
        }

    def plant(self, root: int, end: int, target: int) -> None:
        """Add a tree that adds to a target."""
        add = self.attributes
        first_node, first_leaf = len(add["nodes_splits"]), len(add["leaf_weights"])
        own = self._inner[root:end]
        if not own[0]:  # The operator knows no tree that is a leaf alone.
            self._ask(0.0, _LEQ, 0, True, (first_leaf, 1), (first_leaf, 1))
        numbers = np.where(own, first_node + np.cumsum(own) - 1, first_leaf + np.cumsum(~own) - 1)
        for node in range(root, end):
            if self._inner[node]:
                self._node(node, root, numbers)
            else:
                add["leaf_weights"].append(self._leaf(node, target))
                add["leaf_targetids"].append(target)
        add["tree_roots"].append(first_node)

    def _leaf(self, node: int, target: int) -> float:
        key = self._table.nodes["key"][node]
        return float(self._table.values[key, target] if self._table.values.size else self._table.leaf[node])

    def _node(self, node: int, root: int, numbers: np.ndarray) -> None:
        child = int(self._table.nodes["child"][node])
        left, right = ((int(numbers[at - root]), int(not self._inner[at])) for at in (child, child + 1))
        missing, feature = bool(self._missing_left[node]), int(self._feature[node])
        if not self._categorical[node]:
            self._ask(float(self._threshold[node]), _LEQ, feature, missing, left, right)
            return
        which = self._table.nodes["key"][node]
        ways = self._table.ways[self._table.sets[which] : self._table.sets[which + 1]]
        # What is in no set goes where `false` leads: the side that unknown categories take.
        unknown_left = not self._table.nodes["flags"][node] & 2
        members = np.flatnonzero(ways == (RIGHT if unknown_left else LEFT)).astype(float).tolist() or [-1.0]
        self.attributes["membership_values"] += [*members, float("nan")]
        true, false = (right, left) if unknown_left else (left, right)
        self._ask(0.0, _MEMBER, feature, missing != unknown_left, true, false)

    def _ask(
        self, split: float, mode: int, feature: int, missing: bool, true: tuple[int, int], false: tuple[int, int]
    ) -> None:
        add = self.attributes
        add["nodes_splits"].append(split)
        add["nodes_modes"].append(mode)
        add["nodes_featureids"].append(feature)
        add["nodes_missing_value_tracks_true"].append(int(missing))
        for side, (number, leaf) in (("true", true), ("false", false)):
            add[f"nodes_{side}nodeids"].append(number)
            add[f"nodes_{side}leafs"].append(leaf)
