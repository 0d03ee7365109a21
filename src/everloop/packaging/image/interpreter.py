"""The interpreter: the running CPython and its standard library, without what a server never asks for."""

from __future__ import annotations

import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

from everloop.packaging.bytecode import compiled, place_of
from everloop.packaging.image.layers import File, Files

HOME = "opt/python"
VERSION = f"python{sys.version_info.major}.{sys.version_info.minor}"
PYTHON = f"{HOME}/bin/{VERSION}"
LIBRARY = f"{HOME}/lib/{VERSION}"
SITE = f"{LIBRARY}/site-packages"
_NEEDLESS = frozenset({
    "__pycache__", "site-packages", "dist-packages", "test", "tests", "idlelib", "tkinter", "turtledemo", "ensurepip",
    "lib2to3", "pydoc_data", "distutils", "venv", "msilib", "curses", "dbm", "wsgiref", "xmlrpc",
})  # fmt: skip
_NEEDLESS_FILES = frozenset({"turtle.py", "antigravity.py", "this.py", "sitecustomize.py"})
_NEEDLESS_EXTENSIONS = (
    "_tkinter", "nis", "_curses", "readline", "_test", "_xx", "xx", "_dbm", "_gdbm", "ossaudiodev", "spwd", "_crypt",
    "audioop", "_codecs_", "_lsprof",
)  # fmt: skip
_SITE = f"""import site
import sys

if not any(path.endswith("/{VERSION}/site-packages") for path in sys.path):  # Debian's Python looks elsewhere.
    site.addsitedir(f"{{sys.prefix}}/lib/{VERSION}/site-packages")
"""


def sources() -> list[tuple[str, Path]]:
    """The interpreter and its library: where each file goes, and where it lies here."""
    library = Path(sysconfig.get_path("stdlib"))
    found = [(f"{LIBRARY}/{path.relative_to(library).as_posix()}", path) for path in _walked(library)]
    return [(PYTHON, Path(sys.executable).resolve()), *sorted(found)]


def binaries() -> list[Path]:
    """What of the interpreter is compiled code."""
    return [path for place, path in sources() if place == PYTHON or place.endswith(".so")]


def interpreter_files() -> dict[str, File]:
    """The interpreter as it goes into an image, with its library compiled."""
    files = with_bytecode({place: File(path) for place, path in sources()})
    files |= with_bytecode({f"{LIBRARY}/sitecustomize.py": File(_SITE.encode())})
    return files | {PYTHON: File(Path(sys.executable).resolve(), 0o755)}


def with_bytecode(files: Files) -> dict[str, File]:
    """The files, with what Python would make of each source beside it."""
    made = dict(files)
    for place, file in files.items():
        if not place.endswith(".py") or file.link:
            continue
        near = file.data if isinstance(file.data, Path) else None
        source = near.read_bytes() if near else file.data
        code = compiled(source if isinstance(source, bytes) else b"", f"/{place}", near)
        if code is not None:
            made[place_of(place)] = File(code)
    return made


def _walked(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if path.is_dir():
            if path.name not in _NEEDLESS and not path.name.startswith("config-"):
                yield from _walked(path)
        elif path.suffix == ".so":
            if not path.name.startswith(_NEEDLESS_EXTENSIONS):
                yield path
        elif path.suffix == ".py" and path.name not in _NEEDLESS_FILES:
            yield path
