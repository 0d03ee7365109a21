"""Behavioural tests of a model: functions `test_…(predict, rows)` of the project, each a sentence about the model.

`predict` takes columns (arrays by name; inputs that are left out are missing) and gives a score a row; `rows` are
examples of the holdout. A test says what is wrong by an assertion.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, cast

import numpy as np

from everloop.kernel.errors import NotFound, StepFailed
from everloop.pipelines.project import load_module
from everloop.registry.flavor import Predictor

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Columns = Mapping[str, NDArray[np.generic]]
    Predict = Callable[[Columns], NDArray[np.float64]]

PREFIX = "test_"


def sentences_of(folder: Path, path: str, predictor: Predictor, rows: Columns) -> dict[str, Callable[[], None]]:
    """The tests that a path names, by name, ready to be called.

    The path is a module (`flights.behaviour`), one test of it (`flights.behaviour:test_x`), or a file or folder below
    the project's folder (`tests/model`).

    Raises:
        NotFound: there is no such module, file or test.
        StepFailed: importing it raises.
    """
    place, _, single = path.partition(":")
    offered = {"predict": predict_with(predictor), "rows": rows}
    found = {
        name: _ready(test, offered)
        for module in _modules(folder, place)
        for name, test in vars(module).items()
        if name.startswith(PREFIX) and inspect.isfunction(test) and single in ("", name)
    }
    if single and not found:
        raise NotFound(f"There is no test {single} in {place}.", hint="Name a function that starts with test_.")
    return found


def predict_with(predictor: Predictor) -> Predict:
    """The model as tests ask it: what they leave out is missing."""

    def predict(columns: Columns) -> NDArray[np.float64]:
        size = len(next(iter(columns.values()), ()))
        filled = {
            field.name: columns[field.name] if field.name in columns else _missing(field.type, size)
            for field in predictor.inputs
        }
        return cast("NDArray[np.float64]", predictor.predict(filled))

    return predict


def _ready(test: Callable[..., None], offered: Mapping[str, object]) -> Callable[[], None]:
    """A test with its parameters filled in: by their names, else in the order predict, rows."""
    spare = iter(offered.values())
    arguments = {name: offered.get(name, next(spare, None)) for name in inspect.signature(test).parameters}
    return partial(test, **arguments)


def _modules(folder: Path, place: str) -> Iterator[ModuleType]:
    if "/" not in place and not place.endswith(".py"):
        yield load_module(folder, place)
        return
    here = (folder / place).resolve()
    if not here.is_relative_to(folder.resolve()):
        raise NotFound(f"{place} is not in the project's folder.", hint="Write the path from the project's folder.")
    files = sorted(here.rglob("test_*.py")) if here.is_dir() else [here]
    if not all(file.is_file() for file in files):
        raise NotFound(f"There is no {place} in {folder.name}.", hint="Write the path from the project's folder.")
    for file in files:
        yield _executed(file)


def _executed(file: Path) -> ModuleType:
    spec = spec_from_file_location(f"everloop_behaviour_{file.stem}", file)
    if spec is None or spec.loader is None:
        raise NotFound(f"{file.name} is no Python file.")
    module = module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise StepFailed(f"Importing {file.name} failed: {type(error).__name__}: {error}.") from error
    return module


def _missing(kind: str, size: int) -> NDArray[np.generic]:
    return np.full(size, None, dtype=object) if kind == "string" else np.full(size, np.nan)
