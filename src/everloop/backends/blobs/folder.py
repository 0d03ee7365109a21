"""Blobs in a folder of the local disk."""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import groupby, islice
from pathlib import Path
from urllib.parse import unquote, urlsplit

from blake3 import blake3

from everloop.kernel.clock import from_micros
from everloop.kernel.errors import Conflict, Misconfigured, NotFound, Unavailable
from everloop.store.blobs import Blob, Range, checked_key

_AT_ONCE = 8
"""Writers that wait for the disk at the same time: their syncs share the file system's journal commits."""
_BATCH = 256
_PIECE = 1 << 20
"""Files are written in pieces of so many bytes: ext4 takes ten times as long for 32 MB in one call."""


class FolderBlobs:
    """A file for each key. Writes go to a temporary file that is synced and then renamed, so none is ever half there.

    What a killed writer left in `staging/` shows up as a key nobody points to, and goes with the next sweep.
    Folders whose name begins with a dot are for caches beside the bytes, and are never listed.
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

    @property
    def local(self) -> Path | None:
        """The folder."""
        return self._folder

    def put(self, key: str, data: bytes | bytearray | memoryview) -> None:
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

    def get_range(self, key: str, start: int, length: int) -> bytes:
        """Some of the bytes under the key."""
        with self._opened(key) as handle:
            return os.pread(handle, length, start)

    def get_ranges(self, ranges: Iterable[Range]) -> Iterator[bytes]:
        """Many stretches, in their order; a file is opened once for those of it that follow each other."""
        for key, stretches in groupby(ranges, lambda stretch: stretch.key):
            with self._opened(key) as handle:
                for _, start, length in stretches:
                    yield os.pread(handle, length, start)

    def read_tagged(self, key: str) -> tuple[bytes, str]:
        """The bytes under a key that changes; their tag is their BLAKE3."""
        data = self.get(key)
        return data, blake3(data).hexdigest()

    def swap(self, key: str, data: bytes, expected: str | None) -> str:
        """Write a key that changes, if it still has the expected tag: one process after the other, by a lock."""
        target = self._path(key)
        with self._locked(key):
            found = blake3(target.read_bytes()).hexdigest() if target.exists() else None
            if found != expected:
                raise Conflict(f"{key} was changed by somebody else meanwhile.", hint="Read it again, and try again.")
            _sync_folder(self._replace(target, data))
        return blake3(data).hexdigest()

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
        yield from _listed(self._folder, prefix.rpartition("/")[0], prefix)

    def _write(self, key: str, data: bytes | bytearray | memoryview) -> Path:
        target = self._path(key)
        return target.parent if self.touch(key) else self._replace(target, data)

    def _replace(self, target: Path, data: bytes | bytearray | memoryview) -> Path:
        """Write a file whole or not at all; the folder to sync."""
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(dir=self._staging)
        except OSError as error:
            raise _unwritable(self._folder, error) from None
        try:
            with os.fdopen(handle, "wb") as file:
                for at in range(0, len(data), _PIECE):
                    file.write(memoryview(data)[at : at + _PIECE])
                file.flush()
                os.fdatasync(file.fileno())
            Path(name).replace(target)
        except OSError as error:
            Path(name).unlink(missing_ok=True)
            raise _unwritable(self._folder, error) from None
        return target.parent

    @contextmanager
    def _opened(self, key: str) -> Iterator[int]:
        try:
            handle = os.open(self._path(key), os.O_RDONLY)
        except FileNotFoundError:
            raise NotFound(f"The store has nothing under {key}.") from None
        try:
            yield handle
        finally:
            os.close(handle)

    @contextmanager
    def _locked(self, key: str) -> Iterator[None]:
        """Nobody else swaps this key; a killed process's lock goes with it."""
        place = self._folder / ".locks" / blake3(key.encode()).hexdigest(length=8)
        try:
            place.parent.mkdir(exist_ok=True)
            handle = os.open(place, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError as error:
            raise _unwritable(self._folder, error) from None
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)

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


def _listed(root: Path, below: str, prefix: str) -> Iterator[Blob]:
    try:
        found = [entry for entry in os.scandir(root / below) if not entry.name.startswith(".")]
    except (FileNotFoundError, NotADirectoryError):
        return
    for entry in found:
        key = f"{below}/{entry.name}" if below else entry.name
        if entry.is_dir(follow_symlinks=False):
            if key.startswith(prefix) or prefix.startswith(f"{key}/"):
                yield from _listed(root, key, prefix)
        elif key.startswith(prefix):
            yield from _blob(key, entry)


def _blob(key: str, entry: os.DirEntry[str]) -> Iterator[Blob]:
    try:
        found = entry.stat()
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
