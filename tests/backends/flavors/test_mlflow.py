"""Folders that MLflow's own `save_model` wrote: they give what MLflow gives, and code is told from numbers."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from everloop.app import backends
from everloop.kernel.errors import Corrupted, InvalidInput, Refused
from everloop.registry import forms, mlmodel
from everloop.registry.columns import arrays_of, check_inputs
from everloop.registry.flavor import outputs_of

pytestmark = pytest.mark.slow
os.environ.setdefault("MLFLOW_TRACKING_URI", "file:///nowhere")
DATA = {"a": np.linspace(-2, 2, 60), "b": np.arange(60) % 7}
LABEL = ((DATA["a"] > 0) | (DATA["b"] > 5)).astype(int)


def frame() -> Any:
    import pandas as pd

    return pd.DataFrame(DATA)


def saved(library: str, native: object, folder: Path, **options: object) -> Any:
    """What MLflow's own loading gives for the rows, after MLflow's own saving."""
    import importlib

    import mlflow.pyfunc
    from mlflow.models import infer_signature

    module = importlib.import_module(f"mlflow.{library}")
    options.setdefault("signature", infer_signature(frame(), LABEL))
    module.save_model(native, folder, pip_requirements=["numpy"], **options)
    return mlflow.pyfunc.load_model(str(folder)).predict(frame())


def scikit() -> Any:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression().fit(frame(), LABEL)


def forest() -> Any:
    from sklearn.ensemble import RandomForestClassifier

    return RandomForestClassifier(5, random_state=1).fit(frame(), LABEL)


def lightgbm_booster() -> Any:
    import lightgbm

    fixed = {"objective": "binary", "num_leaves": 4, "min_data_in_leaf": 3, "verbosity": -1, "num_threads": 1}
    return lightgbm.train(fixed, lightgbm.Dataset(frame(), LABEL), 5)


def lightgbm_classifier() -> Any:
    import lightgbm

    return lightgbm.LGBMClassifier(n_estimators=5, min_child_samples=3, verbosity=-1, n_jobs=1).fit(frame(), LABEL)


def xgboost_booster() -> Any:
    import xgboost

    fixed = {"objective": "binary:logistic", "nthread": 1}
    return xgboost.train(fixed, xgboost.DMatrix(frame(), LABEL), 5)


def xgboost_classifier() -> Any:
    import xgboost

    return xgboost.XGBClassifier(n_estimators=5, n_jobs=1).fit(frame(), LABEL)


def catboost_classifier() -> Any:
    import catboost

    made = catboost.CatBoostClassifier(iterations=5, verbose=0, thread_count=1, allow_writing_files=False)
    return made.fit(frame(), LABEL)


SCORES = {"signature": "scores"}
CASES: list[tuple[str, Callable[[], Any], dict[str, object]]] = [
    ("sklearn", scikit, {"serialization_format": "skops"}),
    ("sklearn", forest, {"serialization_format": "pickle"}),
    ("sklearn", forest, {"serialization_format": "cloudpickle"}),
    ("lightgbm", lightgbm_booster, SCORES),
    ("lightgbm", lightgbm_classifier, {}),
    ("xgboost", xgboost_booster, SCORES),
    ("xgboost", xgboost_classifier, {}),
    ("catboost", catboost_classifier, {}),
]


@pytest.mark.parametrize(("library", "train", "options"), CASES)
def test_it_gives_what_mlflow_gives(
    library: str, train: Callable[[], Any], options: dict[str, object], tmp_path: Path
) -> None:
    from mlflow.models import infer_signature

    if options == SCORES:
        options = {"signature": infer_signature(frame(), LABEL.astype(np.float32 if library == "xgboost" else float))}
    expected = saved(library, train(), tmp_path / "m", **options)
    predictor = backends.load("flavors", "mlflow")().load(tmp_path / "m")
    signature = mlmodel.read((tmp_path / "m" / "MLmodel").read_bytes()).signature
    found = outputs_of(predictor, signature.outputs, DATA)
    assert [field.name for field in signature.inputs] == ["a", "b"]
    assert list(found) == ["predictions"]
    assert np.array_equal(np.asarray(found["predictions"]), np.asarray(expected).ravel())


def test_a_model_of_onnx_gives_its_outputs_by_name(tmp_path: Path) -> None:
    import mlflow.onnx
    from mlflow.models import ModelSignature
    from mlflow.types import Schema, TensorSpec

    from tests.contracts.test_flavors import train_onnx

    signature = ModelSignature(
        Schema([TensorSpec(np.dtype(np.float64), (-1, 3), "rows")]),
        Schema([TensorSpec(np.dtype(np.float64), (-1, 3), "probabilities")]),
    )
    native = train_onnx({}, 3)
    mlflow.onnx.save_model(native, tmp_path / "m", signature=signature, pip_requirements=["numpy"])
    rows = np.random.default_rng(1).normal(size=(5, 3))
    predictor = backends.load("flavors", "mlflow")().load(tmp_path / "m")
    assert predictor.predict({"rows": rows}).shape == (5, 3)
    assert list(outputs_of(predictor, (), {"rows": rows})) == ["probabilities"]


def test_labels_that_are_words_come_as_words(tmp_path: Path) -> None:
    from mlflow.models import infer_signature
    from sklearn.linear_model import LogisticRegression

    words = np.where(LABEL == 1, "late", "in time").astype(object)
    native = LogisticRegression().fit(frame(), words)
    saved("sklearn", native, tmp_path / "m", signature=infer_signature(frame(), words), serialization_format="skops")
    predictor = backends.load("flavors", "mlflow")().load(tmp_path / "m")
    assert set(outputs_of(predictor, (), DATA)["predictions"]) == {"late", "in time"}
    with pytest.raises(Refused, match="no number"):
        predictor.predict(DATA)


def test_a_pickle_with_a_function_of_ones_own_is_code(tmp_path: Path) -> None:
    from sklearn.preprocessing import FunctionTransformer

    native = FunctionTransformer(func=subprocess.call)
    saved_only("sklearn", native, tmp_path / "m", pyfunc_predict_fn="transform", serialization_format="cloudpickle")
    flavor = backends.load("flavors", "mlflow")()
    assert flavor.code_in(tmp_path / "m") == ["It would import subprocess.call."]
    with pytest.raises(Refused, match="subprocess"):
        flavor.load(tmp_path / "m")


def saved_only(library: str, native: object, folder: Path, **options: object) -> None:
    import importlib

    from mlflow.models import infer_signature

    module = importlib.import_module(f"mlflow.{library}")
    module.save_model(native, folder, signature=infer_signature(frame(), LABEL), pip_requirements=["numpy"], **options)


def test_a_model_of_any_class_is_code_and_runs_in_the_sandbox_when_trusted(tmp_path: Path) -> None:
    from everloop.backends.sandboxes.process import ProcessSandbox

    program = (
        "import sys, mlflow.pyfunc, pandas as pd\n"
        "from mlflow.models import infer_signature\n"
        "class Sum(mlflow.pyfunc.PythonModel):\n"
        "    def predict(self, context, model_input, params=None):\n"
        "        return (model_input['a'] + model_input['b']).to_numpy()\n"
        "rows = pd.DataFrame({'a': [1.0], 'b': [2]})\n"
        "signature = infer_signature(rows, rows['a'].to_numpy())\n"
        "mlflow.pyfunc.save_model(sys.argv[1], python_model=Sum(), signature=signature, pip_requirements=['numpy'])\n"
    )
    subprocess.run([sys.executable, "-c", program, str(tmp_path / "m")], check=True, capture_output=True, timeout=110)
    flavor = backends.load("flavors", "mlflow")()
    assert "mlflow.pyfunc" in flavor.code_in(tmp_path / "m")[0]
    found = ProcessSandbox().load(flavor, tmp_path / "m", code=True).predict(DATA)
    assert np.array_equal(found, DATA["a"] + DATA["b"])


def test_a_folder_that_brings_code_is_code(tmp_path: Path) -> None:
    saved("sklearn", scikit(), tmp_path / "m", serialization_format="skops")
    path = tmp_path / "m" / "MLmodel"
    path.write_text(path.read_text().replace("    loader_module", "    code: code\n    loader_module"))
    assert backends.load("flavors", "mlflow")().code_in(tmp_path / "m") == ["It brings the code in code."]


def test_a_path_that_leads_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    saved("sklearn", scikit(), tmp_path / "m", serialization_format="skops")
    path = tmp_path / "m" / "MLmodel"
    path.write_text(path.read_text().replace("pickled_model: model.skops", "pickled_model: ../outside.skops"))
    (tmp_path / "outside.skops").write_bytes((tmp_path / "m" / "model.skops").read_bytes())
    with pytest.raises(Corrupted, match="outside"):
        backends.load("flavors", "mlflow")().load(tmp_path / "m")


def test_a_model_without_a_signature_says_how_to_log_it(tmp_path: Path) -> None:
    saved("sklearn", scikit(), tmp_path / "m", signature=None, serialization_format="skops")
    with pytest.raises(InvalidInput, match="without a signature") as caught:
        backends.load("flavors", "mlflow")().load(tmp_path / "m")
    assert "infer_signature" in caught.value.hint


def test_a_folder_can_be_saved_as_it_is(tmp_path: Path) -> None:
    saved("sklearn", scikit(), tmp_path / "m", serialization_format="skops")
    signature = mlmodel.read((tmp_path / "m" / "MLmodel").read_bytes()).signature
    flavor = backends.load("flavors", "mlflow")()
    (tmp_path / "copy").mkdir()
    flavor.save(tmp_path / "m", tmp_path / "copy", signature)
    assert (tmp_path / "copy" / "model.skops").read_bytes() == (tmp_path / "m" / "model.skops").read_bytes()
    assert flavor.scan(tmp_path / "copy") == []


SCHEMAS = """
from mlflow.types import ColSpec, DataType, Schema
from mlflow.types.schema import Array, Map, Object, Property
inputs = Schema([
    ColSpec(DataType.datetime, "at"),
    ColSpec(Array(DataType.double), "path"),
    ColSpec(Object([Property("id", DataType.long), Property("nick", DataType.string, required=False)]), "who"),
    ColSpec(Map(DataType.double), "scores"),
])
outputs = Schema([ColSpec(Object([Property("year", DataType.long), Property("path", Array(DataType.double))]))])
"""


def nested(folder: Path) -> Any:
    """A function of times, lists, objects and maps, saved by MLflow and loaded by it."""
    import mlflow.pyfunc
    from mlflow.models import ModelSignature

    class Telling(mlflow.pyfunc.PythonModel):  # type: ignore[misc]
        def predict(self, context: object, model_input: Any, params: object = None) -> Any:
            rows = model_input.to_dict("records")
            return [
                {"year": row["at"].year + row["who"]["id"], "path": [*row["path"], row["scores"]["a"]]} for row in rows
            ]

    known: dict[str, Any] = {}
    exec(SCHEMAS, known)  # noqa: S102 - MLflow's types are imported where they are needed
    signature = ModelSignature(inputs=known["inputs"], outputs=known["outputs"])
    mlflow.pyfunc.save_model(folder, python_model=Telling(), signature=signature, pip_requirements=["numpy"])
    return mlflow.pyfunc.load_model(str(folder))


def test_times_lists_objects_and_maps_reach_a_model_as_mlflow_hands_them_in(tmp_path: Path) -> None:
    import pandas as pd

    theirs = nested(tmp_path / "m")
    rows = {
        "at": ["2026-11-23T02:50:00", "1999-01-01"],
        "path": [[1.0, 2.5], []],
        "who": [{"id": 1, "nick": "bo"}, {"id": 2}],
        "scores": [{"a": 0.5}, {"a": 1.0, "b": 2.0}],
    }
    signature = mlmodel.read((tmp_path / "m" / "MLmodel").read_bytes()).signature
    ours = backends.load("flavors", "mlflow")().load_trusted(tmp_path / "m")
    found = ours.infer(arrays_of(signature, rows))
    (output,) = signature.outputs
    expected = theirs.predict(pd.DataFrame(rows | {"at": pd.to_datetime(rows["at"], format="ISO8601")}))
    assert forms.shown(output, found[output.name]) == expected == [
        {"year": 2027, "path": [1.0, 2.5, 0.5]},
        {"year": 2001, "path": [1.0]},
    ]  # fmt: skip


def test_what_mlflows_schema_refuses_is_refused_before_the_model_is_asked(tmp_path: Path) -> None:
    nested(tmp_path / "m")
    signature = mlmodel.read((tmp_path / "m" / "MLmodel").read_bytes()).signature
    good = {"at": ["2026-11-23"], "path": [[1.0]], "who": [{"id": 1}], "scores": [{"a": 1.0}]}
    assert check_inputs(signature, arrays_of(signature, good)) == 1
    for other in ({"at": ["never"]}, {"path": [["a"]]}, {"who": [{"nick": "bo"}]}, {"scores": [{"a": "b"}]}):
        with pytest.raises(InvalidInput):
            check_inputs(signature, arrays_of(signature, good | other))
