"""Shared libraries: what compiled code asks the system for, found by the system's own loader."""

from __future__ import annotations

import platform
import re
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from everloop.kernel.errors import Misconfigured, Refused

_LINE = re.compile(r"^\s*(?:(\S+) => )?(/\S+) \(0x[0-9a-f]+\)$", re.MULTILINE)
_MISSING = re.compile(r"^\s*(\S+) => not found$", re.MULTILINE)
_ALWAYS = ("libnss_files.so.2", "libnss_dns.so.2", "libresolv.so.2")
"""What the C library opens by itself to look up names; newer ones have it inside."""


def loader_and_libraries(binaries: Iterable[Path], bundled: Iterable[Path]) -> dict[str, Path]:
    """The loader and each library that the binaries need from the system: where it goes in an image → the file here.

    What lies below a `bundled` folder comes along anyway. Libraries land in the C library's folder, where its loader
    looks by itself, whatever folder they have here.

    Raises:
        Misconfigured: this is no Linux with glibc, or a library is missing.
    """
    if sys.platform != "linux" or platform.libc_ver()[0] != "glibc":
        raise Misconfigured("Images are made on Linux with glibc only.", hint="Build it there, or take another form.")
    paths = sorted({str(path) for path in binaries})
    said = "".join(_asked(paths[at : at + 200]) for at in range(0, len(paths), 200))
    brought = {Path(path).name for path in paths}
    missing = sorted(set(_MISSING.findall(said)) - brought)
    if missing:
        raise Refused(f"The package needs {', '.join(missing)}, which this system lacks.", hint="Install them first.")
    roots = tuple(f"{folder.resolve()}/" for folder in bundled)
    found = {name or path: Path(path) for name, path in _LINE.findall(said)}
    return _placed({name: path for name, path in found.items() if not str(path.resolve()).startswith(roots)})


def loader_of_this_python() -> tuple[str, str]:
    """Where images have the loader, and the folder that it looks for libraries in."""
    placed = _placed(
        {name or path: Path(path) for name, path in _LINE.findall(_asked([str(Path(sys.executable).resolve())]))}
    )
    loader = next(place for place in placed if "ld-linux" in place)
    return loader, next(place for place in placed if place.endswith("/libc.so.6")).rpartition("/")[0]


def _asked(paths: list[str]) -> str:
    try:
        return subprocess.run(
            ["ldd", *paths], capture_output=True, text=True, check=False, env={"LC_ALL": "C", "PATH": "/usr/bin:/bin"}
        ).stdout
    except OSError:
        raise Misconfigured(
            "ldd is missing, which says what libraries a binary needs.", hint="Install libc-bin."
        ) from None


def _placed(found: dict[str, Path]) -> dict[str, Path]:
    loader = next((name for name in found if name.startswith("/") and "ld-linux" in name), "")
    libc = found.get("libc.so.6")
    if not loader or libc is None:
        raise Misconfigured("Python here is not linked to the system's C library.", hint="Use another build of Python.")
    folder = libc.parent
    placed = {loader.lstrip("/"): Path(loader).resolve()}
    for name, path in found.items():
        if not name.startswith("/"):
            placed[f"{folder}/{name}".lstrip("/")] = path.resolve()
    for name in _ALWAYS:
        if (folder / name).exists():
            placed[f"{folder}/{name}".lstrip("/")] = (folder / name).resolve()
    return placed
