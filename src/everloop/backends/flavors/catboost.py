"""CatBoost: the model as its own binary form (cbm), the inputs with their categories as JSON beside it."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from everloop.backends.flavors import modelfolder
from everloop.kernel.errors import Corrupted, InvalidInput, Misconfigured, Refused
from everloop.registry.entities import Field, Finding, Signature

if TYPE_CHECKING:
    import numpy as np

    from everloop.registry.trees.table import TreeTable

MODEL = "model.cbm"
_MISSING = "NaN"
"""What CatBoost calls a category that is not there."""
_KINDS = {"Poisson": "Exponent", "Tweedie": "Exponent", "RMSEWithUncertainty": "RMSEWithUncertainty"}
"""What CatBoost's own `predict` gives for a regression, where that is not the sum of the trees."""


class CatboostPredictor:
    """A model that is asked by column names, on one thread.

    CatBoost has categories of its own: columns that it was trained to take as such get the strings themselves (whole
    numbers as their digits), and one that is missing is the string `NaN`. Where no column is, it gets one matrix.
    """

    def __init__(self, model: Any, inputs: tuple[Field, ...]) -> None:
        from everloop.registry.columns import InputMatrix

        self.inputs = inputs
        self._model = model  # `Any`: CatBoost is untyped.
        self._categorical = set(model.get_cat_feature_indices())
        self._matrix = InputMatrix(inputs)
        self._classes = len(model.classes_) if _is_classifier(model) else 0

    def predict(self, columns: Mapping[str, np.ndarray]) -> np.ndarray:
        """Probabilities for a classifier (of the second class, when there are two), else the prediction."""
        import numpy as np

        rows = self._rows(columns)
        if not len(rows):
            return np.empty((0, self._classes)) if self._classes > 2 else np.empty(0)
        kind = "Probability" if self._classes else _KINDS.get(_loss(self._model), "RawFormulaVal")
        scores = np.asarray(self._model.predict(rows, kind, thread_count=1), dtype=np.float64)
        return scores[:, 1] if scores.ndim == 2 and scores.shape[1] == 2 and self._classes == 2 else scores

    def contributions(self, columns: Mapping[str, np.ndarray]) -> np.ndarray:
        """TreeSHAP of each input; with several classes, the sum of their sizes."""
        import catboost
        import numpy as np

        rows = catboost.Pool(self._rows(columns), cat_features=sorted(self._categorical))
        try:
            found = self._model.get_feature_importance(rows, type="ShapValues", thread_count=1)
        except catboost.CatBoostError as error:
            raise Refused(f"CatBoost cannot say what moved the scores ({error}).") from None
        shares = np.asarray(found, dtype=np.float64)[..., :-1]
        return np.asarray(abs(shares).sum(axis=1)) if shares.ndim == 3 else shares

    def _rows(self, columns: Mapping[str, np.ndarray]) -> np.ndarray:
        import numpy as np

        matrix = self._matrix(columns)
        if not self._categorical:
            return matrix
        rows = matrix.astype(object)
        for at in self._categorical:
            rows[:, at] = _categories(columns[self.inputs[at].name])
        return np.ascontiguousarray(rows)


class CatboostFlavor:
    """Models of CatBoost: a `CatBoost`, `CatBoostClassifier` or `CatBoostRegressor`.

    A string input must be one of the model's `cat_features` or one that was trained on the positions of `InputMatrix`.
    Text and embedding features are refused. CatBoost writes the time and a random id of the training into its file;
    both are set to nothing, so that equal models have equal bytes.
    """

    name = "catboost"

    def save(self, native: object, folder: Path, signature: Signature) -> None:
        """Write the model and the inputs."""
        import catboost

        if not isinstance(native, catboost.CatBoost):
            raise InvalidInput(
                f"A {type(native).__name__} is no CatBoost model.", hint="Pass a fitted CatBoostClassifier or the like."
            )
        model: Any = native
        if not model.is_fitted():
            raise InvalidInput(f"The {type(native).__name__} is not fitted.", hint="Call its fit first.")
        names = [str(name) for name in model.feature_names_]
        own = names != [str(at) for at in range(len(names))]
        modelfolder.check_count(len(names), signature, names if own else ())
        if model.get_text_feature_indices() or model.get_embedding_feature_indices():
            raise InvalidInput("The model takes texts or embeddings.", hint="Keep it as a model of the flavor python.")
        settled = model.copy()
        for key in ("model_guid", "train_finish_time"):
            settled.get_metadata()[key] = ""
        settled.save_model(str(folder / MODEL), format="cbm")
        modelfolder.write_fields(folder, signature)

    def load(self, folder: Path) -> CatboostPredictor:
        """The model of a folder: its file runs nothing."""
        import catboost

        fields, data = modelfolder.read_fields(folder), modelfolder.read(folder, MODEL)
        if not data.startswith(b"CBM1") or int.from_bytes(data[4:8], "little") + 8 > len(data):
            raise Corrupted(f"{MODEL} is no whole CatBoost model.", hint="Register the model again.")
        model = catboost.CatBoost()
        try:
            model.load_model(blob=data)
        except catboost.CatBoostError as error:
            raise Corrupted(f"{MODEL} is no CatBoost model ({error}).", hint="Register the model again.") from None
        if len(model.feature_names_) != len(fields):
            raise Corrupted(f"{MODEL} takes {len(model.feature_names_)} inputs, but inputs.json lists {len(fields)}.")
        return CatboostPredictor(model, fields)

    def scan(self, folder: Path) -> list[Finding]:
        """Every file that is neither of the two."""
        return modelfolder.strangers(folder, "CatBoost", (MODEL, modelfolder.INPUTS))

    def trees(self, folder: Path) -> TreeTable | None:
        """The trees of a folder's model, by way of CatBoost's own JSON."""
        from everloop.backends.flavors.trees_catboost import trees_of

        predictor = self.load(folder)
        if predictor._categorical:
            return None
        with tempfile.NamedTemporaryFile(suffix=".json") as file:
            predictor._model.save_model(file.name, format="json")
            return trees_of(msgspec.json.decode(Path(file.name).read_bytes()))

    def requirements(self) -> list[str]:
        """CatBoost and NumPy, as installed."""
        return modelfolder.pinned(("catboost", "numpy"))


def open_flavor() -> CatboostFlavor:
    """The flavor.

    Raises:
        Misconfigured: CatBoost is not installed.
    """
    if find_spec("catboost") is None:
        raise Misconfigured("CatBoost is not installed.", hint="pip install 'everloop[catboost]'")
    return CatboostFlavor()


def _is_classifier(model: Any) -> bool:
    return _loss(model) in ("Logloss", "CrossEntropy", "Focal", "MultiClass", "MultiClassOneVsAll")


def _loss(model: Any) -> str:
    """The name of what was minimised, without the parameters that follow it (`Tweedie:variance_power=1.5`)."""
    return str(model.get_all_params().get("loss_function", "")).partition(":")[0]


def _categories(values: np.ndarray) -> list[str]:
    return [_category(value) for value in values.tolist()]


def _category(value: object) -> str:
    """A category as CatBoost compares it: numbers have been whole ones when it was trained."""
    if value is None or value != value:
        return _MISSING
    return str(int(value)) if isinstance(value, float) else str(value)
