"""Prophet: the fitted model as its own JSON, the fields beside it.

A request holds the column `ds`, as strings of ISO 8601, and the extra regressors that the model was given.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

import msgspec

from everloop.backends.flavors import modelfolder
from everloop.kernel.errors import Corrupted, InvalidInput, Misconfigured, Refused
from everloop.registry.entities import Field, Finding, Signature

if TYPE_CHECKING:
    import numpy as np

MODEL = "model.json"
_SCORE = "yhat"
_SAMPLED = ("_lower", "_upper")
_one_at_a_time = Lock()
"""Prophet keeps the rows that it is predicting in the model itself."""


class ProphetPredictor:
    """A forecast that is asked by column names; its outputs are columns of Prophet's own answer, `yhat` the score.

    Prophet draws intervals at random from NumPy's shared generator, so a model has none unless its signature names one
    (`yhat_lower`); then they are drawn anew for each request.
    """

    def __init__(self, model: Any, inputs: tuple[Field, ...], outputs: tuple[Field, ...]) -> None:
        self.inputs = inputs
        self.outputs = outputs
        self._model = model  # `Any`: Prophet is untyped.
        if not any(field.name.endswith(_SAMPLED) for field in outputs):
            model.uncertainty_samples = 0

    def predict(self, columns: Mapping[str, np.ndarray]) -> np.ndarray:
        """The forecast itself, whatever the outputs are."""
        import numpy as np

        return np.asarray(self._forecast(columns)[_SCORE], dtype=np.float64)

    def infer(self, columns: Mapping[str, np.ndarray]) -> Mapping[str, np.ndarray | Sequence[str]]:
        """The columns of Prophet's answer that the signature names; an only output of another name is `yhat`."""
        found = self._forecast(columns)
        return {field.name: found[field.name if field.name in found else _SCORE].to_numpy() for field in self.outputs}

    def contributions(self, columns: Mapping[str, np.ndarray]) -> np.ndarray:
        """Always refused: a forecast's parts are no inputs."""
        raise Refused("A forecast cannot say how much each input moved it.", hint="Name its parts as outputs: trend, …")

    def _forecast(self, columns: Mapping[str, np.ndarray]) -> Any:
        import pandas as pd

        from everloop.registry.columns import typed

        rows = pd.DataFrame(typed(self.inputs, columns))
        try:
            rows["ds"] = pd.to_datetime(rows["ds"], format="ISO8601")
        except (ValueError, TypeError) as error:
            raise InvalidInput(f"ds is no time of ISO 8601 ({error}).", hint="Write 2026-01-31T12:00:00.") from None
        if not len(rows):
            return pd.DataFrame({_SCORE: []})
        order = rows["ds"].argsort(kind="stable")
        try:
            with _one_at_a_time:  # It answers in the order of time, whatever it was asked in.
                found = self._model.predict(rows)
        except ValueError as error:
            raise InvalidInput(f"Prophet takes no such rows ({error}).") from None
        back = order.to_numpy().argsort()
        return found.iloc[back].reset_index(drop=True)


class ProphetFlavor:
    """Models of Prophet, fitted."""

    name = "prophet"

    def save(self, native: object, folder: Path, signature: Signature) -> None:
        """Write the model and the fields."""
        from prophet import Prophet
        from prophet.serialize import model_to_json

        if not isinstance(native, Prophet) or native.history is None:
            raise InvalidInput(f"A {type(native).__name__} is no fitted Prophet model.", hint="Fit it first.")
        wanted = ["ds", *native.extra_regressors]
        names = [field.name for field in signature.inputs]
        if set(wanted) != set(names) or len(wanted) != len(names):
            raise InvalidInput(
                f"The model was trained on {len(wanted)} inputs ({', '.join(wanted)}), the signature has {len(names)}"
                f" ({', '.join(names)}).",
                hint="Describe ds, as a string, and the extra regressors.",
            )
        parts = msgspec.json.decode(model_to_json(native))
        parts.pop("fit_kwargs", None)
        (folder / MODEL).write_bytes(msgspec.json.encode(parts, order="sorted"))
        modelfolder.write_fields(folder, signature, outputs=True)

    def load(self, folder: Path) -> ProphetPredictor:
        """The model of a folder: JSON runs nothing."""
        from prophet.serialize import model_from_json

        inputs = modelfolder.read_fields(folder)
        outputs = modelfolder.read_fields(folder, modelfolder.OUTPUTS)
        data = modelfolder.read(folder, MODEL)
        try:
            parts = msgspec.json.decode(data, type=dict[str, Any])
            model = model_from_json(msgspec.json.encode({"fit_kwargs": {}} | parts).decode())
        except (msgspec.MsgspecError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise Corrupted(f"{MODEL} is no model of Prophet ({error}).", hint="Register the model again.") from None
        return ProphetPredictor(model, inputs, outputs)

    def scan(self, folder: Path) -> list[Finding]:
        """Every file that does not belong: JSON runs nothing."""
        return modelfolder.strangers(folder, "Prophet", (MODEL, modelfolder.INPUTS, modelfolder.OUTPUTS))

    def requirements(self) -> list[str]:
        """Prophet and pandas, as installed."""
        return modelfolder.pinned(("prophet", "pandas", "numpy"))


def open_flavor() -> ProphetFlavor:
    """The flavor.

    Raises:
        Misconfigured: Prophet is not installed.
    """
    if find_spec("prophet") is None:
        raise Misconfigured("Prophet is not installed.", hint="pip install 'everloop[prophet]'")
    return ProphetFlavor()
