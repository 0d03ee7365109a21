"""scikit-learn: the estimator in the skops format, which is read without running anything that is not on a list."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from everloop.kernel.errors import Corrupted, InvalidInput, Misconfigured, Refused
from everloop.registry.entities import Field, Finding, Signature

if TYPE_CHECKING:
    import numpy as np

MODEL = "model.skops"
INPUTS = "inputs.json"
TRUSTED = (
    "sklearn._loss.link.IdentityLink",
    "sklearn._loss.link.Interval",
    "sklearn._loss.link.LogLink",
    "sklearn._loss.link.LogitLink",
    "sklearn._loss.link.MultinomialLogit",
    "sklearn._loss.loss.HalfBinomialLoss",
    "sklearn._loss.loss.HalfMultinomialLoss",
    "sklearn._loss.loss.HalfPoissonLoss",
    "sklearn._loss.loss.HalfSquaredError",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn.tree._tree.Tree",
)
"""Types of scikit-learn that hold fitted numbers and run nothing when they are made; skops trusts its estimators."""
_EPOCH = (1980, 1, 1, 0, 0, 0)


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
        """Probabilities where the estimator has them (of the second class, when there are two), else its prediction."""
        rows = self._frame(columns) if hasattr(self._estimator, "feature_names_in_") else self._matrix(columns)
        if not hasattr(self._estimator, "predict_proba"):
            return _floats(self._estimator.predict(rows))
        scores = _floats(self._estimator.predict_proba(rows))
        return scores[:, 1] if scores.shape[1] == 2 else scores

    def contributions(self, columns: Mapping[str, np.ndarray]) -> np.ndarray:
        """Always refused: scikit-learn has no exact attribution."""
        raise Refused(
            f"A {type(self._estimator).__name__} cannot say how much each input moved a score.",
            hint="Use the flavor lightgbm where attribution is monitored.",
        )

    def _frame(self, columns: Mapping[str, np.ndarray]) -> object:
        import pandas as pd

        self._matrix(columns)
        return pd.DataFrame({name: columns[name] for name in self._estimator.feature_names_in_})


class SklearnFlavor:
    """Models of scikit-learn: any fitted estimator or pipeline that skops can write."""

    name = "sklearn"

    def save(self, native: object, folder: Path, signature: Signature) -> None:
        """Write the estimator and the inputs."""
        import skops.io

        _check_fit(native, signature)
        data = _settled(skops.io.dumps(native))
        unknown = _unknown_types(data)
        if unknown:
            raise _refusal(unknown)
        (folder / MODEL).write_bytes(data)
        (folder / INPUTS).write_bytes(msgspec.json.encode(signature.inputs))

    def load(self, folder: Path) -> SklearnPredictor:
        """The estimator, when every type in it is trusted."""
        import skops.io

        data, inputs = _read(folder, MODEL), _read(folder, INPUTS)
        unknown = _unknown_types(data)
        if unknown:
            raise _refusal(unknown)
        try:
            fields = msgspec.json.decode(inputs, type=tuple[Field, ...])
        except msgspec.MsgspecError as error:
            raise Corrupted(f"{INPUTS} does not list inputs ({error}).") from None
        return SklearnPredictor(skops.io.loads(data, trusted=list(TRUSTED)), fields)

    def scan(self, folder: Path) -> list[Finding]:
        """Types that are not trusted, and every file that does not belong to the model."""
        names = [path.relative_to(folder).as_posix() for path in sorted(folder.rglob("*")) if path.is_file()]
        found = [
            Finding(name, "A scikit-learn model has no such file.") for name in names if name not in (MODEL, INPUTS)
        ]
        if MODEL not in names:
            return found
        try:
            unknown = _unknown_types((folder / MODEL).read_bytes())
        except Corrupted as error:
            return [*found, Finding(MODEL, error.message)]
        return [*found, *(Finding(MODEL, f"The type {name} is not trusted.") for name in unknown)]

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


def _check_fit(native: object, signature: Signature) -> None:
    if not hasattr(native, "predict") or not hasattr(native, "get_params"):
        raise InvalidInput(
            f"A {type(native).__name__} is no scikit-learn estimator.", hint="Pass a fitted estimator or pipeline."
        )
    inputs = [field.name for field in signature.inputs]
    names = [str(name) for name in getattr(native, "feature_names_in_", inputs)]
    count = getattr(native, "n_features_in_", len(inputs))
    if set(names) != set(inputs) or count != len(inputs):
        raise InvalidInput(
            f"The model was trained on {count} inputs ({', '.join(names)}), the signature has {len(inputs)}"
            f" ({', '.join(inputs)}).",
            hint="Give both the same inputs.",
        )


def _unknown_types(data: bytes) -> list[str]:
    import skops.io

    try:
        found = skops.io.get_untrusted_types(data=data)
    except Exception as error:  # noqa: BLE001 - a hostile file can make skops raise anything
        raise Corrupted(f"{MODEL} is not a skops file ({error}).", hint="Register the model again.") from None
    return sorted(set(found) - set(TRUSTED))


def _refusal(unknown: list[str]) -> Refused:
    return Refused(
        f"The model holds types that are not trusted: {', '.join(unknown)}.",
        hint="Build it from scikit-learn's own estimators, without functions or classes of your own.",
    )


def _settled(data: bytes) -> bytes:
    """The same skops file without memory addresses and times, so that equal models have equal bytes."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    schema = msgspec.json.decode(files.pop("schema.json"))
    ids: dict[int, int] = {}
    names: dict[str, str] = {}
    for node in _nodes(schema):
        if isinstance(node.get("__id__"), int):
            node["__id__"] = ids.setdefault(node["__id__"], len(ids) + 1)
        if isinstance(node.get("file"), str) and node["file"] in files:
            node["file"] = names.setdefault(node["file"], f"{len(names)}{Path(node['file']).suffix}")
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr(zipfile.ZipInfo("schema.json", _EPOCH), msgspec.json.encode(schema))
        for name, renamed in names.items():
            archive.writestr(zipfile.ZipInfo(renamed, _EPOCH), files[name])
    return out.getvalue()


def _nodes(value: Any) -> Iterator[dict[str, Any]]:
    """Every object inside a JSON value (so `Any`), parents first, in order."""
    if isinstance(value, dict):
        yield value
    children = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for child in children:
        yield from _nodes(child)


def _floats(scores: Any) -> np.ndarray:
    import numpy as np

    return np.asarray(scores, dtype=np.float64)


def _read(folder: Path, name: str) -> bytes:
    try:
        return (folder / name).read_bytes()
    except FileNotFoundError:
        raise Corrupted(f"The model has no {name}.", hint="Register the model again.") from None
