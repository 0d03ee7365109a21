"""The user's own modules that a pickled model reaches, kept as the source that a reviewer can read."""

from __future__ import annotations

import ast
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from importlib.metadata import packages_distributions
from importlib.util import find_spec
from pathlib import Path

from everloop.backends.flavors import modelfolder
from everloop.registry import pickles

CODE = "code"
"""The folder of a model that its modules are in; it is put on the path when the model is loaded in its sandbox."""
REQUIREMENTS = "requirements.txt"
_HOUSE = "everloop"


def keep(folder: Path, modules: Iterable[str], always: Iterable[str] = ()) -> None:
    """Copy the user's own modules among these and all of theirs that they import, and pin what they import besides.

    A module is the user's own when it is neither Everloop's, nor the standard library's, nor installed.
    """
    sources, libraries = _reached(modules)
    for path, text in sources.items():
        (folder / CODE / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / CODE / path).write_bytes(text)
    names = packages_distributions()
    wanted = {name for library in libraries for name in names.get(library, ())} - {_HOUSE}
    lines = sorted({*modelfolder.pinned(wanted), *always})
    (folder / REQUIREMENTS).write_text("".join(f"{line}\n" for line in lines))


def modules_of(pickled: bytes) -> list[str]:
    """The modules that a pickle names, in order."""
    return list(dict.fromkeys(module for module, _ in pickles.named(pickled)))


def own(module: str) -> bool:
    """Whether a module is the user's own, and a file that can be copied."""
    return _file(module) is not None


def _reached(modules: Iterable[str]) -> tuple[dict[str, bytes], set[str]]:
    """The sources by path, and the top-level names of everything else that they import."""
    found: dict[str, bytes] = {}
    others: set[str] = set()
    waiting = list(modules)
    while waiting:
        module = waiting.pop()
        file = _file(module)
        if file is None:
            others.add(module.partition(".")[0])
            continue
        path = f"{module.replace('.', '/')}{'/__init__' if file.name == '__init__.py' else ''}.py"
        if path not in found:
            found[path] = file.read_bytes()
            waiting += [name for name in _imports(module, file, found[path]) if _is_module(name)]
            waiting += [module.rpartition(".")[0]] if "." in module else []
    return found, others - set(sys.stdlib_module_names)


def _file(module: str) -> Path | None:
    top = module.partition(".")[0]
    if top in (_HOUSE, "__main__") or top in sys.stdlib_module_names:
        return None
    loaded = sys.modules.get(module)
    origin = getattr(loaded, "__file__", None) if loaded is not None else _origin(module)
    path = Path(origin).resolve() if origin and str(origin).endswith(".py") else None
    return None if path is None or any(path.is_relative_to(place) for place in _installed()) else path


def _origin(module: str) -> str | None:
    try:
        spec = find_spec(module)
    except (ImportError, ValueError):
        return None
    return spec.origin if spec is not None else None


def _is_module(name: str) -> bool:
    """Names inside of modules look like modules where they are imported from one."""
    return name in sys.modules or _origin(name) is not None or "." not in name


def _installed() -> list[Path]:
    return [Path(sysconfig.get_path(name)).resolve() for name in ("purelib", "platlib", "stdlib")]


def _imports(module: str, file: Path, source: bytes) -> Iterator[str]:
    package = module if file.name == "__init__.py" else module.rpartition(".")[0]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parts = package.split(".")
            base = ".".join(parts[: len(parts) - node.level + 1]) if node.level else ""
            start = ".".join(part for part in (base, node.module or "") if part)
            yield from ([start] if start else [])
            yield from (f"{start}.{alias.name}" for alias in node.names)
