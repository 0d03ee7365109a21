"""Python: an object of any class that answers `predict(columns)` or `infer(columns)`, with the source that it needs.

The state is a pickle, and the user's own modules that it reaches are kept as source beside it, so that whoever is to
trust the model can read what it does, and equal objects give equal bytes. A class of `__main__` or of a function has no
module that could be kept: cloudpickle, where it is installed, keeps its bytecode, of which no two runs give the same
bytes.
"""

from __future__ import annotations

import pickle
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from everloop.backends.flavors import modelfolder, sources
from everloop.kernel.errors import Corrupted, EverloopError, InvalidInput, Refused
from everloop.registry import pickles
from everloop.registry.entities import Field, Finding, Signature

if TYPE_CHECKING:
    import numpy as np

MODEL = "model.pkl"


class PythonPredictor:
    """An object of the user's. It is handed the columns by name, each of the type that the signature says.

    `predict` gives an array with a row for each row (with several outputs: a column for each), or a mapping of arrays
    by the outputs' names; `infer` gives the mapping. Each is held to the number of rows and the type of its output.
    """

    def __init__(self, native: Any, inputs: tuple[Field, ...], outputs: tuple[Field, ...]) -> None:
        self.inputs = inputs
        self.outputs = outputs
        self._native = native  # `Any`: it is the user's.
        self._ask = native.infer if hasattr(native, "infer") else native.predict

    def predict(self, columns: Mapping[str, np.ndarray]) -> np.ndarray:
        """The scores: what `predict` gives, or the first output of `infer`."""
        import numpy as np

        given = self._checked(columns)
        found = self._native.predict(given) if hasattr(self._native, "predict") else self._ask(given)
        first = next(iter(found.values())) if isinstance(found, Mapping) else found
        try:
            return np.asarray(first, dtype=np.float64)
        except (TypeError, ValueError):
            raise Refused("The model's first output is no number.", hint="Ask for it over the protocol.") from None

    def infer(self, columns: Mapping[str, np.ndarray]) -> Mapping[str, np.ndarray | Sequence[str]]:
        """Every output of the signature, in its type."""
        given = self._checked(columns)
        found = named(self.outputs, self._ask(given))
        rows = len(next(iter(given.values()))) if given else 0
        return {field.name: _output(field, found[field.name], rows) for field in self.outputs}

    def contributions(self, columns: Mapping[str, np.ndarray]) -> np.ndarray:
        """What the object's own `contributions` says, refused where it has none."""
        import numpy as np

        if not hasattr(self._native, "contributions"):
            raise Refused(
                f"A {type(self._native).__name__} cannot say how much each input moved a score.",
                hint="Give its class a method contributions(columns).",
            )
        return np.asarray(self._native.contributions(self._checked(columns)), dtype=np.float64)

    def _checked(self, columns: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        from everloop.registry.columns import typed

        return typed(self.inputs, columns)


class PythonFlavor:
    """Models of any class of the user's."""

    name = "python"

    def save(self, native: object, folder: Path, signature: Signature) -> None:
        """Write the object's state, the source of the modules that it reaches, and the fields."""
        if isinstance(native, type) or not (hasattr(native, "predict") or hasattr(native, "infer")):
            raise InvalidInput(
                f"A {type(native).__name__} has neither predict nor infer.", hint="Pass an object of such a class."
            )
        data, always = _pickled(native)
        (folder / MODEL).write_bytes(data)
        sources.keep(folder, sources.modules_of(data), always)
        modelfolder.write_fields(folder, signature, outputs=True)

    def load(self, folder: Path) -> PythonPredictor:
        """Always refused: such a model is code."""
        raise Refused(
            f"The model runs code of its own: {' '.join(self.code_in(folder))}",
            hint="Read it, then: everloop models trust NAME VERSION --reason '…'.",
        )

    def code_in(self, folder: Path) -> list[str]:
        """That it is code, and which modules it brings."""
        brought = [name for name in modelfolder.files_of(folder) if name.startswith(f"{sources.CODE}/")]
        listed = ", ".join(brought) or "bytecode inside of a pickle"
        unsafe = pickles.problems(modelfolder.read(folder, MODEL))
        return [f"It brings {listed}.", *unsafe]

    def load_trusted(self, folder: Path) -> PythonPredictor:
        """The object, made by running its modules and its pickle."""
        inputs = modelfolder.read_fields(folder)
        outputs = modelfolder.read_fields(folder, modelfolder.OUTPUTS)
        data = modelfolder.read(folder, MODEL)
        try:
            pickles.named(data)
        except (ValueError, IndexError, UnicodeError) as error:
            raise Corrupted(f"{MODEL} is no whole pickle ({error}).", hint="Register the model again.") from None
        sys.path.insert(0, str(folder / sources.CODE))
        native = pickle.loads(data)  # noqa: S301 - the process was made for it
        return PythonPredictor(native, inputs, outputs)

    def scan(self, folder: Path) -> list[Finding]:
        """The code, and every file that does not belong to it."""
        known = {MODEL, modelfolder.INPUTS, modelfolder.OUTPUTS, sources.REQUIREMENTS}
        foreign = modelfolder.strangers(folder, "Python", known | set(_modules(folder)))
        return [*(Finding(MODEL, problem) for problem in self.code_in(folder)), *foreign]

    def requirements(self) -> list[str]:
        """NumPy, and cloudpickle where it is; what a model's own modules import stands in its `requirements.txt`."""
        return modelfolder.pinned(("numpy", "cloudpickle"))

    def requirements_of(self, folder: Path) -> list[str]:
        """What one model's modules import, pinned as when it was saved."""
        return modelfolder.read(folder, sources.REQUIREMENTS).decode().splitlines()


def open_flavor() -> PythonFlavor:
    """The flavor."""
    return PythonFlavor()


def named(outputs: Sequence[Field], found: object) -> Mapping[str, Any]:
    """What a model gave, by the names of the outputs (`Any`: it is the user's, and looked at next).

    Raises:
        EverloopError: it gave other outputs than the signature says.
    """
    import numpy as np

    names = [field.name for field in outputs]
    if isinstance(found, Mapping):
        if set(names) <= set(found):
            return found
        raise EverloopError(f"The model gave {', '.join(map(str, found))}, its signature says {', '.join(names)}.")
    if len(names) == 1:
        return {names[0]: found}
    array = np.asarray(found)
    if array.ndim != 2 or array.shape[1] != len(names):
        raise EverloopError(f"The model gave the shape {list(array.shape)} for the outputs {', '.join(names)}.")
    return {name: array[:, at] for at, name in enumerate(names)}


def _output(field: Field, values: Any, rows: int) -> np.ndarray:
    import numpy as np

    text = field.type in ("string", "bytes")
    try:
        if field.form:
            from everloop.registry import forms

            values = forms.texts_of(field, values)
        found = np.asarray(values, dtype=object if text else None)
        found = found if text else found.astype(field.type, casting="same_kind", copy=False)
    except (TypeError, ValueError) as error:
        raise EverloopError(f"The model's output {field.name} is not {field.type} ({error}).") from None
    if not found.ndim or len(found) != rows:
        given = len(found) if found.ndim else "a single value"
        raise EverloopError(f"The model gave {given} for {field.name}, to {rows} rows.")
    return found


def _pickled(native: object) -> tuple[bytes, list[str]]:
    """The state, and what reading it needs beside Python."""
    kind = type(native)
    importable = kind.__module__ != "__main__" and "<locals>" not in kind.__qualname__
    try:
        if importable:
            return pickle.dumps(native, 5), []
        return _cloudpickled(native), modelfolder.pinned(("cloudpickle",))
    except (pickle.PicklingError, TypeError, AttributeError) as error:
        raise InvalidInput(
            f"A {kind.__name__} cannot be kept ({error}).",
            hint="Keep open files, locks and functions out of its state, and its class in a module.",
        ) from None


def _cloudpickled(native: object) -> bytes:
    try:
        import cloudpickle
    except ModuleNotFoundError:
        raise InvalidInput(
            f"The class {type(native).__name__} is in no module that could be kept.",
            hint="Put it into a module of your own, or pip install cloudpickle.",
        ) from None
    return bytes(cloudpickle.dumps(native, 5))


def _modules(folder: Path) -> list[str]:
    files = modelfolder.files_of(folder)
    return [name for name in files if name.startswith(f"{sources.CODE}/") and name.endswith(".py")]
