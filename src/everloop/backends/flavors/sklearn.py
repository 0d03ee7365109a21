"""scikit-learn: the estimator in the skops format, which is read without running anything that is not on a list.

An estimator that holds classes or functions of the user's is kept too, with the source of their modules; it is code,
and is loaded only when somebody trusts it.
"""

from __future__ import annotations

import sys
from collections.abc import Collection, Mapping
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from everloop.backends.flavors import modelfolder, skopsfile, sources
from everloop.backends.flavors.treebounds import check_trees
from everloop.kernel.errors import Corrupted, InvalidInput, Misconfigured, Refused
from everloop.registry.entities import Field, Finding, Signature

if TYPE_CHECKING:
    import numpy as np

    from everloop.registry.trees.table import TreeTable

MODEL = "model.skops"
TRUSTED = (
    "functools.partial",
    "sklearn._loss.link.IdentityLink",
    "sklearn._loss.link.Interval",
    "sklearn._loss.link.LogLink",
    "sklearn._loss.link.LogitLink",
    "sklearn._loss.link.MultinomialLogit",
    "sklearn._loss.loss.HalfBinomialLoss",
    "sklearn._loss.loss.HalfMultinomialLoss",
    "sklearn._loss.loss.HalfPoissonLoss",
    "sklearn._loss.loss.HalfSquaredError",
    "sklearn._loss.loss.HalfTweedieLoss",
    "sklearn._loss.loss.HalfTweedieLossIdentity",
    "sklearn.calibration._CalibratedClassifier",
    "sklearn.calibration._SigmoidCalibration",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn.neural_network._stochastic_optimizers.AdamOptimizer",
    "sklearn.neural_network._stochastic_optimizers.SGDOptimizer",
    "sklearn.tree._tree.Tree",
    "sklearn.utils._bunch.Bunch",
    "sklearn.utils.validation.check_array",
)
"""Types that hold fitted numbers and run nothing when they are made; skops trusts scikit-learn's estimators.

Histograms with categories hold `partial(check_array, …)`; what a partial would call must be trusted by itself.
"""


class SklearnPredictor:
    """An estimator that is asked by column names.

    One that was fitted on a data frame gets a data frame, any other the matrix of `InputMatrix`.
    """

    def __init__(self, estimator: Any, inputs: tuple[Field, ...]) -> None:
        from everloop.registry.columns import InputMatrix

        self.inputs = inputs
        self._estimator = estimator  # `Any`: scikit-learn is untyped.
        self._matrix = InputMatrix(inputs)

    def predict(self, columns: Mapping[str, np.ndarray]) -> np.ndarray:
        """Probabilities where the estimator has them (of the second class, when there are two), else its prediction.

        A column for each class, or for each output: an estimator of several labels gives the last class's probability
        of each.
        """
        import numpy as np

        rows = self._rows(columns)
        if not hasattr(self._estimator, "predict_proba"):
            return _floats(self._estimator.predict(rows))
        scores = self._estimator.predict_proba(rows)
        if isinstance(scores, list):  # Several outputs: of each the second class.
            return np.column_stack([_floats(each)[:, -1] for each in scores])
        found = _floats(scores)
        return found[:, 1] if found.shape[1] == 2 else found

    def contributions(self, columns: Mapping[str, np.ndarray]) -> np.ndarray:
        """Of a linear model behind a `StandardScaler`: each coefficient times the distance of its input from its mean.

        On the scale of the linear predictor; with several classes or outputs, the sum of their sizes. Anything else
        cannot say.
        """
        import numpy as np

        scaler, linear = _linear(self._estimator)
        if linear is None:
            raise Refused(
                f"A {type(self._estimator).__name__} cannot say how much each input moved a score.",
                hint="Use a linear model behind a StandardScaler (which knows the means), or a flavor of trees.",
            )
        rows = np.asarray(self._rows(columns), dtype=np.float64)
        shares = scaler.transform(rows) * np.atleast_2d(linear.coef_)[:, None, :]
        return _floats(shares[0] if len(shares) == 1 else abs(shares).sum(axis=0))

    def _rows(self, columns: Mapping[str, np.ndarray]) -> Any:
        return self._frame(columns) if hasattr(self._estimator, "feature_names_in_") else self._matrix(columns)

    def _frame(self, columns: Mapping[str, np.ndarray]) -> object:
        import pandas as pd

        self._matrix(columns)
        return pd.DataFrame({name: columns[name] for name in self._estimator.feature_names_in_})


class SklearnFlavor:
    """Models of scikit-learn: any fitted estimator or pipeline that skops can write."""

    name = "sklearn"

    def save(self, native: object, folder: Path, signature: Signature) -> None:
        """Write the estimator and the inputs, and the source of classes that are neither scikit-learn's nor known."""
        _check_fit(native, signature)
        data = skopsfile.written(native)
        (folder / MODEL).write_bytes(data)
        modelfolder.write_fields(folder, signature)
        modules = [name.rpartition(".")[0] for name in unknown_types(data)]
        if any(map(sources.own, modules)):
            sources.keep(folder, modules)

    def load(self, folder: Path) -> SklearnPredictor:
        """The estimator, when every type in it is trusted."""
        inputs = modelfolder.read_fields(folder)
        unknown = unknown_types(modelfolder.read(folder, MODEL))
        if unknown:
            raise Refused(
                f"The model holds types that are not trusted: {', '.join(unknown)}.",
                hint="Build it from scikit-learn's own estimators, or: everloop models trust NAME VERSION.",
            )
        return SklearnPredictor(from_skops(modelfolder.read(folder, MODEL)), inputs)

    def code_in(self, folder: Path) -> list[str]:
        """The types that are not trusted."""
        return [f"The type {name} is not trusted." for name in unknown_types(modelfolder.read(folder, MODEL))]

    def load_trusted(self, folder: Path) -> SklearnPredictor:
        """The estimator with all of its types, those out of its own modules too."""
        inputs, data = modelfolder.read_fields(folder), modelfolder.read(folder, MODEL)
        sys.path.insert(0, str(folder / sources.CODE))
        return SklearnPredictor(skopsfile.library().loads(data, trusted=[*TRUSTED, *unknown_types(data)]), inputs)

    def scan(self, folder: Path) -> list[Finding]:
        """Types that are not trusted, and every file that does not belong to the model."""
        kept = {name for name in modelfolder.files_of(folder) if name.startswith(f"{sources.CODE}/")}
        found = modelfolder.strangers(folder, "scikit-learn", {MODEL, modelfolder.INPUTS, sources.REQUIREMENTS} | kept)
        if not (folder / MODEL).is_file():
            return found
        try:
            return [*found, *(Finding(MODEL, problem) for problem in self.code_in(folder))]
        except Corrupted as error:
            return [*found, Finding(MODEL, error.message)]

    def trees(self, folder: Path) -> TreeTable | None:
        """The trees of a folder's estimator."""
        from everloop.backends.flavors.trees_sklearn import trees_of

        predictor = self.load(folder)
        return trees_of(predictor._estimator, _numbers(predictor))

    def graph(self, folder: Path) -> bytes | None:
        """The folder's estimator as ONNX."""
        from everloop.backends.flavors.onnx_sklearn import graph_of

        predictor = self.load(folder)
        own = [str(name) for name in getattr(predictor._estimator, "feature_names_in_", _numbers(predictor))]
        return graph_of(predictor._estimator, len(own)) if own and own == _numbers(predictor) else None

    def requirements(self) -> list[str]:
        """scikit-learn and what reads its models, as installed; pandas where it is, for estimators fitted on frames."""
        names = ["scikit-learn", "skops", "numpy", *(["pandas"] if find_spec("pandas") else [])]
        return [f"{name}=={version(name)}" for name in names]


def open_flavor() -> SklearnFlavor:
    """The flavor.

    Raises:
        Misconfigured: scikit-learn or skops is not installed.
    """
    if find_spec("sklearn") is None or find_spec("skops") is None:
        raise Misconfigured("scikit-learn or skops is not installed.", hint="pip install 'everloop[sklearn]'")
    return SklearnFlavor()


def _numbers(predictor: SklearnPredictor) -> list[str]:
    """The names of the inputs, when the estimator is given them as numbers; one fitted on a frame is given strings."""
    frame = hasattr(predictor._estimator, "feature_names_in_")
    texts = frame and any(field.type in ("string", "bytes") for field in predictor.inputs)
    return [] if texts else [field.name for field in predictor.inputs]


def _check_fit(native: object, signature: Signature) -> None:
    if not hasattr(native, "predict") or not hasattr(native, "get_params"):
        raise InvalidInput(
            f"A {type(native).__name__} is no scikit-learn estimator.", hint="Pass a fitted estimator or pipeline."
        )
    if _is_unfitted(native):
        raise InvalidInput(f"The {type(native).__name__} is not fitted.", hint="Call its fit first.")
    inputs = [field.name for field in signature.inputs]
    names = [str(name) for name in getattr(native, "feature_names_in_", inputs)]
    count = getattr(native, "n_features_in_", len(inputs))
    if set(names) != set(inputs) or count != len(inputs):
        raise InvalidInput(
            f"The model was trained on {count} inputs ({', '.join(names)}), the signature has {len(inputs)}"
            f" ({', '.join(inputs)}).",
            hint="Give both the same inputs.",
        )


def _is_unfitted(native: object) -> bool:
    """Whether one of scikit-learn's own was never fitted; only those keep to the rule that fitted attributes end so."""
    from sklearn.exceptions import NotFittedError
    from sklearn.utils.validation import check_is_fitted

    try:
        check_is_fitted(native)
    except NotFittedError:
        return type(native).__module__.startswith("sklearn.")
    except TypeError:  # It cannot even be fitted.
        return False
    return False


def unknown_types(data: bytes) -> list[str]:
    """The types in skops's bytes that neither skops nor we know to be harmless.

    Raises:
        Corrupted: it is no skops file.
    """
    try:
        found = skopsfile.library().get_untrusted_types(data=data)
    except Exception as error:  # noqa: BLE001 - a hostile file can make skops raise anything
        raise Corrupted(f"{MODEL} is not a skops file ({error}).", hint="Register the model again.") from None
    return sorted(set(found) - set(TRUSTED))


def from_skops(data: bytes, trusted: Collection[str] = TRUSTED) -> Any:
    """The estimator (`Any`: scikit-learn is untyped) in skops's bytes, of trusted types only.

    Raises:
        Refused: it holds others.
        Corrupted: a tree in it leads out of itself.
    """
    skops = skopsfile.library()
    try:
        found = skops.loads(data, trusted=list(trusted))
    except skops.exceptions.UntrustedTypesFoundException as error:
        raise Refused(str(error)) from None
    check_trees(found)
    return found


def _linear(estimator: Any) -> tuple[Any, Any]:
    """The scaler and the linear model of a pipeline of just these two, or nothing."""
    steps = [step for _, step in getattr(estimator, "steps", [])]
    fits = len(steps) == 2 and type(steps[0]).__name__ == "StandardScaler" and hasattr(steps[1], "coef_")
    return (steps[0], steps[1]) if fits and steps[0].with_mean else (None, None)


def _floats(scores: Any) -> np.ndarray:
    import numpy as np

    return np.asarray(scores, dtype=np.float64)
