"""A model that was compiled, loaded from the folder that holds the compiled form. No catalog is needed for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

from everloop.kernel.errors import Misconfigured, Refused
from everloop.registry.columns import InputMatrix
from everloop.registry.entities import Field
from everloop.registry.flavor import Predictor
from everloop.registry.trees.kernel import Kernel, Unscorable, available
from everloop.registry.trees.table import load_table

if TYPE_CHECKING:
    import numpy as np

TREES = "trees.bin"
ONNX = "model.onnx"


class CompiledPredictor:
    """Scores by what was compiled. The native model is loaded when something else is asked for: contributions."""

    def __init__(
        self,
        inputs: Sequence[Field],
        score: Callable[[np.ndarray], np.ndarray],
        native: Callable[[], Predictor] | None = None,
    ) -> None:
        self.inputs = tuple(inputs)
        self._matrix = InputMatrix(self.inputs)
        self._score = score
        self._native = native
        self._loaded: Predictor | None = None
        self._lock = Lock()

    def predict(self, columns: Mapping[str, np.ndarray]) -> np.ndarray:
        """Scores, as the native model gives them.

        Raises:
            InvalidInput: a column is missing, or holds a value that the native model would refuse.
        """
        try:
            return self._score(self._matrix(columns))
        except Unscorable as error:
            raise error.named(self.inputs[error.column].name) from None

    def contributions(self, columns: Mapping[str, np.ndarray]) -> np.ndarray:
        """How much each input moved each score, as the native model says it."""
        return self.native().contributions(columns)

    def native(self) -> Predictor:
        """The native model, loaded at the first call.

        Raises:
            Refused: it is not here.
        """
        if self._native is None:
            raise Refused("Only the model's compiled form is here.", hint="Ask where the model itself is, too.")
        with self._lock:
            if self._loaded is None:
                self._loaded = self._native()
            return self._loaded


def load_compiled(
    folder: Path, inputs: Sequence[Field], native: Callable[[], Predictor] | None = None
) -> CompiledPredictor | None:
    """The model of a folder's compiled form; None where this installation lacks what runs it.

    Raises:
        Corrupted: the folder holds something else.
    """
    if (folder / TREES).is_file():
        return CompiledPredictor(inputs, Kernel(load_table(folder / TREES)), native) if available() else None
    from everloop.registry.trees.onnx import Graph

    try:
        return CompiledPredictor(inputs, Graph(folder / ONNX), native)
    except Misconfigured:
        return None
