"""The contract of flavors: what every library's models must do alike."""

from __future__ import annotations

import pickle
import timeit
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from everloop.app import backends
from everloop.kernel.errors import Corrupted, InvalidInput
from everloop.registry.columns import InputMatrix, check_inputs, signature_of
from everloop.registry.entities import Field, Signature
from everloop.registry.flavor import Flavor, outputs_of
from tests.backends.pythonmodels import Layer, Sneaky

ROWS = 300
Columns = dict[str, np.ndarray]


def columns(seed: int = 5) -> Columns:
    random = np.random.default_rng(seed)
    distance = random.normal(800, 300, ROWS)
    distance[::11] = np.nan
    carrier = random.choice(np.array(["AA", "B6", "UA", None], dtype=object), ROWS)
    return {"distance": distance, "hour": random.integers(0, 24, ROWS), "carrier": carrier}


def late(data: Columns) -> np.ndarray:
    return ((data["hour"] > 15) | (data["carrier"] == "B6")).astype(float)


def train_lightgbm(data: Columns, classes: int = 2, rounds: int = 10) -> object:
    import lightgbm

    matrix = InputMatrix(signature_of(data).inputs)
    label = late(data) if classes == 2 else data["hour"] % classes
    sets = lightgbm.Dataset(matrix(data), label, feature_name=list(data), categorical_feature=matrix.categorical)
    task = {"objective": "binary"} if classes == 2 else {"objective": "multiclass", "num_class": classes}
    fixed = {"num_leaves": 7, "min_data_in_leaf": 5, "verbosity": -1, "num_threads": 1, "seed": 3}
    return lightgbm.train(task | fixed, sets, rounds)


def train_sklearn(data: Columns, classes: int = 2) -> object:
    from sklearn.ensemble import HistGradientBoostingClassifier

    matrix = InputMatrix(signature_of(data).inputs)
    label = late(data) if classes == 2 else data["hour"] % classes
    return HistGradientBoostingClassifier(max_iter=5, random_state=3).fit(matrix(data), label)


def train_xgboost(data: Columns, classes: int = 2) -> object:
    import xgboost

    matrix = InputMatrix(signature_of(data).inputs)
    label = late(data) if classes == 2 else data["hour"] % classes
    task = {"objective": "binary:logistic"} if classes == 2 else {"objective": "multi:softprob", "num_class": classes}
    fixed = {"max_depth": 3, "nthread": 1, "seed": 3}
    return xgboost.train(task | fixed, xgboost.DMatrix(matrix(data), label, feature_names=list(data)), 5)


def train_catboost(data: Columns, classes: int = 2) -> object:
    import catboost

    matrix = InputMatrix(signature_of(data).inputs)
    label = late(data) if classes == 2 else data["hour"] % classes
    model = catboost.CatBoostClassifier(
        iterations=5, depth=3, verbose=0, thread_count=1, random_seed=3, allow_writing_files=False
    )
    return model.fit(matrix(data), label)


def train_onnx(data: Columns, classes: int = 2) -> object:
    """A layer of numbers without training: nothing, where a value is missing."""
    from onnx import TensorProto, helper, numpy_helper

    weights = np.random.default_rng(3).normal(size=(3, classes)) / np.array([[800.0], [12.0], [1.0]])
    nodes = [
        helper.make_node("IsNaN", ["rows"], ["gaps"]),
        helper.make_node("Where", ["gaps", "zero", "rows"], ["whole"]),
        helper.make_node("MatMul", ["whole", "weights"], ["raw"]),
        helper.make_node("Softmax", ["raw"], ["probabilities"], axis=1),
    ]
    constants = [numpy_helper.from_array(np.array(0.0), "zero"), numpy_helper.from_array(weights, "weights")]
    rows = helper.make_tensor_value_info("rows", TensorProto.DOUBLE, [None, 3])
    given = helper.make_tensor_value_info("probabilities", TensorProto.DOUBLE, [None, classes])
    graph = helper.make_graph(nodes, "layer", [rows], [given], constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def train_torch(data: Columns, classes: int = 2) -> object:
    import torch

    from tests.backends.flavors.torchmodels import Net

    torch.manual_seed(3)
    return Net(len(data), classes).eval()


def scores_of_torch(native: Any, matrix: np.ndarray) -> np.ndarray:
    import torch

    with torch.inference_mode():
        return np.asarray(native(torch.from_numpy(matrix.astype(np.float32)))[:, 1].numpy(), dtype=np.float64)


def train_python(data: Columns, classes: int = 2) -> object:
    return Layer(signature_of(data).inputs, classes)


def predicted(native: Any, matrix: np.ndarray) -> np.ndarray:
    """What scikit-learn's and CatBoost's estimators, and LightGBM's boosters say."""
    if hasattr(native, "predict_proba"):
        scores = native.predict_proba(matrix)
        return np.asarray(scores[:, 1] if scores.shape[1] == 2 else scores)
    return np.asarray(native.predict(matrix))


def scores_of_xgboost(native: Any, matrix: np.ndarray) -> np.ndarray:
    import xgboost

    return np.asarray(native.predict(xgboost.DMatrix(matrix, feature_names=native.feature_names)), dtype=np.float64)


def scores_of_onnx(native: Any, matrix: np.ndarray) -> np.ndarray:
    import onnxruntime

    session = onnxruntime.InferenceSession(native.SerializeToString())
    return np.asarray(session.run(None, {"rows": matrix})[0][:, 1])


@dataclass(frozen=True)
class Kind:
    """How a library's models are trained and asked in the contract; `code` says that they bring some."""

    train: Callable[..., object]
    scores: Callable[[Any, np.ndarray], np.ndarray] = predicted
    code: bool = False


KINDS = {
    "lightgbm": Kind(train_lightgbm),
    "sklearn": Kind(train_sklearn),
    "xgboost": Kind(train_xgboost, scores_of_xgboost),
    "catboost": Kind(train_catboost),
    "onnx": Kind(train_onnx, scores_of_onnx),
    "torch": Kind(train_torch, scores_of_torch),
    "python": Kind(train_python, Layer.scores, code=True),
}
SLOW = ("torch", "sklearn", "xgboost", "catboost")


@pytest.fixture(params=[pytest.param(name, marks=[pytest.mark.slow] * (name in SLOW)) for name in KINDS])
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def flavor(name: str) -> Flavor:
    if name == "torch":
        pytest.importorskip("torch", reason="PyTorch is not installed.")
    opened: Flavor = backends.load("flavors", name)()
    if not KINDS[name].code:
        return opened
    opened.load = opened.load_trusted  # type: ignore[method-assign,attr-defined]  # A test trusts its own code.
    return opened


@pytest.fixture
def train(name: str) -> Callable[..., object]:
    return KINDS[name].train


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


class TestFlavor:
    """What a backend of the port must keep."""

    def test_it_knows_its_name(self, flavor: Flavor, name: str) -> None:
        assert flavor.name == name

    def test_a_loaded_model_predicts_exactly_what_the_saved_one_did(
        self, flavor: Flavor, name: str, train: Callable[..., object], tmp_path: Path
    ) -> None:
        data, new = columns(), columns(6)
        native, signature = train(data), signature_of(data)
        flavor.save(native, tmp_path, signature)
        expected = KINDS[name].scores(native, InputMatrix(signature.inputs)(new))
        assert np.array_equal(flavor.load(tmp_path).predict(new), expected)

    def test_several_classes_give_a_column_each(
        self, flavor: Flavor, train: Callable[..., object], tmp_path: Path
    ) -> None:
        data = columns()
        flavor.save(train(data, 3), tmp_path, signature_of(data))
        scores = flavor.load(tmp_path).predict(data)
        assert scores.shape == (ROWS, 3)
        assert np.allclose(scores.sum(axis=1), 1)

    def test_saving_twice_gives_the_same_bytes(
        self, flavor: Flavor, train: Callable[..., object], tmp_path: Path
    ) -> None:
        data = columns()
        for copy in ("a", "b"):
            (tmp_path / copy).mkdir()
            flavor.save(train(data), tmp_path / copy, signature_of(data))
        assert bytes_of(tmp_path / "a") == bytes_of(tmp_path / "b") != {}

    def test_the_inputs_come_back_with_their_categories(
        self, flavor: Flavor, train: Callable[..., object], tmp_path: Path
    ) -> None:
        data = columns()
        flavor.save(train(data), tmp_path, signature_of(data))
        inputs = flavor.load(tmp_path).inputs
        assert [field.name for field in inputs] == ["distance", "hour", "carrier"]
        assert inputs[2].categories == ("AA", "B6", "UA")

    def test_a_category_that_was_never_seen_counts_as_missing(
        self, flavor: Flavor, train: Callable[..., object], tmp_path: Path
    ) -> None:
        data = columns()
        flavor.save(train(data), tmp_path, signature_of(data))
        predictor = flavor.load(tmp_path)
        strange = data | {"carrier": np.full(ROWS, "??", dtype=object)}
        missing = data | {"carrier": np.full(ROWS, None, dtype=object)}
        assert np.array_equal(predictor.predict(strange), predictor.predict(missing))

    def test_rows_do_not_depend_on_their_neighbours(
        self, flavor: Flavor, train: Callable[..., object], tmp_path: Path
    ) -> None:
        data = columns()
        flavor.save(train(data), tmp_path, signature_of(data))
        predictor = flavor.load(tmp_path)
        one = {key: values[7:8] for key, values in data.items()}
        assert predictor.predict(one)[0] == predictor.predict(data)[7]

    def test_a_missing_column_is_named(self, flavor: Flavor, train: Callable[..., object], tmp_path: Path) -> None:
        data = columns()
        flavor.save(train(data), tmp_path, signature_of(data))
        del data["hour"]
        with pytest.raises(InvalidInput, match="hour"):
            flavor.load(tmp_path).predict(data)

    def test_a_column_of_the_wrong_type_is_named(
        self, flavor: Flavor, train: Callable[..., object], tmp_path: Path
    ) -> None:
        data = columns()
        flavor.save(train(data), tmp_path, signature_of(data))
        with pytest.raises(InvalidInput, match="distance"):
            flavor.load(tmp_path).predict(data | {"distance": np.full(ROWS, "far", dtype=object)})

    def test_a_signature_that_does_not_fit_is_refused(
        self, flavor: Flavor, train: Callable[..., object], tmp_path: Path
    ) -> None:
        data = columns()
        if flavor.name == "python":
            pytest.skip("An object of any class does not say what it takes.")
        short = Signature(signature_of(data).inputs[:2], (Field("p", "float64"),))
        with pytest.raises(InvalidInput, match="inputs"):
            flavor.save(train(data), tmp_path, short)
        assert list(tmp_path.iterdir()) == []

    def test_something_else_is_not_saved(self, flavor: Flavor, tmp_path: Path) -> None:
        with pytest.raises(InvalidInput, match="dict"):
            flavor.save({}, tmp_path, signature_of(columns()))

    def test_a_saved_model_scans_clean(self, flavor: Flavor, train: Callable[..., object], tmp_path: Path) -> None:
        data = columns()
        flavor.save(train(data), tmp_path, signature_of(data))
        unsafe = [finding.path for finding in flavor.scan(tmp_path)]
        assert set(unsafe) == ({"model.pkl"} if flavor.name == "python" else set())

    def test_a_file_that_does_not_belong_is_found(
        self, flavor: Flavor, train: Callable[..., object], tmp_path: Path
    ) -> None:
        data = columns()
        flavor.save(train(data), tmp_path, signature_of(data))
        (tmp_path / "extra.pkl").write_bytes(pickle.dumps([1]))
        assert "extra.pkl" in [finding.path for finding in flavor.scan(tmp_path)]

    def test_a_lost_file_is_named(self, flavor: Flavor, train: Callable[..., object], tmp_path: Path) -> None:
        data = columns()
        flavor.save(train(data), tmp_path, signature_of(data))
        (tmp_path / "inputs.json").unlink()
        with pytest.raises(Corrupted, match=r"inputs\.json"):
            flavor.load(tmp_path)

    @pytest.mark.parametrize("cut", [0, 10, 0.5, 0.95])
    def test_a_model_that_was_cut_off_is_corrupted(
        self, flavor: Flavor, train: Callable[..., object], tmp_path: Path, cut: float
    ) -> None:
        data = columns()
        flavor.save(train(data), tmp_path, signature_of(data))
        (model,) = tmp_path.glob("model.*")
        content = model.read_bytes()
        model.write_bytes(content[: int(cut * len(content)) if cut < 1 else int(cut)])
        with pytest.raises(Corrupted, match=r"model\."):
            flavor.load(tmp_path)

    def test_requirements_are_pinned(self, flavor: Flavor) -> None:
        assert all("==" in line for line in flavor.requirements())

    def test_several_threads_get_what_one_does(
        self, flavor: Flavor, train: Callable[..., object], tmp_path: Path
    ) -> None:
        data = columns()
        flavor.save(train(data), tmp_path, signature_of(data))
        predictor = flavor.load(tmp_path)
        parts = [{key: values[at : at + 30] for key, values in data.items()} for at in range(0, ROWS, 30)]
        expected = [predictor.predict(part) for part in parts]
        with ThreadPoolExecutor(4) as pool:
            found = list(pool.map(predictor.predict, parts * 4))
        assert all(np.array_equal(one, other) for one, other in zip(found, expected * 4, strict=True))

    def test_its_outputs_go_by_the_names_of_the_signature(
        self, flavor: Flavor, train: Callable[..., object], tmp_path: Path
    ) -> None:
        data = columns()
        signature = signature_of(data)
        flavor.save(train(data), tmp_path, signature)
        predictor = flavor.load(tmp_path)
        found = outputs_of(predictor, signature.outputs, data)
        assert list(found) == ["probability"]
        assert np.array_equal(np.asarray(found["probability"], np.float64), predictor.predict(data))

    def test_checked_inputs_are_what_it_predicts_from(
        self, flavor: Flavor, train: Callable[..., object], tmp_path: Path
    ) -> None:
        data = columns()
        signature = signature_of(data)
        flavor.save(train(data), tmp_path, signature)
        assert check_inputs(signature, data) == len(flavor.load(tmp_path).predict(data))


class TestLightgbm:
    """What is LightGBM's alone."""

    def test_no_rows_give_no_scores(self, tmp_path: Path) -> None:
        data = columns()
        flavor = backends.load("flavors", "lightgbm")()
        flavor.save(train_lightgbm(data), tmp_path, signature_of(data))
        assert flavor.load(tmp_path).predict({key: values[:0] for key, values in data.items()}).shape == (0,)

    def test_fifty_rows_cost_less_than_600_microseconds(self, tmp_path: Path) -> None:
        data = columns()
        flavor = backends.load("flavors", "lightgbm")()
        flavor.save(train_lightgbm(data, rounds=100), tmp_path, signature_of(data))
        predictor, few = flavor.load(tmp_path), {name: values[:50] for name, values in data.items()}
        assert min(timeit.repeat(lambda: predictor.predict(few), number=1, repeat=50)) < 600e-6

    def test_contributions_and_the_expected_score_sum_to_the_raw_score(self, tmp_path: Path) -> None:
        data = columns()
        flavor, native = backends.load("flavors", "lightgbm")(), train_lightgbm(data)
        flavor.save(native, tmp_path, signature_of(data))
        found = flavor.load(tmp_path).contributions(data)
        raw = native.predict(InputMatrix(signature_of(data).inputs)(data), raw_score=True)  # type: ignore[attr-defined]
        assert found.shape == (ROWS, 3)
        assert np.ptp(raw - found.sum(axis=1)) < 1e-9

    def test_many_rows_shared_out_among_cores_have_the_contributions_of_each_alone(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("os.cpu_count", lambda: 3)
        data = {name: np.tile(values, 4) for name, values in columns().items()}
        flavor = backends.load("flavors", "lightgbm")()
        flavor.save(train_lightgbm(data), tmp_path, signature_of(data))
        predictor = flavor.load(tmp_path)
        together = predictor.contributions(data)
        assert len(together) == 4 * ROWS
        for row in (0, ROWS, 4 * ROWS - 1):
            alone = predictor.contributions({name: values[row : row + 1] for name, values in data.items()})
            assert (together[row] == alone[0]).all()

    def test_several_classes_sum_the_sizes_of_their_contributions(self, tmp_path: Path) -> None:
        data = columns()
        flavor = backends.load("flavors", "lightgbm")()
        flavor.save(train_lightgbm(data, 3), tmp_path, signature_of(data))
        found = flavor.load(tmp_path).contributions(data)
        assert found.shape == (ROWS, 3)
        assert (found >= 0).all()

    def test_inputs_in_another_order_are_refused(self, tmp_path: Path) -> None:
        data = columns()
        native = train_lightgbm(data)
        turned = signature_of({"hour": data["hour"], "distance": data["distance"], "carrier": data["carrier"]})
        with pytest.raises(InvalidInput, match="same order"):
            backends.load("flavors", "lightgbm")().save(native, tmp_path, turned)

    def test_inputs_that_are_fewer_than_the_models_are_corrupted(self, tmp_path: Path) -> None:
        data = columns()
        flavor = backends.load("flavors", "lightgbm")()
        flavor.save(train_lightgbm(data), tmp_path, signature_of(data))
        fewer = signature_of(data).inputs[:2]
        (tmp_path / "inputs.json").write_bytes(msgspec.json.encode(fewer))
        with pytest.raises(Corrupted, match="takes 3"):
            flavor.load(tmp_path)

    def test_predicting_imports_neither_lightgbm_nor_pandas(self, tmp_path: Path) -> None:
        import subprocess
        import sys

        data = columns()
        backends.load("flavors", "lightgbm")().save(train_lightgbm(data), tmp_path, signature_of(data))
        program = (
            "import sys, pathlib, numpy as np\n"
            "from everloop.backends.flavors.lightgbm import open_flavor\n"
            "predictor = open_flavor().load(pathlib.Path(sys.argv[1]))\n"
            "row = {'distance': np.array([9.0]), 'hour': np.array([1]), 'carrier': np.array(['AA'], dtype=object)}\n"
            "assert predictor.predict(row).shape == (1,)\n"
            "print([name for name in ('lightgbm', 'pandas', 'sklearn', 'scipy') if name in sys.modules])\n"
        )
        ran = subprocess.run(
            [sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, check=True, timeout=60
        )
        assert ran.stdout.strip() == "[]"


@pytest.mark.slow
class TestSklearn:
    """What is scikit-learn's alone."""

    @pytest.mark.parametrize("kind", ["RandomForestClassifier", "HistGradientBoostingClassifier"])
    def test_a_tree_that_leads_out_of_itself_is_corrupted(self, tmp_path: Path, kind: str) -> None:
        import sklearn.ensemble

        from everloop.backends.flavors.treebounds import check_trees

        data = columns()
        rows = np.nan_to_num(InputMatrix(signature_of(data).inputs)(data))
        native = getattr(sklearn.ensemble, kind)(random_state=1).fit(rows, late(data))
        check_trees([native])
        if kind == "RandomForestClassifier":
            native.estimators_[3].tree_.children_left[0] = 1 << 40
        else:
            native._predictors[3][0].nodes["left"][0] = 1 << 20
        with pytest.raises(Corrupted, match="leads out"):
            check_trees([native])

    def test_a_class_of_ones_own_is_kept_with_its_source_and_refused_by_name(self, tmp_path: Path) -> None:
        from everloop.kernel.errors import Refused

        flavor = backends.load("flavors", "sklearn")()
        flavor.save(Sneaky(), tmp_path, signature_of(columns()))
        with pytest.raises(Refused, match="Sneaky"):
            flavor.load(tmp_path)
        assert (tmp_path / "code/tests/backends/pythonmodels.py").is_file()
        assert ["Sneaky" in problem for problem in flavor.code_in(tmp_path)] == [True]

    def test_a_class_of_ones_own_is_loaded_by_who_trusts_it(self, tmp_path: Path) -> None:
        data = columns()
        flavor = backends.load("flavors", "sklearn")()
        flavor.save(Sneaky(), tmp_path, signature_of(data))
        scores = flavor.load_trusted(tmp_path).predict(data)
        assert np.array_equal(scores, data["distance"], equal_nan=True)

    def test_a_linear_model_says_what_moved_its_score(self, tmp_path: Path) -> None:
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        data = {"a": np.arange(9.0), "b": np.arange(9.0) ** 2}
        rows, label = np.column_stack(list(data.values())), np.arange(9) > 4
        native = make_pipeline(StandardScaler(), LogisticRegression()).fit(rows, label)
        flavor = backends.load("flavors", "sklearn")()
        flavor.save(native, tmp_path, signature_of(data))
        found = flavor.load(tmp_path).contributions(data)
        assert np.allclose(found.sum(axis=1) + native[-1].intercept_, native.decision_function(rows))

    def test_several_labels_give_a_column_each(self, tmp_path: Path) -> None:
        from sklearn.ensemble import RandomForestClassifier

        data = {"a": np.arange(40.0), "b": np.arange(40.0) % 7}
        rows = np.column_stack(list(data.values()))
        native = RandomForestClassifier(5, random_state=1).fit(rows, np.column_stack([rows[:, 0] > 20, rows[:, 1] > 3]))
        flavor = backends.load("flavors", "sklearn")()
        flavor.save(native, tmp_path, signature_of(data, ("late", "far")))
        found = flavor.load(tmp_path).predict(data)
        assert np.array_equal(found, np.column_stack([each[:, 1] for each in native.predict_proba(rows)]))

    def test_an_untrusted_type_in_a_file_is_refused_before_it_is_made(self, tmp_path: Path) -> None:
        import skops.io
        from sklearn.preprocessing import FunctionTransformer

        from everloop.kernel.errors import Refused

        flavor = backends.load("flavors", "sklearn")()
        (tmp_path / "model.skops").write_bytes(skops.io.dumps(FunctionTransformer(func=print)))
        (tmp_path / "inputs.json").write_bytes(b"[]")
        with pytest.raises(Refused, match="print"):
            flavor.load(tmp_path)
        assert [finding.path for finding in flavor.scan(tmp_path)] == ["model.skops"]

    def test_a_pipeline_fitted_on_a_frame_is_asked_with_a_frame(self, tmp_path: Path) -> None:
        import pandas as pd
        from sklearn.compose import ColumnTransformer
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import OneHotEncoder

        data = columns()
        del data["distance"]
        encode = ColumnTransformer(
            [("c", OneHotEncoder(handle_unknown="ignore"), ["carrier"])], remainder="passthrough"
        )
        native = make_pipeline(encode, LogisticRegression()).fit(pd.DataFrame(data), late(data))
        flavor = backends.load("flavors", "sklearn")()
        flavor.save(native, tmp_path, signature_of(data))
        expected = native.predict_proba(pd.DataFrame(data))[:, 1]
        assert np.array_equal(flavor.load(tmp_path).predict(data), expected)

    def test_attribution_is_refused(self, tmp_path: Path) -> None:
        from everloop.kernel.errors import Refused

        data = columns()
        flavor = backends.load("flavors", "sklearn")()
        flavor.save(train_sklearn(data), tmp_path, signature_of(data))
        with pytest.raises(Refused, match="HistGradientBoosting"):
            flavor.load(tmp_path).contributions(data)
