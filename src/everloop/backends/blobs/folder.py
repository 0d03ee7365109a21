"""Blobs in a folder of the local disk."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from urllib.parse import unquote, urlsplit

from everloop.kernel.clock import from_micros
from everloop.kernel.errors import Misconfigured, NotFound, Unavailable
from everloop.store.blobs import Blob, checked_key

_AT_ONCE = 8
"""Writers that wait for the disk at the same time: their syncs share the file system's journal commits."""
_BATCH = 256


class FolderBlobs:
    """A file for each key. Writes go to a temporary file that is synced and then renamed, so none is ever half there.

    What a killed writer left in `staging/` shows up as a key nobody points to, and goes with the next sweep.
    """

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
        """Keep the bytes under the key.

        Raises:
            Unavailable: the disk is full or cannot be written; then nothing is kept.
        """
        _sync_folder(self._write(key, data))

    def put_all(self, items: Iterable[tuple[str, bytes]]) -> None:
        """Keep many, several at a time."""
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            left = iter(items)
            while batch := list(islice(left, _BATCH)):
                folders = set(pool.map(lambda item: self._write(*item), batch))
                list(pool.map(_sync_folder, folders))

    def get(self, key: str) -> bytes:
        """The bytes under the key."""
        try:
            return self._path(key).read_bytes()
        except FileNotFoundError:
            raise NotFound(f"The store has nothing under {key}.") from None

    def get_all(self, keys: Iterable[str]) -> Iterator[bytes]:
        """The bytes under many keys, in their order."""
        return map(self.get, keys)

    def has(self, key: str) -> bool:
        """Whether there is something under the key."""
        return self._path(key).exists()

    def touch(self, key: str) -> bool:
        """Whether there is something under the key; its time of change becomes now."""
        try:
            os.utime(self._path(key))
        except FileNotFoundError:
            return False
        return True

    def delete(self, key: str) -> None:
        """Remove the key."""
        self._path(key).unlink(missing_ok=True)

    def keys(self, prefix: str) -> Iterator[Blob]:
        """Every key that starts with the prefix."""
        top = self._folder / prefix.rpartition("/")[0]
        for folder, _, names in os.walk(top):
            for name in names:
                path = Path(folder) / name
                key = path.relative_to(self._folder).as_posix()
                if key.startswith(prefix):
                    yield from _blob(key, path)

    def _write(self, key: str, data: bytes) -> Path:
        target = self._path(key)
        if self.touch(key):
            return target.parent
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(dir=self._staging)
        except OSError as error:
            raise _unwritable(self._folder, error) from None
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fdatasync(file.fileno())
            Path(name).replace(target)
        except OSError as error:
            Path(name).unlink(missing_ok=True)
            raise _unwritable(self._folder, error) from None
        return target.parent

    def _path(self, key: str) -> Path:
        return self._folder / checked_key(key)


def open_blobs(url: str) -> FolderBlobs:
    """The blobs in the folder that a `file:///…` URL or a plain path names.

    Raises:
        Misconfigured: the URL names no absolute path.
    """
    parts = urlsplit(url)
    if parts.scheme == "file" and (parts.netloc not in ("", "localhost") or not parts.path.strip("/")):
        raise Misconfigured(f"The store's URL {url} names no folder.", hint="Write file:///path, with three slashes.")
    return FolderBlobs(Path(unquote(parts.path) if parts.scheme == "file" else url))


def _blob(key: str, path: Path) -> Iterator[Blob]:
    try:
        found = path.stat()
    except FileNotFoundError:  # Another process removed it meanwhile.
        return
    yield Blob(key, found.st_size, from_micros(found.st_mtime_ns // 1000))


def _sync_folder(folder: Path) -> None:
    """Make renames into a folder survive a loss of power."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _unwritable(folder: Path, error: OSError) -> Unavailable:
    return Unavailable(
        f"The store's folder {folder} cannot be written ({error.strerror}).",
        hint="Free space there, or mend its permissions.",
    )
