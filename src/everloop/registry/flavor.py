"""The port to a kind of model: how a library's models are kept, loaded, scanned and asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast, runtime_checkable

from everloop.kernel.errors import EverloopError
from everloop.registry.entities import Field, Finding, Signature

if TYPE_CHECKING:
    import numpy as np

    from everloop.registry.trees.table import TreeTable


class Predictor(Protocol):
    """A loaded model.

    Columns are arrays of one length by input name: numbers as numeric arrays with NaN for missing, strings as object
    arrays with None for missing. It may be asked by several threads at once.
    """

    inputs: tuple[Field, ...]

    def predict(self, columns: Mapping[str, np.ndarray]) -> np.ndarray:
        """Scores as float64: `(n,)`, or `(n, k)` for k classes.

        Raises:
            InvalidInput: a column is missing.
        """
        ...

    def contributions(self, columns: Mapping[str, np.ndarray]) -> np.ndarray:
        """How much each input moved each score, `(n, inputs)`, on the model's own scale (log-odds for a classifier).

        Raises:
            Refused: this model cannot say.
        """
        ...


@runtime_checkable
class TensorPredictor(Protocol):
    """A loaded model that says itself what its outputs are called: several of them, or others than scores."""

    def infer(self, columns: Mapping[str, np.ndarray]) -> Mapping[str, np.ndarray | Sequence[str]]:
        """Each output by name, of the signature's types; the first axis of each is the rows.

        Raises:
            InvalidInput: a column is missing.
        """
        ...


def outputs_of(
    predictor: Predictor, fields: Sequence[Field], columns: Mapping[str, np.ndarray]
) -> Mapping[str, np.ndarray | Sequence[str]]:
    """What a model gives for rows, by the names of its signature's outputs.

    Scores with a column for each output are divided among them; a single name stands for all there is.

    Raises:
        EverloopError: the signature names another number of outputs than the model has.
    """
    infer = getattr(predictor, "infer", None)  # `isinstance` of a Protocol takes 10 µs, which a row's trees do not.
    if infer is not None:
        return cast("TensorPredictor", predictor).infer(columns)
    scores = predictor.predict(columns)
    if scores.ndim == 2 and scores.shape[1] == len(fields):
        return {field.name: scores[:, at] for at, field in enumerate(fields)}
    if len(fields) > 1:
        count = scores.shape[1] if scores.ndim == 2 else 1
        raise EverloopError(
            f"The model's signature names {len(fields)} outputs, but it gives {count}.",
            hint="Register it again with as many names: signature_of(columns, [...]).",
        )
    return {fields[0].name if fields else "predictions": scores}


class Flavor(Protocol):
    """How one library's models are kept in a folder.

    Contract (`tests/contracts/test_flavors.py`): a loaded model predicts exactly what the saved one did; saving twice
    gives the same bytes; loading never runs code that the folder brings along; a column that is missing is named.
    """

    name: str

    def save(self, native: object, folder: Path, signature: Signature) -> None:
        """Write the library's own model, with all that is needed to load it, into an empty folder.

        Raises:
            InvalidInput: it is no model of this library, or it does not fit the signature.
        """
        ...

    def load(self, folder: Path) -> Predictor:
        """The model that is kept in a folder.

        Raises:
            Refused: it holds something that is not known to be safe.
            Corrupted: the files are not what `save` wrote.
        """
        ...

    def scan(self, folder: Path) -> list[Finding]:
        """What is unsafe in a folder, found without loading anything of it."""
        ...

    def requirements(self) -> list[str]:
        """The distributions that `load` and `predict` need, pinned to those installed: `lightgbm==4.6.0`."""
        ...


@runtime_checkable
class TreeFlavor(Protocol):
    """A flavor some of whose models are ensembles of trees, which `everloop.registry.trees` runs faster."""

    def trees(self, folder: Path) -> TreeTable | None:
        """The trees of a model with the library's own arithmetic; None unless all of it is surely known."""
        ...


@runtime_checkable
class GraphFlavor(Protocol):
    """A flavor some of whose models ONNX can express in float64."""

    def graph(self, folder: Path) -> bytes | None:
        """An ONNX model from the matrix of the inputs to what `predict` gives; None when there is none."""
        ...


@runtime_checkable
class CodeFlavor(Protocol):
    """A flavor some of whose models bring code along, which runs when they are loaded or asked.

    Such a model is loaded only after a recorded decision (`everloop.registry.trust`), and only in a `Sandbox`.
    """

    def code_in(self, folder: Path) -> list[str]:
        """What a model would run that is not known to be safe, in words; nothing when `load` does for it."""
        ...

    def load_trusted(self, folder: Path) -> Predictor:
        """The model, with all the code that it brings. Only for a process that was made for it.

        Raises:
            Corrupted: the files are not what `save` wrote.
        """
        ...


class Sandbox(Protocol):
    """A way to run a model apart: in a process that has no network, and that takes nobody along when it dies.

    `everything` says that every model is to be run so, not only those that bring code.
    """

    everything: bool

    def load(self, flavor: Flavor, folder: Path, code: bool) -> Predictor:
        """The model of a folder, in a process of its own; with its `code`, when that is trusted.

        The predictor is safe to ask from several threads. A model that crashes or hangs fails that one request with
        Unavailable, and answers the next one from a new process.

        Raises:
            Misconfigured: this machine cannot keep a process from the network.
            Refused, Corrupted: as the flavor says.
        """
        ...
