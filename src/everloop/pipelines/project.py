"""A project's modules, imported as their files are now."""

from __future__ import annotations

import importlib
import linecache
import sys
import threading
from collections.abc import Iterable, Sequence
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
    """Compiles a module from its source each time: cached bytecode may be older than an edit within its second."""

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
        _look_first(root)
        _forget_others(module, root)
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


def loaded_folders() -> list[Path]:
    """The folders of the projects that modules are looked up in by this process, the last one first."""
    return [finder.folder for finder in sys.meta_path if isinstance(finder, ProjectFinder)]


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
    except Exception as error:
        raise StepFailed(f"Importing {module} failed: {type(error).__name__}: {error}.") from error


def _look_first(root: Path) -> None:
    """Have modules looked up in this project before any other."""
    others = [each for each in sys.meta_path if not (isinstance(each, ProjectFinder) and each.folder == root)]
    if len(others) == len(sys.meta_path) or not isinstance(sys.meta_path[0], ProjectFinder):
        importlib.invalidate_caches()
    sys.meta_path[:] = [ProjectFinder(root), *others]


def _forget_others(module: str, root: Path) -> None:
    """Forget a module of this name that another project brought in, and whatever else that project did."""
    top = sys.modules.get(module.partition(".")[0])
    places = [getattr(top, "__file__", None), *getattr(top, "__path__", [])] if top else []
    if top is None or any(is_within(Path(place), root) for place in places if place):
        return
    if (root / module.partition(".")[0]).is_dir() or (root / f"{module.partition('.')[0]}.py").is_file():
        _forget([name for name, file in _files() if not is_within(file, root)])


def _forget_changed(root: Path) -> None:
    """Forget every module of the project when the file of one has changed since it was imported."""
    mine = {name: file for name, file in _files() if is_within(file, root)}
    if any(_read[name] != _digest(file) for name, file in mine.items()):
        _forget(mine)


def _forget(names: Iterable[str]) -> None:
    for name in names:
        del sys.modules[name], _read[name]
    importlib.invalidate_caches()
    linecache.checkcache()


def _files() -> list[tuple[str, Path]]:
    """The modules that projects brought in, with their files."""
    found = ((name, getattr(sys.modules.get(name), "__file__", None)) for name in list(_read))
    return [(name, Path(file)) for name, file in found if isinstance(file, str)]


def _digest(file: Path) -> str:
    return digest_of(file.read_bytes()) if file.is_file() else ""
