"""Copies of a run's files, under their digests, until they are shipped: what is logged may be changed right after."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from everloop.kernel.errors import NotFound
from everloop.store.entities import Digest

_BLOCK = 1 << 20


class Spool:
    """A folder of files by digest."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def keep(self, content: bytes | Path) -> tuple[Digest, int]:
        """Copy bytes, or a file's; their digest and how many there are. On the disk when this returns.

        Raises:
            NotFound: there is no such file.
        """
        from blake3 import blake3

        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle, name = tempfile.mkstemp(dir=self._folder, prefix=".")
        try:
            hasher, size = blake3(), 0
            with os.fdopen(handle, "wb") as copy:
                for block in _blocks(content):
                    hasher.update(block)
                    size += copy.write(block)
                copy.flush()
                os.fdatasync(copy.fileno())
            digest = Digest(hasher.hexdigest())
            Path(name).replace(self._folder / digest)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
        return digest, size

    def path(self, digest: str) -> Path | None:
        """The copy with a digest, if it is still here."""
        path = self._folder / digest
        return path if path.is_file() else None


def _blocks(content: bytes | Path) -> Iterator[bytes]:
    if not isinstance(content, Path):
        yield content
        return
    try:
        with content.open("rb") as file:
            while block := file.read(_BLOCK):
                yield block
    except (FileNotFoundError, IsADirectoryError):
        raise NotFound(f"There is no file {content}.", hint="Check the path; folders go with log_artifact.") from None
