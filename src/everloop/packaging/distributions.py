"""Distributions: which installed ones a package takes along, which of their files, and the lock that names them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path, PurePosixPath

import msgspec

from everloop.kernel.errors import Misconfigured

RUNTIME = ("msgspec", "numpy")
"""What every package needs to predict."""
SERVER = ("httptools", "starlette", "uvicorn", "uvloop")
"""What the server in a package needs beside."""
FUNCTION = ("httptools", "starlette", "uvicorn")
"""What a function needs beside, which is asked call by call and listens to nobody."""
_ALONE = frozenset({"lightgbm"})
"""Distributions of which only a shared library is used, so that nothing which they require is needed."""
_NEEDLESS_FOLDERS = frozenset({"tests", "test", "testing/data", "__pycache__", "f2py", "include", "_pyinstaller"})
_NEEDLESS_SUFFIXES = frozenset({".pyi", ".pyx", ".pxd", ".c", ".h", ".a", ".pyc", ".cpp", ".hpp", ".md", ".rst"})
_KEPT_METADATA = frozenset({"METADATA", "WHEEL", "entry_points.txt", "top_level.txt"})


class Packed(msgspec.Struct, frozen=True, order=True):
    """A distribution that goes along: `sha256` is over its installed files as its own RECORD lists them."""

    name: str
    version: str
    sha256: str
    license: str = ""
    tag: str = ""
    requires: tuple[str, ...] = ()

    @property
    def pin(self) -> str:
        """As pip reads it."""
        return f"{self.name}=={self.version}"


def normalized(name: str) -> str:
    """A distribution's name as registries compare it.

    >>> normalized("Scikit_Learn")
    'scikit-learn'
    """
    return re.sub(r"[-_.]+", "-", name).lower()


def closure(names: Iterable[str]) -> tuple[Packed, ...]:
    """The distributions and all that they require here, by name.

    Raises:
        Misconfigured: one is not installed.
    """
    found: dict[str, Packed] = {}
    waiting = sorted({normalized(re.split(r"[^A-Za-z0-9._-]", name)[0]) for name in names})
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        installed = _installed(name)
        required = () if name in _ALONE else tuple(sorted(_required(installed)))
        found[name] = _described(name, installed, required)
        waiting.extend(required)
    return tuple(sorted(found.values()))


def files_of(name: str) -> Iterator[tuple[str, Path]]:
    """The files of a distribution that are needed to run it: the path below site-packages, and where it lies.

    Raises:
        Misconfigured: it is not installed as files (an editable install, an egg).
    """
    installed = _installed(name)
    listed = installed.files
    if not listed or installed.read_text("RECORD") is None:
        raise Misconfigured(
            f"{name} is not installed from a wheel, so it cannot be packed.", hint=f"pip install {name}"
        )
    for entry in listed:
        path = PurePosixPath(entry)
        if ".." not in path.parts and not path.is_absolute() and _needed(path):
            yield path.as_posix(), Path(str(installed.locate_file(entry)))


def lock(packed: Iterable[Packed]) -> bytes:
    """What is really in a package, pinned: pip reads it, and each comment says what the files hash to."""
    lines = [f"{one.pin}  # sha256:{one.sha256} {one.tag}".rstrip() + "\n" for one in packed]
    return "".join(lines).encode()


def _needed(path: PurePosixPath) -> bool:
    if path.parts[0].endswith(".dist-info"):
        return path.name in _KEPT_METADATA or "licen" in path.as_posix().lower()
    return not (_NEEDLESS_FOLDERS & set(path.parts[:-1]) or path.suffix in _NEEDLESS_SUFFIXES)


def _installed(name: str) -> Distribution:
    try:
        return distribution(name)
    except PackageNotFoundError:
        raise Misconfigured(f"A package needs {name}, which is not installed.", hint=f"pip install {name}") from None


def _required(installed: Distribution) -> set[str]:
    from packaging.requirements import Requirement

    wanted = [Requirement(line) for line in installed.requires or []]
    return {normalized(one.name) for one in wanted if one.marker is None or one.marker.evaluate({"extra": ""})}


def _said(installed: Distribution, key: str) -> str:
    return next((str(value) for value in installed.metadata.get_all(key) or () if value), "")


def _described(name: str, installed: Distribution, required: tuple[str, ...]) -> Packed:
    record = sorted(line for line in (installed.read_text("RECORD") or "").splitlines() if "sha256=" in line)
    wheel = installed.read_text("WHEEL") or ""
    tags = re.findall(r"^Tag: (.+)$", wheel, re.MULTILINE)
    license = _said(installed, "License-Expression") or _said(installed, "License")
    hashed = hashlib.sha256("\n".join(record).encode()).hexdigest()
    return Packed(
        name, installed.version, hashed, license.splitlines()[0][:80] if license else "", "".join(tags[:1]), required
    )
