"""A project's modules, imported as their files are now."""

from __future__ import annotations

import importlib
import linecache
import sys
import threading
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

from everloop.kernel.errors import EverloopError, InvalidInput, NotFound, StepFailed
from everloop.store.service import digest_of

T = TypeVar("T")
_lock = threading.RLock()
_read: dict[str, str] = {}
"""What each module of a project was read from: the digest of its file, by name."""


class FreshLoader(SourceFileLoader):
    """Compiles a module from its source each time: a cached bytecode file may be older than an edit within its second."""

    def path_stats(self, path: str) -> Any:
        """Refused, which is how import is told that there is no cache."""
        raise OSError("the source is always read")

    def get_data(self, path: str) -> bytes:
        """The bytes of the source, whose digest is noted."""
        data = super().get_data(path)
        if path == self.path:
            _read[self.name] = digest_of(data)
        return data


class ProjectFinder(MetaPathFinder):
    """Finds the modules below a project's folder, and has them loaded fresh."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The module's spec when it stands below the folder."""
        spec = PathFinder.find_spec(fullname, [str(self.folder)] if path is None else path, target)
        if spec is None or spec.origin is None or type(spec.loader) is not SourceFileLoader:
            return None
        if not is_within(Path(spec.origin), self.folder):
            return None
        spec.loader = FreshLoader(fullname, spec.origin)
        return spec


def load_module(folder: Path, module: str) -> ModuleType:
    """A module of a project, as the files are now: when one of the project's has changed, all are imported again.

    Raises:
        NotFound: there is no such module.
        StepFailed: importing it raises.
    """
    with _lock:
        root = folder.resolve()
        if not any(isinstance(finder, ProjectFinder) and finder.folder == root for finder in sys.meta_path):
            sys.meta_path.insert(0, ProjectFinder(root))
            importlib.invalidate_caches()
        _forget_changed(root)
        return _imported(module, root)


def load(folder: Path, target: str, kind: type[T]) -> T:
    """The object of a kind that `module:name` names.

    Raises:
        InvalidInput: the target has another form, or is something else.
        NotFound: there is no such module or name.
    """
    module, separator, qualified = target.partition(":")
    if not separator:
        raise InvalidInput(f"{target!r} does not name a function.", hint="Write module:function.")
    found: object = load_module(folder, module) if str(folder) else _imported(module, folder)
    for part in qualified.split("."):
        found = getattr(found, part, None)
    if found is None:
        raise NotFound(f"{module} has no {qualified}.", hint="Apply the project again: everloop apply.")
    if not isinstance(found, kind):
        raise InvalidInput(
            f"{target} is no {kind.__name__.lower()}.", hint=f"Declare it with @{kind.__name__.lower()}."
        )
    return found


def folder_of(module: str) -> Path:
    """The folder that a module is imported from."""
    found = sys.modules.get(module)
    file = getattr(found, "__file__", None)
    if not file:
        return Path.cwd()
    depth = module.count(".") + (Path(file).stem == "__init__")
    return Path(file).resolve().parents[depth]


def is_within(path: Path, folder: Path) -> bool:
    """Whether a file is part of the project in a folder; what is installed below it is not."""
    resolved = path.resolve()
    return resolved.is_relative_to(folder) and not {"site-packages", "dist-packages"} & set(resolved.parts)


def _imported(module: str, folder: Path) -> ModuleType:
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name and (module == error.name or module.startswith(f"{error.name}.")):
            raise NotFound(
                f"There is no module {module!r} in {folder}.", hint="Check the folder and the name."
            ) from None
        raise StepFailed(f"Importing {module} failed: {error}.", hint=f"Install {error.name}.") from error
    except EverloopError:
        raise
    except Exception as error:  # noqa: BLE001 - a user's module may raise anything
        raise StepFailed(f"Importing {module} failed: {type(error).__name__}: {error}.") from error


def _forget_changed(root: Path) -> None:
    mine = {name: Path(file) for name, file in _files() if is_within(Path(file), root)}
    changed = [name for name, file in mine.items() if name in _read and _read[name] != _digest(file)]
    if changed:
        for name in mine:
            if name in _read:
                del sys.modules[name], _read[name]
        importlib.invalidate_caches()
        linecache.checkcache()


def _files() -> list[tuple[str, str]]:
    found = ((name, getattr(module, "__file__", None)) for name, module in list(sys.modules.items()))
    return [(name, file) for name, file in found if isinstance(file, str)]


def _digest(file: Path) -> str:
    return digest_of(file.read_bytes()) if file.is_file() else ""
