"""Processing: the project's own code around a model, the same that it was trained with, held to what was deployed."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import FunctionType
from typing import Any

import numpy as np
from msgspec.structs import replace

from everloop.catalog.session import Session
from everloop.kernel.errors import EverloopError, InvalidInput, NotFound, Refused
from everloop.pipelines import service as pipelines
from everloop.pipelines.declare import Step
from everloop.pipelines.fingerprint import fingerprint
from everloop.pipelines.project import is_within, load, loaded_folders
from everloop.registry.columns import check_inputs
from everloop.registry.entities import Field, Signature
from everloop.serving.configuration import Code

Columns = Mapping[str, np.ndarray]
_VERSION = "1"
"""Part of every digest: raise it when the same code would be called otherwise."""


class Before:
    """Makes what a model takes of what comes: of requests, and of features."""

    def __init__(self, code: Code, takes: Sequence[Field], gives: Sequence[Field]) -> None:
        self.digest = code.digest
        self.takes = tuple(takes)
        self.gives = tuple(gives)
        self._signature = Signature(self.gives, ())
        self._name = code.function
        self._function = loaded(code)

    def __call__(self, columns: Columns) -> dict[str, np.ndarray]:
        """The model's inputs. The function gets copies, so that it may write into them.

        Raises:
            EverloopError: what it gave is not what the model takes.
        """
        count = len(columns[self.takes[0].name]) if self.takes else 0
        given = self._function({field.name: np.array(columns[field.name]) for field in self.takes})
        try:
            made = {field.name: np.asarray(given[field.name]) for field in self.gives}
            found = check_inputs(self._signature, made)
        except KeyError as error:
            raise EverloopError(f"{self._name} gave no {error.args[0]!r}, which the model takes.") from None
        except InvalidInput as error:
            raise EverloopError(f"{self._name} gave what the model does not take: {error.message}") from None
        if found != count:
            raise EverloopError(f"{self._name} made {found} rows of {count}.")
        return made

    def missing(self, count: int) -> dict[str, np.ndarray]:
        """What stands for the model's inputs in rows of which none could be made."""
        return {
            field.name: np.full(count, None, dtype=object)
            if field.type in ("string", "bytes")
            else np.full(count, np.nan)
            for field in self.gives
        }


class After:
    """Makes answers of a model's scores."""

    def __init__(self, code: Code) -> None:
        self._name = code.function
        self._function = loaded(code)

    def __call__(self, scores: np.ndarray) -> np.ndarray:
        """The answers.

        Raises:
            EverloopError: they are not as many as the scores.
        """
        made = np.asarray(self._function(np.array(scores)), dtype=np.float64)
        if made.shape != scores.shape:
            raise EverloopError(f"{self._name} made answers of shape {made.shape} of scores of shape {scores.shape}.")
        return made


def pinned_code(session: Session, code: Code) -> Code:
    """The code with the folder of the project that has it, and its digest as it is now.

    Raises:
        InvalidInput: it names no function of a project.
        NotFound: no project has it.
    """
    module = code.function.partition(":")[0]
    for folder in _projects(session):
        place = folder / module.replace(".", "/")
        if place.with_suffix(".py").is_file() or (place / "__init__.py").is_file():
            found = replace(code, folder=str(folder), digest="")
            return replace(found, digest=_digest(found.function, _function(found)))
    raise NotFound(
        f"No project here has the module {module!r}.",
        hint="Name it as module:function, in the folder of an applied pipeline, or deploy from the project's folder.",
    )


def loaded(code: Code) -> Callable[[Any], Any]:
    """The function, which must be what it was when it was deployed.

    Raises:
        Refused: it has changed since, or what it calls, or the version of a library.
        NotFound: it is gone.
    """
    function = _function(code)
    if _digest(code.function, function) != code.digest:
        raise Refused(
            f"{code.function} in {code.folder} is not what it was when this was deployed: it, what it calls or a "
            "library has changed.",
            hint="Deploy anew, which takes the code as it is now (everloop apply), or put back the code of before.",
        )
    return function


def _projects(session: Session) -> Iterator[Path]:
    """The folders of the projects that are known here; what somebody far away names is none."""
    yield from dict.fromkeys(Path(one.folder) for one in pipelines.list_pipelines(session) if one.folder)
    yield Path.cwd()
    yield from loaded_folders()


def _function(code: Code) -> FunctionType:
    found: object = load(Path(code.folder), code.function, object)
    if isinstance(found, Step):
        found = found.function
    file = getattr(sys.modules.get(getattr(found, "__module__", "")), "__file__", None)
    if not isinstance(found, FunctionType) or not file or not is_within(Path(file), Path(code.folder).resolve()):
        raise InvalidInput(
            f"{code.function} is no function of the project in {code.folder}.", hint="Write a def in it that calls it."
        )
    return found


def _digest(name: str, function: FunctionType) -> str:
    return fingerprint(_VERSION, sys.implementation.name, sys.version_info[:2], name, function)
