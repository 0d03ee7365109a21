"""XGBoost: the booster as UBJSON, the inputs with their categories as JSON beside it."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from everloop.backends.flavors import modelfolder, ubjson
from everloop.kernel.errors import Corrupted, InvalidInput, Misconfigured
from everloop.registry.entities import Field, Finding, Signature

if TYPE_CHECKING:
    import numpy as np

    from everloop.registry.trees.table import TreeTable

MODEL = "model.ubj"


class XgboostPredictor:
    """A booster that is asked by column names, in place and on one thread.

    `inplace_predict` is the call of XGBoost that several threads may make at once; TreeSHAP goes by way of a matrix of
    its own for each call.
    """

    def __init__(self, booster: Any, inputs: tuple[Field, ...]) -> None:
        from everloop.registry.columns import InputMatrix

        self.inputs = inputs
        self._booster = booster  # `Any`: XGBoost's types are not checked.
        self._matrix = InputMatrix(inputs)

    def predict(self, columns: Mapping[str, np.ndarray]) -> np.ndarray:
        """Scores: probabilities for a classifier."""
        import numpy as np

        matrix = self._matrix(columns)
        if not len(matrix):
            return np.empty(0)
        return np.asarray(self._booster.inplace_predict(matrix), dtype=np.float64)

    def contributions(self, columns: Mapping[str, np.ndarray]) -> np.ndarray:
        """TreeSHAP of each input; with several classes, the sum of their sizes."""
        import numpy as np
        import xgboost

        rows = xgboost.DMatrix(self._matrix(columns), nthread=1)
        found = np.asarray(self._booster.predict(rows, pred_contribs=True), dtype=np.float64)[..., :-1]
        return np.asarray(abs(found).sum(axis=1)) if found.ndim == 3 else found


class XgboostFlavor:
    """Models of XGBoost: a `Booster`, or an `XGB…` estimator that holds one.

    Categorical inputs reach the booster as the positions of their categories (`InputMatrix`), so it is trained on
    numbers, with `feature_types` of `c` for them or without.
    """

    name = "xgboost"

    def save(self, native: object, folder: Path, signature: Signature) -> None:
        """Write the trees (those up to the best iteration, where training stopped early) and the inputs."""
        booster: Any = _booster_of(native)
        if not hasattr(booster, "save_raw") or not hasattr(booster, "num_features"):
            raise InvalidInput(
                f"A {type(native).__name__} is no XGBoost model.", hint="Pass what xgboost.train returned."
            )
        modelfolder.check_count(booster.num_features(), signature, booster.feature_names or ())
        stopped = booster.attr("best_iteration")
        kept = booster if stopped is None else booster[: int(stopped) + 1]
        (folder / MODEL).write_bytes(bytes(kept.save_raw("ubj")))
        modelfolder.write_fields(folder, signature)

    def load(self, folder: Path) -> XgboostPredictor:
        """The booster of a folder: UBJSON runs nothing."""
        import xgboost

        fields, data = modelfolder.read_fields(folder), modelfolder.read(folder, MODEL)
        check_whole(data)
        booster = xgboost.Booster({"nthread": 1})
        try:
            booster.load_model(bytearray(data))
        except xgboost.core.XGBoostError as error:
            first = str(error).strip().splitlines()[0]
            raise Corrupted(f"{MODEL} is no XGBoost model ({first}).", hint="Register the model again.") from None
        if booster.num_features() != len(fields):
            raise Corrupted(f"{MODEL} takes {booster.num_features()} inputs, but inputs.json lists {len(fields)}.")
        booster.set_param({"nthread": 1})
        booster.feature_names = None  # The columns are already in their order, and checking names copies them.
        return XgboostPredictor(booster, fields)

    def scan(self, folder: Path) -> list[Finding]:
        """Every file that is neither of the two: UBJSON and JSON run nothing."""
        return modelfolder.strangers(folder, "XGBoost", (MODEL, modelfolder.INPUTS))

    def trees(self, folder: Path) -> TreeTable | None:
        """The trees of a folder's booster."""
        from everloop.backends.flavors.trees_xgboost import trees_of

        return trees_of(self.load(folder)._booster)

    def requirements(self) -> list[str]:
        """XGBoost (or its build for processors alone) and NumPy, as installed."""
        return modelfolder.pinned(("xgboost", "xgboost-cpu", "numpy"))


def _booster_of(native: Any) -> Any:
    """The booster that an estimator holds; anything else as it is. (`Any`: XGBoost's types are not checked.)"""
    if not hasattr(native, "get_booster"):
        return native
    missing = getattr(native, "missing", None)
    if missing is not None and missing == missing:
        raise InvalidInput(
            f"The model takes {missing} for a missing value, which requests say by null or NaN.",
            hint="Put NaN in its place in the data, and train without `missing`.",
        )
    if not native.__sklearn_is_fitted__():
        raise InvalidInput(f"The {type(native).__name__} is not fitted.", hint="Call its fit first.")
    return native.get_booster()


def check_whole(data: bytes) -> None:
    """Keep XGBoost from what it would end the process on.

    Raises:
        Corrupted: it is no whole UBJSON or JSON object.
    """
    if not ubjson.is_object(data):
        try:
            msgspec.json.decode(data, type=dict[str, msgspec.Raw])
        except msgspec.MsgspecError:
            raise Corrupted(f"{MODEL} is no whole model of XGBoost.", hint="Register the model again.") from None


def open_flavor() -> XgboostFlavor:
    """The flavor.

    Raises:
        Misconfigured: XGBoost is not installed.
    """
    if find_spec("xgboost") is None:
        raise Misconfigured("XGBoost is not installed.", hint="pip install 'everloop[xgboost]'")
    return XgboostFlavor()
