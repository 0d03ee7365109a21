"""Where the artifacts of another tracker are on this machine."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from everloop.tracking.imports.folders import tail_in

_HERE = ("", "file")


class Artifacts:
    """Finds folders of artifacts by the URIs that a store has for them.

    With a `folder` they are looked for below it only: there the last parts of a URI's path must lead to one. Without,
    a URI must be a path on this machine, and name the run that it is of: a store says what it likes, and must not make
    us read what is no artifact.
    """

    def __init__(self, folder: Path | None, beginning: Path | None) -> None:
        self._folder = folder
        self._beginning = beginning
        self.found = 0
        """How many folders were found below the one that was given."""

    def of(self, uri: str, id: str) -> Path | str:
        """The folder of a run's or model's artifacts, or why there is none: empty where it just has none."""
        parts = urlsplit(uri)
        pure = PurePosixPath(unquote(parts.path))
        if not uri:
            return ""
        if ".." in pure.parts or id not in pure.parts:
            return f"{uri[:200]} is no place of {id}"
        if self._folder is not None:
            return self._below(self._folder, tuple(part for part in pure.parts if part != "/"), id)
        if parts.scheme not in _HERE:
            return f"they are at {uri[:200]}: copy them here, and say where with --artifacts"
        if not pure.is_absolute() and self._beginning is not None:
            pure = PurePosixPath(self._beginning) / pure
        path = Path(pure)
        if path.is_dir():
            return path
        root = next(above for above in path.parents if id not in above.parts)
        # MLflow makes the folder of a run with its first artifact.
        return "" if root.is_dir() else f"there is no folder {root}"

    def _below(self, folder: Path, parts: tuple[str, ...], id: str) -> Path | str:
        fewest = len(parts) - parts.index(id)
        found = tail_in(folder, parts, fewest)
        self.found += found is not None
        return found or ""
