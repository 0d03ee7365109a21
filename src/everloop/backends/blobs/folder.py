"""Blobs in a folder of the local disk."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

from everloop.kernel.errors import Misconfigured, NotFound


class FolderBlobs:
    """A file for each key. Writes go to a temporary file that is synced and then renamed, so none is ever half there."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._staging = folder / "staging"
        try:
            self._staging.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise Misconfigured(
                f"The store's folder {folder} cannot be made ({error.strerror}).",
                hint="Choose another with EVERLOOP_STORE_URL.",
            ) from None

    def put(self, key: str, data: bytes) -> None:
        """Keep the bytes under the key."""
        target = self._folder / key
        if target.exists():
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=self._staging)
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fdatasync(file.fileno())
        os.replace(name, target)

    def get(self, key: str) -> bytes:
        """The bytes under the key."""
        try:
            return (self._folder / key).read_bytes()
        except FileNotFoundError:
            raise NotFound(f"The store has nothing under {key}.") from None

    def has(self, key: str) -> bool:
        """Whether there is something under the key."""
        return (self._folder / key).exists()

    def delete(self, key: str) -> None:
        """Remove the key."""
        (self._folder / key).unlink(missing_ok=True)

    def keys(self, prefix: str) -> Iterator[tuple[str, int]]:
        """Every key that starts with the prefix, with the size in bytes."""
        for folder, _, names in os.walk(self._folder):
            if Path(folder) == self._staging:
                continue
            for name in names:
                path = Path(folder) / name
                key = path.relative_to(self._folder).as_posix()
                if key.startswith(prefix):
                    yield key, path.stat().st_size


def open_blobs(url: str) -> FolderBlobs:
    """The blobs in the folder that a `file:///…` URL or a plain path names."""
    parts = urlsplit(url)
    return FolderBlobs(Path(unquote(parts.path) if parts.scheme == "file" else url))
