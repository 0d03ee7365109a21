"""Keras: the model as a `.keras` file, read in safe mode, by whichever backend is installed.

Safe mode refuses lambdas; beside it every class that the file names must be one of Keras's own, so that reading one
imports nothing else. Whatever is not, is code, and is loaded only when somebody trusts it.
"""

from __future__ import annotations

import io
import os
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from everloop.backends.flavors import modelfolder
from everloop.backends.flavors.python import named
from everloop.kernel.errors import Corrupted, InvalidInput, Misconfigured, Refused
from everloop.registry.entities import Field, Finding, Signature

if TYPE_CHECKING:
    import numpy as np

MODEL = "model.keras"
_EPOCH = (1980, 1, 1, 0, 0, 0)
_BACKENDS = {"torch": "torch", "tensorflow": "tensorflow", "jax": "jax"}
_RUNS_CODE = {"Lambda", "TorchModuleWrapper", "TFSMLayer", "JaxLayer", "FlaxLayer"}


class KerasPredictor:
    """A model that is asked by column names.

    One with one input gets all columns as a matrix of float32, or the one column that has a shape; one with several
    gets each by its name.
    """

    def __init__(self, model: Any, inputs: tuple[Field, ...], outputs: tuple[Field, ...]) -> None:
        from everloop.registry.columns import InputMatrix

        self.inputs = inputs
        self.outputs = outputs
        self._model = model  # `Any`: Keras is untyped.
        self._matrix = InputMatrix(inputs)
        self._several = len(model.inputs) > 1

    def predict(self, columns: Mapping[str, np.ndarray]) -> np.ndarray:
        """The first output as scores."""
        import numpy as np

        return np.asarray(self.infer(columns)[self.outputs[0].name], dtype=np.float64)

    def infer(self, columns: Mapping[str, np.ndarray]) -> Mapping[str, np.ndarray | Sequence[str]]:
        """Every output of the signature."""
        import keras

        with _without_gradients():
            given = self._model(self._tensors(columns), training=False)
        if isinstance(given, dict):
            found = named(self.outputs, {name: keras.ops.convert_to_numpy(part) for name, part in given.items()})
        elif isinstance(given, list | tuple):
            parts = [keras.ops.convert_to_numpy(part) for part in given]
            found = {field.name: part for field, part in zip(self.outputs, parts, strict=True)}
        else:
            found = named(self.outputs, keras.ops.convert_to_numpy(given))
        return {field.name: _shaped(field, found[field.name]) for field in self.outputs}

    def contributions(self, columns: Mapping[str, np.ndarray]) -> np.ndarray:
        """Always refused: a network does not say what moved its scores."""
        raise Refused("A network cannot say how much each input moved a score.", hint="Use a flavor of trees for that.")

    def _tensors(self, columns: Mapping[str, np.ndarray]) -> Any:
        import numpy as np

        from everloop.registry.columns import typed

        if self._several:
            return typed(self.inputs, columns)
        if any(field.shape for field in self.inputs):
            return typed(self.inputs, columns)[self.inputs[0].name]
        return self._matrix(columns).astype(np.float32)


class KerasFlavor:
    """Models of Keras 3, built (their inputs are known)."""

    name = "keras"

    def save(self, native: object, folder: Path, signature: Signature) -> None:
        """Write the model, without the time of its saving, and the fields."""
        keras = _keras()
        if not isinstance(native, keras.Model) or not native.inputs:
            raise InvalidInput(f"A {type(native).__name__} is no built model of Keras.", hint="Build or fit it first.")
        _check_inputs(native, signature)
        with tempfile.TemporaryDirectory(prefix="everloop-keras-") as name:
            native.save(Path(name) / MODEL)
            (folder / MODEL).write_bytes(_settled((Path(name) / MODEL).read_bytes()))
        modelfolder.write_fields(folder, signature, outputs=True)

    def load(self, folder: Path) -> KerasPredictor:
        """The model of a folder, in safe mode."""
        inputs = modelfolder.read_fields(folder)
        code = self.code_in(folder)
        if code:
            raise Refused(" ".join(code), hint="everloop models trust NAME VERSION --reason '…' lets it run.")
        return self._loaded(folder, inputs, safe=True)

    def code_in(self, folder: Path) -> list[str]:
        """The classes that are not Keras's own, and those that run what stands in the file.

        Raises:
            Corrupted: it is no whole `.keras` file.
        """
        try:
            with zipfile.ZipFile(io.BytesIO(modelfolder.read(folder, MODEL))) as archive:
                config = msgspec.json.decode(archive.read("config.json"))
        except (zipfile.BadZipFile, KeyError, msgspec.MsgspecError, OSError, EOFError) as error:
            raise Corrupted(f"{MODEL} is no whole Keras model ({error}).", hint="Register the model again.") from None
        return list(dict.fromkeys(_problems(config)))

    def load_trusted(self, folder: Path) -> KerasPredictor:
        """The model with all the code that it brings."""
        return self._loaded(folder, modelfolder.read_fields(folder), safe=False)

    def scan(self, folder: Path) -> list[Finding]:
        """The code in it, and every file that does not belong."""
        found = modelfolder.strangers(folder, "Keras", (MODEL, modelfolder.INPUTS, modelfolder.OUTPUTS))
        return [*found, *(Finding(MODEL, problem) for problem in self.code_in(folder))]

    def requirements(self) -> list[str]:
        """Keras, its backend and NumPy, as installed."""
        return modelfolder.pinned(("keras", _backend(), "numpy"))

    def _loaded(self, folder: Path, inputs: tuple[Field, ...], safe: bool) -> KerasPredictor:
        outputs = modelfolder.read_fields(folder, modelfolder.OUTPUTS)
        try:
            model = _keras().saving.load_model(folder / MODEL, compile=False, safe_mode=safe)
        except Exception as error:  # noqa: BLE001 - Keras raises what it likes on a broken file
            first = (str(error).strip().splitlines() or [""])[0]
            raise Corrupted(f"{MODEL} is no model of Keras ({first}).", hint="Register the model again.") from None
        return KerasPredictor(model, inputs, outputs)


def open_flavor() -> KerasFlavor:
    """The flavor.

    Raises:
        Misconfigured: Keras is not installed.
    """
    if find_spec("keras") is None:
        raise Misconfigured("Keras is not installed.", hint="pip install 'everloop[keras]'")
    return KerasFlavor()


def _backend() -> str:
    """The first backend that is installed; NumPy's only predicts."""
    return os.environ.get("KERAS_BACKEND") or next((name for name in _BACKENDS if find_spec(name)), "numpy")


def _keras() -> Any:
    """Keras (`Any`: it is untyped), told which backend to use unless somebody imported it before."""
    if "keras" not in sys.modules:
        os.environ.setdefault("KERAS_BACKEND", _backend())
    import keras

    return keras


def _without_gradients() -> Any:
    from contextlib import nullcontext

    if _keras().backend.backend() != "torch":
        return nullcontext()
    import torch

    return torch.inference_mode()


def _check_inputs(model: Any, signature: Signature) -> None:
    if len(model.inputs) > 1:
        names = [tensor.name for tensor in model.inputs]
        fields = [field.name for field in signature.inputs]
        if set(names) != set(fields):
            modelfolder.check_count(len(names), signature, names)
        return
    if not any(field.shape for field in signature.inputs) and len(model.inputs[0].shape) == 2:
        modelfolder.check_count(int(model.inputs[0].shape[1]), signature)


def _problems(node: Any) -> Iterator[str]:
    """What a configuration would import beside Keras (`Any`: it is JSON of any form)."""
    if isinstance(node, dict):
        module, kind = node.get("module"), node.get("class_name")
        if isinstance(module, str) and module.partition(".")[0] not in ("keras", "builtins"):
            yield f"It would import {module}.{kind}."
        elif kind in _RUNS_CODE or (
            module == "builtins" and kind not in ("dict", "list", "tuple", "slice", "__tensor__")
        ):
            yield f"It holds a {kind}, which runs what stands in the file."
        elif isinstance(node.get("registered_name"), str) and ">" in node["registered_name"]:
            yield f"It needs the class {node['registered_name']}, which is not Keras's."
    children = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    for child in children:
        yield from _problems(child)


def _settled(data: bytes) -> bytes:
    """The same file without times, so that equal models have equal bytes."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as archive, zipfile.ZipFile(out, "w") as settled:
        for name in sorted(archive.namelist()):
            content = archive.read(name)
            if name == "metadata.json":
                content = msgspec.json.encode(msgspec.json.decode(content) | {"date_saved": ""})
            settled.writestr(zipfile.ZipInfo(name, _EPOCH), content)
    return out.getvalue()


def _shaped(field: Field, values: Any) -> np.ndarray:
    import numpy as np

    found = np.asarray(values)
    return found[:, -1] if not field.shape and found.ndim == 2 and found.shape[1] in (1, 2) else found
