"""MLflow: a folder that its clients logged, loaded as it is.

Models of scikit-learn, LightGBM, XGBoost, CatBoost and ONNX are loaded by their own libraries, without MLflow, where
their files hold nothing but numbers and known classes; they give what MLflow's `python_function` gives (a classifier's
labels, unless it was logged with another `pyfunc_predict_fn`). Everything else is code: it is loaded by MLflow itself,
once somebody trusts it, in a sandbox.
"""

from __future__ import annotations

import io
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from everloop.backends.flavors import modelfolder
from everloop.backends.flavors.python import PythonPredictor
from everloop.backends.flavors.treebounds import check_trees
from everloop.kernel.errors import Corrupted, InvalidInput, Misconfigured, Refused
from everloop.registry import forms, mlmodel, pickles
from everloop.registry.allowlists import LIGHTGBM, SKLEARN
from everloop.registry.entities import Field, Finding, Signature
from everloop.registry.flavor import Predictor

if TYPE_CHECKING:
    import numpy as np

_ALLOWED = {"mlflow.sklearn": SKLEARN, "mlflow.lightgbm": LIGHTGBM | SKLEARN}


class MlflowFlavor:
    """Models that MLflow's clients logged or saved; `save` takes the path of such a folder."""

    name = "mlflow"

    def save(self, native: object, folder: Path, signature: Signature) -> None:
        """Copy a folder that MLflow's `save_model` wrote.

        The signature must be that of the folder (`everloop.registry.mlmodel`).
        """
        source = Path(native) if isinstance(native, str | Path) else None
        if source is None or not (source / mlmodel.NAME).is_file():
            raise InvalidInput(f"A {type(native).__name__} is no folder of MLflow's.", hint="Pass a path with MLmodel.")
        known = mlmodel.read((source / mlmodel.NAME).read_bytes()).signature
        if [field.name for field in known.inputs] != [field.name for field in signature.inputs]:
            raise InvalidInput(
                f"The model takes {len(known.inputs)} inputs, the signature has {len(signature.inputs)} others.",
                hint="Take its own: mlmodel.read(…).signature.",
            )
        shutil.copytree(source, folder, dirs_exist_ok=True)

    def load(self, folder: Path) -> Predictor:
        """The model, by its own library."""
        code = self.code_in(folder)
        if code:
            raise Refused(" ".join(code)[:1500], hint="everloop models trust NAME VERSION --reason '…' lets it run.")
        known = _read(folder)
        signature = known.signature
        return PythonPredictor(_NATIVE[known.loader](folder, known), signature.inputs, signature.outputs)

    def code_in(self, folder: Path) -> list[str]:
        """What MLflow would run of it that is not known to be safe."""
        known = _read(folder)
        found = [f"It brings the code in {known.code}."] if known.code else []
        if known.loader not in _NATIVE:
            return [*found, f"It is loaded by {known.loader or 'nothing that it names'}, which runs what it finds."]
        path = _data(folder, known)
        if path.suffix not in _PICKLED and not _is_pickled(known):
            return [*found, *_skops_problems(path, known.loader)]
        return [*found, *pickles.problems(path.read_bytes(), _ALLOWED.get(known.loader, frozenset()))]

    def load_trusted(self, folder: Path) -> Predictor:
        """The model, by MLflow itself."""
        signature = _read(folder).signature  # Before MLflow is imported, which takes long, for a model without one.
        try:
            import mlflow.pyfunc
        except ModuleNotFoundError as error:
            raise Misconfigured(
                f"The model is loaded by MLflow, and {error.name} is not installed.", hint="pip install mlflow"
            ) from None
        loaded = mlflow.pyfunc.load_model(str(folder))
        return PythonPredictor(_Framed(loaded.predict, signature), signature.inputs, signature.outputs)

    def scan(self, folder: Path) -> list[Finding]:
        """What would run when the model is loaded."""
        return [Finding(mlmodel.NAME, problem) for problem in self.code_in(folder)]

    def requirements(self) -> list[str]:
        """What MLflow's models need here beside their own library."""
        return modelfolder.pinned(("numpy", "pandas", "pyyaml"))

    def requirements_of(self, folder: Path) -> list[str]:
        """What MLflow itself found the model to need."""
        path = folder / "requirements.txt"
        lines = path.read_text().splitlines() if path.is_file() else []
        return [line.strip() for line in lines if line.strip() and not line.startswith(("#", "-"))]


class _Framed:
    """A function of a data frame (or of one nameless tensor, or of tensors by name), as a model of columns."""

    def __init__(self, function: Any, signature: Signature) -> None:
        self._function = function  # `Any`: it belongs to a library without types.
        self._tensors = any(field.shape for field in signature.inputs)
        self._formed = [field for field in signature.inputs if field.form]
        self._alone = [field.name for field in signature.inputs] == [mlmodel.UNNAMED_INPUT]

    def infer(self, columns: Mapping[str, np.ndarray]) -> object:
        import pandas as pd

        columns = {**columns, **{field.name: _meant(field, columns[field.name]) for field in self._formed}}
        if self._alone:
            found = self._function(columns[mlmodel.UNNAMED_INPUT])
        else:
            found = self._function(dict(columns) if self._tensors else pd.DataFrame(columns))
        if isinstance(found, pd.DataFrame):
            parts = {str(name): found[name].to_numpy() for name in found.columns}
            return next(iter(parts.values())) if len(parts) == 1 else parts
        return found


def _meant(field: Field, texts: np.ndarray) -> Any:
    """What the texts of a column stand for: times as pandas has them, all else as JSON decodes it."""
    import numpy as np
    import pandas as pd

    values = forms.values_of(field, texts.tolist())
    if forms.is_time(field):
        return pd.to_datetime(pd.Series(values, dtype=object), utc=any(it and it.tzinfo for it in values))
    found = np.empty(len(values), dtype=object)
    found[:] = values
    return found


def open_flavor() -> MlflowFlavor:
    """The flavor; what a model needs is looked for when it is loaded."""
    return MlflowFlavor()


def _read(folder: Path) -> mlmodel.MlModel:
    return mlmodel.read(modelfolder.read(folder, mlmodel.NAME))


def _data(folder: Path, known: mlmodel.MlModel) -> Path:
    """The file that holds the model itself.

    Raises:
        Corrupted: there is none, or it is not in the folder.
    """
    own = known.flavors.get(known.loader.removeprefix("mlflow."), {})
    name = str(own.get("pickled_model") or own.get("data") or "")
    path = (folder / name).resolve()
    if not name or not path.is_relative_to(folder.resolve()) or not path.is_file():
        raise Corrupted(f"The model has no {name or 'file that it names'}.", hint="Log the model again.")
    return path


_PICKLED = frozenset({".pkl", ".pickle", ".joblib"})


def _is_pickled(known: mlmodel.MlModel) -> bool:
    own = known.flavors.get(known.loader.removeprefix("mlflow."), {})
    return known.loader == "mlflow.sklearn" and own.get("serialization_format") != "skops"


def _skops_problems(path: Path, loader: str) -> list[str]:
    from everloop.backends.flavors import sklearn

    if path.suffix != ".skops":
        return []
    unknown = set(sklearn.unknown_types(path.read_bytes())) - set(_trusted(loader))
    return [f"The type {name} is not trusted." for name in sorted(unknown)]


def _trusted(loader: str) -> list[str]:
    """The types that skops may make of a library's models."""
    from everloop.backends.flavors import sklearn

    return [*sklearn.TRUSTED, *(".".join(names) for names in _ALLOWED.get(loader, ()))]


def _from_skops(path: Path, loader: str) -> Any:
    from everloop.backends.flavors import sklearn

    return sklearn.from_skops(path.read_bytes(), _trusted(loader))


def _sklearn(folder: Path, known: mlmodel.MlModel) -> _Framed:
    path = _data(folder, known)
    if _is_pickled(known):
        estimator: Any = _unpickled(path)
    else:
        estimator = _from_skops(path, known.loader)
    function = str(known.flavors["python_function"].get("predict_fn") or "predict")
    if function not in ("predict", "predict_proba", "predict_log_proba", "decision_function", "transform", "score"):
        raise Refused(f"{function} is no function of an estimator.", hint="Log it with pyfunc_predict_fn='predict'.")
    return _Framed(getattr(estimator, function), known.signature)


def _lightgbm(folder: Path, known: mlmodel.MlModel) -> _Framed:
    import lightgbm

    path = _data(folder, known)
    if path.suffix == ".skops":
        model = _from_skops(path, known.loader)
    else:
        model = _unpickled(path) if path.suffix in _PICKLED else lightgbm.Booster(model_file=str(path))
    return _Framed(model.predict, known.signature)


def _xgboost(folder: Path, known: mlmodel.MlModel) -> _Framed:
    import xgboost

    from everloop.backends.flavors.xgboost import check_whole

    check_whole(_data(folder, known).read_bytes())
    kind = str(known.flavors["xgboost"].get("model_class", "")).rpartition(".")[2]
    if kind in ("XGBClassifier", "XGBRegressor", "XGBRFClassifier", "XGBRFRegressor", "XGBRanker"):
        model = getattr(xgboost, kind)(n_jobs=1)
        model.load_model(_data(folder, known))
        return _Framed(model.predict, known.signature)
    booster = xgboost.Booster({"nthread": 1}, model_file=str(_data(folder, known)))
    return _Framed(lambda rows: booster.predict(xgboost.DMatrix(rows, nthread=1)), known.signature)


def _catboost(folder: Path, known: mlmodel.MlModel) -> _Framed:
    import catboost

    own = known.flavors["catboost"]
    kind = str(own.get("model_type", "CatBoost"))
    if kind not in ("CatBoost", "CatBoostClassifier", "CatBoostRegressor", "CatBoostRanker"):
        raise Refused(f"{kind} is no class of CatBoost's.")
    model = getattr(catboost, kind)()
    model.load_model(str(_data(folder, known)), format=str(own.get("save_format", "cbm")))
    return _Framed(lambda rows: _flat(model.predict(rows, thread_count=1)), known.signature)


def _onnx(folder: Path, known: mlmodel.MlModel) -> Any:
    from everloop.backends.flavors.onnx import OnnxPredictor, session_of

    session = session_of(_data(folder, known).read_bytes())
    if session is None:
        raise Corrupted("model.onnx is no whole ONNX model.", hint="Log the model again.")
    return OnnxPredictor(session, known.signature.inputs, known.signature.outputs)


_NATIVE = {
    "mlflow.sklearn": _sklearn,
    "mlflow.lightgbm": _lightgbm,
    "mlflow.xgboost": _xgboost,
    "mlflow.catboost": _catboost,
    "mlflow.onnx": _onnx,
}


def _unpickled(path: Path) -> Any:
    """An object out of a pickle that names nothing but what its library's list allows (`Any`: libraries' own)."""
    import pickle

    found = pickle.load(io.BytesIO(path.read_bytes()))  # noqa: S301 - `code_in` has read every opcode of it
    check_trees(found)
    return found


def _flat(found: Any) -> Any:
    """CatBoost gives the labels of several classes as a column."""
    return found[:, 0] if getattr(found, "ndim", 1) == 2 and found.shape[1] == 1 else found
