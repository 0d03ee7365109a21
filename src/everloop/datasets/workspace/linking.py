"""Files that several folders share: kept once beside the store, read-only, and linked or cloned from there."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
from pathlib import Path

from everloop.datasets.workspace.entities import LinkMode
from everloop.datasets.workspace.reading import hash_file
from everloop.kernel.errors import Refused
from everloop.store.entities import TreeEntry
from everloop.store.service import Store

_FICLONE = 0x40049409
"""Linux's request that makes a file share the blocks of another (btrfs, XFS, bcachefs, ZFS)."""
_CANNOT = frozenset(
    (errno.EOPNOTSUPP, errno.EXDEV, errno.ENOTTY, errno.EINVAL, errno.EPERM, errno.EMLINK, errno.ENOSYS)
)


class Links:
    """Whole files by content in a folder of their own. It may be deleted at any time: what is linked stays."""

    def __init__(self, store: Store, folder: Path, mode: LinkMode) -> None:
        self._store = store
        self._folder = folder
        self._ways: list[LinkMode] = ["reflink", "hardlink", "copy"] if mode == "auto" else [mode]

    def put(self, entry: TreeEntry, target: Path) -> None:
        """Make a new file with an entry's content; hard links are read-only, since others see what is written to them.

        Raises:
            Refused: the file system has no such links.
        """
        source = self._source(entry)
        while True:
            try:
                return _make(self._ways[0], source, target)
            except OSError as error:
                if error.errno not in _CANNOT:
                    raise
                if len(self._ways) == 1:
                    raise Refused(
                        f"{target.parent} cannot have files by {self._ways[0]} ({error.strerror}).",
                        hint="Use --link copy, or --link auto, which takes what there is.",
                    ) from None
                del self._ways[0]

    def _source(self, entry: TreeEntry) -> Path:
        """The shared file of an entry, verified: somebody may have written to it through a link."""
        kind = "x" if entry.kind == "executable" else "f"
        path = self._folder / kind / entry.digest[:2] / entry.digest[2:]
        if path.exists() and hash_file(path) == entry.digest:
            return path
        path.unlink(missing_ok=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        self._store.write_to(entry.digest, path)
        path.chmod(0o555 if kind == "x" else 0o444)
        return path


def _make(way: LinkMode, source: Path, target: Path) -> None:
    if way == "hardlink":
        os.link(source, target)
        return
    if way == "copy":
        shutil.copyfile(source, target)
    else:
        _clone(source, target)
    mask = os.umask(0)
    os.umask(mask)
    target.chmod((0o777 if os.access(source, os.X_OK) and source.stat().st_mode & 0o100 else 0o666) & ~mask)


def _clone(source: Path, target: Path) -> None:
    with source.open("rb") as shared, target.open("wb") as new:
        try:
            fcntl.ioctl(new.fileno(), _FICLONE, shared.fileno())
        except OSError:
            target.unlink()
            raise
