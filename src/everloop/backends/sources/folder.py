"""Files in a folder of this machine, outside of the home."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

from everloop.datasets.remotes.reach import Reach
from everloop.datasets.remotes.sources import Reference, same
from everloop.kernel.errors import Conflict, InvalidInput, NotFound
from everloop.store.paths import check_path

_BLOCK = 1 << 20


class FolderSource:
    """The regular files below a folder; symbolic links are not followed. A file's tag is when it was modified."""

    def __init__(self, folder: Path, url: str) -> None:
        self._folder = folder
        self._url = url

    def listed(self) -> Iterator[Reference]:
        """Every file, by path."""
        if not self._folder.is_dir():
            raise NotFound(f"There is no folder {self._folder}.", hint="Name one that is there: file:///path.")
        for top, folders, names in os.walk(self._folder):
            folders.sort()
            for name in sorted(names):
                path = Path(top, name)
                if path.is_file() and not path.is_symlink():
                    yield self._reference(path)

    def read(self, reference: Reference) -> Iterator[bytes]:
        """The bytes of a file; refused when it was changed before or while it was read."""
        check_path(reference.path)
        path = self._folder / reference.path
        try:
            with path.open("rb") as file:
                self._require(reference, path)
                while block := file.read(_BLOCK):
                    yield block
                self._require(reference, path)
        except FileNotFoundError:
            raise NotFound(f"There is no file {path} any more.") from None

    def _reference(self, path: Path) -> Reference:
        found = path.stat()
        return Reference(
            self._url, path.relative_to(self._folder).as_posix(), found.st_size, f"modified {found.st_mtime_ns}"
        )

    def _require(self, reference: Reference, path: Path) -> None:
        if not same(reference, self._reference(path)):
            raise Conflict(f"{path} was changed since it was imported.", hint="Import it again.")


def open_source(url: str, reach: Reach) -> FolderSource:
    """The files below the folder that `file:///path` names."""
    reach.check(url)
    parts = urlsplit(url)
    if parts.netloc not in ("", "localhost") or not parts.path.strip("/"):
        raise InvalidInput(f"{url} names no folder.", hint="Write file:///path, with three slashes.")
    return FolderSource(Path(unquote(parts.path)), url)
