"""LightGBM: the model as its own text, the inputs with their categories as JSON beside it."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from everloop.kernel.errors import Corrupted, InvalidInput
from everloop.registry.entities import Field, Finding, Signature

if TYPE_CHECKING:
    import numpy as np

    from everloop.registry.trees.table import TreeTable

MODEL = "model.txt"
INPUTS = "inputs.json"


class LightgbmPredictor:
    """A booster that is asked by column names; 50 rows cost some 0.4 ms with 100 trees, on one thread."""

    def __init__(self, text: str, inputs: tuple[Field, ...]) -> None:
        from everloop.backends.flavors.lightgbm_library import LoadedBooster
        from everloop.registry.columns import InputMatrix

        self.inputs = inputs
        self._matrix = InputMatrix(inputs)
        self._booster = LoadedBooster(text)

    def predict(self, columns: Mapping[str, np.ndarray]) -> np.ndarray:
        """Scores: probabilities for a classifier."""
        return self._booster.predict(self._matrix(columns))

    def contributions(self, columns: Mapping[str, np.ndarray]) -> np.ndarray:
        """TreeSHAP of each input; with several classes, the sum of their sizes."""
        found = self._booster.contributions(self._matrix(columns))[:, :, :-1]
        return found[:, 0] if found.shape[1] == 1 else abs(found).sum(axis=1)


class LightgbmFlavor:
    """Models of LightGBM (a `Booster`, or an `LGBM…` estimator that holds one)."""

    name = "lightgbm"

    def save(self, native: object, folder: Path, signature: Signature) -> None:
        """Write the text of the best iterations and the inputs."""
        booster = getattr(native, "booster_", native)
        if not hasattr(booster, "model_to_string") or not hasattr(booster, "feature_name"):
            raise InvalidInput(
                f"A {type(native).__name__} is no LightGBM model.",
                hint="Pass what lightgbm.train returned, or a fitted estimator.",
            )
        _check_features(booster.feature_name(), signature)
        (folder / MODEL).write_text(booster.model_to_string())
        (folder / INPUTS).write_bytes(msgspec.json.encode(signature.inputs))

    def load(self, folder: Path) -> LightgbmPredictor:
        """The booster of a folder, without importing lightgbm's Python package."""
        text, inputs = _read(folder, MODEL).decode(), _read(folder, INPUTS)
        try:
            fields = msgspec.json.decode(inputs, type=tuple[Field, ...])
        except msgspec.MsgspecError as error:
            raise Corrupted(f"{INPUTS} does not list inputs ({error}).") from None
        if not text.startswith("tree\n") or "\nend of parameters\n" not in text:
            raise Corrupted(f"{MODEL} is not a whole LightGBM model.", hint="Register the model again.")
        predictor = LightgbmPredictor(text, fields)
        if predictor._booster.features != len(fields):
            raise Corrupted(f"{MODEL} takes {predictor._booster.features} inputs, but {INPUTS} lists {len(fields)}.")
        return predictor

    def scan(self, folder: Path) -> list[Finding]:
        """Every file that is neither of the two: text and JSON run nothing."""
        files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
        return [
            Finding(path.relative_to(folder).as_posix(), "A LightGBM model has no such file.")
            for path in files
            if path.relative_to(folder).as_posix() not in (MODEL, INPUTS)
        ]

    def trees(self, folder: Path) -> TreeTable | None:
        """The trees of a folder's text."""
        from everloop.backends.flavors.trees_lightgbm import trees_of

        return trees_of(_read(folder, MODEL).decode())

    def requirements(self) -> list[str]:
        """LightGBM and NumPy, as installed."""
        return [f"{name}=={version(name)}" for name in ("lightgbm", "numpy")]


def open_flavor() -> LightgbmFlavor:
    """The flavor; its library is looked for when a model is loaded."""
    return LightgbmFlavor()


def _check_features(names: list[str], signature: Signature) -> None:
    inputs = [field.name for field in signature.inputs]
    generated = [f"Column_{position}" for position in range(len(names))]
    if len(names) != len(inputs) or names not in (inputs, generated):
        raise InvalidInput(
            f"The model was trained on {len(names)} inputs ({', '.join(names)}), the signature has {len(inputs)}"
            f" ({', '.join(inputs)}).",
            hint="Give both the same inputs in the same order.",
        )


def _read(folder: Path, name: str) -> bytes:
    try:
        return (folder / name).read_bytes()
    except FileNotFoundError:
        raise Corrupted(f"The model has no {name}.", hint="Register the model again.") from None
