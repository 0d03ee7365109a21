"""Estimators of scikit-learn that are no trees, as ONNX in float64."""

from __future__ import annotations

from typing import Any

from everloop.registry.trees.onnx import limited

_LARGEST = 1.7976931348623157e308


def graph_of(estimator: Any, features: int) -> bytes | None:
    """The ONNX model of a fitted estimator, from a float64 matrix to what its predictor gives; None when there is none.

    (`Any`: neither library has types.) Its last output is what is asked for: probabilities where it has them, of the
    second class when there are two.
    """
    try:
        from onnx import helper
        from skl2onnx import to_onnx
        from skl2onnx.common.data_types import DoubleTensorType
    except ImportError:
        return None
    options = {id(estimator): {"zipmap": False}} if hasattr(estimator, "predict_proba") else None
    try:
        model = to_onnx(estimator, initial_types=[("X", DoubleTensorType([None, features]))], options=options)
    except Exception:  # noqa: BLE001 - it raises anything at what it cannot convert, and then there is no graph
        return None
    if hasattr(estimator, "classes_") and hasattr(estimator, "predict_proba") and len(estimator.classes_) == 2:
        _take_second(model, helper)
    return limited(model, missing=False, largest=_LARGEST)


def _take_second(model: Any, helper: Any) -> None:
    """Make the second column of the last output the last output."""
    from onnx import TensorProto

    last = model.graph.output[-1].name
    model.graph.initializer.append(helper.make_tensor("second", TensorProto.INT64, [1], [1]))
    model.graph.node.append(helper.make_node("Gather", [last, "second"], ["score"], axis=1))
    model.graph.output.append(helper.make_tensor_value_info("score", TensorProto.DOUBLE, [None, 1]))
