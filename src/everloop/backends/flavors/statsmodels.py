"""statsmodels: the fitted results without their data, as a pickle that names nothing but known classes.

Results of models with formulas are code: to read one again is to run the text of its formula. They are kept, and
loaded only when somebody trusts them.
"""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from everloop.backends.flavors import modelfolder
from everloop.kernel.errors import Corrupted, InvalidInput, Misconfigured, Refused
from everloop.registry import pickles
from everloop.registry.allowlists import STATSMODELS
from everloop.registry.entities import Field, Finding, Signature

if TYPE_CHECKING:
    import numpy as np

MODEL = "model.pkl"
CONSTANT = "const"
"""The column of ones that `add_constant` makes: it is made again, and no request brings it."""


class StatsmodelsPredictor:
    """Results that are asked by column names: the rows in the order of the model's `exog_names`, as one matrix."""

    def __init__(self, results: Any, inputs: tuple[Field, ...]) -> None:
        from everloop.registry.columns import InputMatrix

        self.inputs = inputs
        self._results = results  # `Any`: statsmodels is untyped.
        self._matrix = InputMatrix(inputs)
        self._formula = hasattr(results.model, "formula")
        self._constant = _names(results).index(CONSTANT) if CONSTANT in _names(results) else -1

    def predict(self, columns: Mapping[str, np.ndarray]) -> np.ndarray:
        """What the results predict: means, or probabilities."""
        import numpy as np

        return np.asarray(self._results.predict(self._rows(columns)), dtype=np.float64)

    def contributions(self, columns: Mapping[str, np.ndarray]) -> np.ndarray:
        """Always refused: the results are kept without the data that knows the inputs' means."""
        raise Refused("These results cannot say how much each input moved a score.", hint="Read their coefficients.")

    def _rows(self, columns: Mapping[str, np.ndarray]) -> Any:
        import numpy as np

        matrix = self._matrix(columns)
        if self._formula:
            import pandas as pd

            return pd.DataFrame({field.name: columns[field.name] for field in self.inputs})
        return np.insert(matrix, self._constant, 1.0, axis=1) if self._constant >= 0 else matrix


class StatsmodelsFlavor:
    """Fitted results of statsmodels whose `predict` takes rows (OLS, GLM, Logit, …)."""

    name = "statsmodels"

    def save(self, native: object, folder: Path, signature: Signature) -> None:
        """Write the results and the inputs."""
        results: Any = native
        if not hasattr(native, "params") or not hasattr(native, "predict") or not hasattr(native, "model"):
            raise InvalidInput(f"A {type(native).__name__} holds no results.", hint="Pass what fit() returned.")
        if not hasattr(results.model, "formula"):
            names = [name for name in _names(results) if name != CONSTANT]
            own = not all(name == f"x{at}" or name == f"x{at + 1}" for at, name in enumerate(names))
            modelfolder.check_count(len(names), signature, names if own else ())
        if not hasattr(native, "remove_data"):
            raise InvalidInput(f"A {type(native).__name__} keeps its data.", hint="Keep it as the flavor python.")
        bare = pickle.loads(pickle.dumps(results))  # noqa: S301 - our own copy, to take the data away from
        bare.remove_data()
        (folder / MODEL).write_bytes(pickle.dumps(bare, 5))
        modelfolder.write_fields(folder, signature)

    def load(self, folder: Path) -> StatsmodelsPredictor:
        """The results, when their pickle names nothing but known classes."""
        code = self.code_in(folder)
        if code:
            raise Refused(" ".join(code)[:1500], hint="everloop models trust NAME VERSION --reason '…' lets it run.")
        return self.load_trusted(folder)

    def code_in(self, folder: Path) -> list[str]:
        """What the pickle names beside known classes.

        Raises:
            Corrupted: it is no whole pickle.
        """
        data = modelfolder.read(folder, MODEL)
        try:
            pickles.named(data)
        except (ValueError, IndexError, UnicodeError) as error:
            raise Corrupted(f"{MODEL} is no whole pickle ({error}).", hint="Register the model again.") from None
        return pickles.problems(data, STATSMODELS)

    def load_trusted(self, folder: Path) -> StatsmodelsPredictor:
        """The results, whatever their pickle names."""
        inputs = modelfolder.read_fields(folder)
        return StatsmodelsPredictor(pickle.loads(modelfolder.read(folder, MODEL)), inputs)  # noqa: S301 - judged above

    def scan(self, folder: Path) -> list[Finding]:
        """What the pickle would run, and every file that does not belong."""
        found = modelfolder.strangers(folder, "statsmodels", (MODEL, modelfolder.INPUTS))
        return [*found, *(Finding(MODEL, problem) for problem in self.code_in(folder))]

    def requirements(self) -> list[str]:
        """statsmodels and what its results are made of, as installed."""
        return modelfolder.pinned(("statsmodels", "pandas", "scipy", "numpy"))


def open_flavor() -> StatsmodelsFlavor:
    """The flavor.

    Raises:
        Misconfigured: statsmodels is not installed.
    """
    if find_spec("statsmodels") is None:
        raise Misconfigured("statsmodels is not installed.", hint="pip install 'everloop[statsmodels]'")
    return StatsmodelsFlavor()


def _names(results: Any) -> list[str]:
    return [str(name) for name in results.model.exog_names]
