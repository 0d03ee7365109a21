"""What is a library and what is the project, and which version a library has."""

from __future__ import annotations

import functools
import importlib.util
import os
import sys
import sysconfig
from importlib import metadata
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

EVERLOOP = str(Path(__file__).resolve().parents[1]) + os.sep
"""Where Everloop itself is."""
_SITES = tuple(
    {str(Path(sysconfig.get_path(name)).resolve()) + os.sep for name in ("stdlib", "platstdlib", "purelib", "platlib")}
)
_versions: dict[str, tuple[ModuleType | None, str]] = {}
"""The versions that were looked up, each with the module that was loaded then."""


def is_installed(file: str) -> bool:
    """Whether a file belongs to Python, an installed library or Everloop, and not to a project."""
    if file.startswith(("<frozen", EVERLOOP, *_SITES)):
        return True
    return "site-packages" in file or "dist-packages" in file


def version_of(package: str) -> str:
    """The version of the distribution that a top-level package comes from, or what the package says of itself."""
    module = sys.modules.get(package)
    known = _versions.get(package)
    if known is None or known[0] is not module:
        known = _versions[package] = (module, _find_version(package, module))
    return known[1]


def file_of(module: ModuleType | None) -> str:
    """The file of a module; empty for one that is built in or was never in a file."""
    return str(getattr(module, "__file__", None) or "")


@functools.lru_cache(maxsize=1_000)
def spec_of(package: str) -> ModuleSpec | None:
    """Where a top-level package would be imported from, without importing it."""
    try:
        return importlib.util.find_spec(package)
    except (ImportError, ValueError):
        return None


def origin_of(spec: ModuleSpec) -> str:
    """The file or folder that a spec leads to."""
    if spec.origin in ("frozen", "built-in"):
        return "<frozen"
    places = list(spec.submodule_search_locations or ())
    return str(spec.origin or (places[0] if places else ""))


def _find_version(package: str, module: ModuleType | None) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        names = metadata.packages_distributions().get(package, [])
    if names:
        return " ".join(metadata.version(name) for name in names)
    return str(getattr(module, "__version__", ""))
