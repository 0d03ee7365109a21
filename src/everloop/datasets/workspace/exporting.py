"""A version as plain files for everybody: in a folder, a tar or a zip archive. Equal versions make equal archives."""

from __future__ import annotations

import io
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

from everloop.datasets.workspace.index import Index
from everloop.datasets.workspace.placing import Placer
from everloop.kernel.errors import Conflict, Unavailable
from everloop.kernel.progress import Progress
from everloop.store.entities import Digest, TreeEntry
from everloop.store.paths import checked_link
from everloop.store.service import Store

_TAR = {".tar": "w", ".tgz": "w:gz", ".tar.gz": "w:gz"}
_MODES = {"file": 0o644, "executable": 0o755, "link": 0o777, "folder": 0o755}
_FILE, _LINK, _FOLDER = 0o100000, 0o120000, 0o040000
_DATE = (1980, 1, 1, 0, 0, 0)
"""The earliest date that a zip archive can hold: archives say nothing of when they were made."""


def export(store: Store, root: Digest, target: Path, progress: Progress) -> int:
    """Write a tree to a place that its ending chooses: .zip, .tar, .tar.gz, or a folder; how many files there are.

    Raises:
        Conflict: something is there already.
        Unavailable: it cannot be written.
    """
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise Conflict(f"{target} is there already.", hint="Remove it, or choose another place.")
    entries = store.tree(root)
    form = next((ending for ending in (*_TAR, ".zip") if target.name.endswith(ending)), "")
    if not form:
        Placer(store, target.absolute(), Index(target)).place(entries, progress)
        target.mkdir(parents=True, exist_ok=True)
    else:
        _archive(store, entries, target, form, progress)
    return sum(entry.kind != "folder" for entry in entries)


def _archive(store: Store, entries: tuple[TreeEntry, ...], target: Path, form: str, progress: Progress) -> None:
    partial = target.with_name(f".everloop-{target.name}")
    write = _zip if form == ".zip" else _tar
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        write(store, entries, partial, form, progress)
        partial.replace(target)
    except OSError as error:
        raise Unavailable(f"{target} cannot be written ({error.strerror}).", hint="Choose another place.") from None
    finally:
        partial.unlink(missing_ok=True)


def _tar(store: Store, entries: tuple[TreeEntry, ...], path: Path, form: str, progress: Progress) -> None:
    with tarfile.open(path, _TAR[form], format=tarfile.PAX_FORMAT) as archive:  # type: ignore[call-overload]
        for entry in _told(entries, progress):
            info = tarfile.TarInfo(entry.path)
            info.mode = _MODES[entry.kind]
            if entry.kind == "link":
                info.type, info.linkname = tarfile.SYMTYPE, _target(store, entry)
            elif entry.kind == "folder":
                info.type = tarfile.DIRTYPE
            else:
                info.size = entry.size
            archive.addfile(info, _Parts(store.parts(entry.digest)) if info.isreg() else None)


def _zip(store: Store, entries: tuple[TreeEntry, ...], path: Path, _: str, progress: Progress) -> None:
    kinds = {"link": _LINK, "folder": _FOLDER}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for entry in _told(entries, progress):
            info = zipfile.ZipInfo(f"{entry.path}/" if entry.kind == "folder" else entry.path, _DATE)
            info.compress_type = zipfile.ZIP_DEFLATED
            info.create_system = 3  # Unix, whose modes these are.
            info.external_attr = (kinds.get(entry.kind, _FILE) | _MODES[entry.kind]) << 16
            if entry.kind == "folder":
                archive.writestr(info, b"")
                continue
            parts = [_target(store, entry).encode()] if entry.kind == "link" else store.parts(entry.digest)
            with archive.open(info, "w", force_zip64=entry.size >= 1 << 31) as file:
                for part in parts:
                    file.write(part)


class _Parts(io.RawIOBase):
    """Pieces of an object as a file to read from."""

    def __init__(self, parts: Iterator[bytes]) -> None:
        self._parts = parts
        self._left = b""

    def read(self, size: int = -1) -> bytes:
        while len(self._left) < size and (part := next(self._parts, None)) is not None:
            self._left += part
        found, self._left = self._left[:size], self._left[size:]
        return found


def _target(store: Store, entry: TreeEntry) -> str:
    return checked_link(entry.path, store.get(entry.digest).decode())


def _told(entries: tuple[TreeEntry, ...], progress: Progress) -> Iterator[TreeEntry]:
    for count, entry in enumerate(entries, 1):
        yield entry
        progress.advance(count, len(entries), "exporting", "files")
