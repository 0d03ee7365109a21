"""Files of runs elsewhere: found below the folder that is theirs, and nowhere else."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from everloop.tracking.imports.entities import ForeignFile
from everloop.tracking.paths import LONGEST_PATH

Telling = Callable[[str, str], None]
"""Is told what was not taken, and why."""


def below(root: Path, tell: Telling, beside: Path | None = None) -> Iterator[ForeignFile]:
    """The files below a folder, by path; links that lead out of it, and names that no path here has, are told of.

    What a link leads to is looked for below the folder `beside`, where one is given.
    """
    real = root.resolve()
    for folder, names, files in os.walk(root):
        names.sort()
        for name in [it for it in names if (Path(folder) / it).is_symlink()]:
            tell(str((Path(folder) / name).relative_to(root)), "it is a link to a folder")
        for name in sorted(files):
            path = Path(folder) / name
            inside = path.relative_to(root).as_posix()
            found = tail_in(beside, path.readlink().parts, 1) if beside is not None and path.is_symlink() else None
            why = _refused(found or path, inside, beside.resolve() if found and beside else real)
            if why:
                tell(inside, why)
            else:
                yield ForeignFile(inside, found or path)


def tail_in(folder: Path, parts: tuple[str, ...], fewest: int) -> Path | None:
    """What lies below a folder and a path elsewhere names with its last parts, as many of them as lead somewhere."""
    for start in range(len(parts) - fewest + 1):
        candidate = folder.joinpath(*(it for it in parts[start:] if it != "/"))
        if candidate.exists() and candidate.resolve().is_relative_to(folder.resolve()):
            return candidate
    return None


def state_of(root: Path) -> list[tuple[str, int, int]]:
    """The files below a folder with their sizes and times: what tells that one has changed."""
    found = []
    for folder, _, files in os.walk(root):
        for name in files:
            path = Path(folder) / name
            try:
                known = path.stat()
            except OSError:
                continue
            found.append((path.relative_to(root).as_posix(), known.st_size, known.st_mtime_ns))
    return sorted(found)


def _refused(path: Path, inside: str, root: Path) -> str:
    if not path.resolve().is_relative_to(root):
        return "it is a link that leads out of the folder"
    if not path.is_file():
        return "it is no file"
    if len(inside) > LONGEST_PATH or not inside.isprintable():
        return f"no path here has more than {LONGEST_PATH} characters, or one that cannot be printed"
    return "" if os.access(path, os.R_OK) else "it cannot be read"
