"""Taking a folder's files into the store: only what changed since the index was written is read."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import msgspec

from everloop.datasets.workspace.folders import build, twin_remarks
from everloop.datasets.workspace.index import Index
from everloop.datasets.workspace.reading import read_small, read_stable
from everloop.datasets.workspace.scan import Scan, Seen, scan, within
from everloop.kernel.progress import Progress
from everloop.store.bulk import Bulk
from everloop.store.entities import Digest
from everloop.store.paths import check_path
from everloop.store.service import Store

FLUSH_BYTES = 256 << 20
"""After so many bytes what was read is made durable, and the index saved: an add that is killed goes on from there."""
_FLUSH_FILES = 20_000
_TOLD, _LARGE = 64, 1 << 20
"""Progress is told after so many files, and after each that is larger than so many bytes."""
_SHORT = 255
"""Plain paths up to this length hold no name that could be refused: the disk itself gives neither `..` nor slashes."""


class Taken(msgspec.Struct):
    """A folder that is in the store: its root, and what had to be done for it."""

    root: Digest
    files: int
    size: int
    read_files: int
    read_bytes: int
    remarks: tuple[str, ...]


def take(store: Store, top: Path, index: Index, only: tuple[str, ...], progress: Progress) -> Taken:
    """Put a folder's files into the store, as a tree; the index then knows them.

    Raises:
        InvalidInput: a name or a file cannot be kept; it is named, and nothing of the version is made.
        Conflict: a file keeps changing.
    """
    found = scan(top, index, only)
    _refuse_names(seen.path for seen in found.touched)
    with store.bulk() as bulk:
        wanted = [*found.touched, *_lost(bulk, top, index, found)]
        read_bytes = _read_all(bulk, top, index, wanted, progress)
        for path in found.gone:
            index.need(path).gone()
        index.empty = {folder for folder in found.empty if within(folder, only)}
        index.empty |= {folder for folder in index.base_empty if not within(folder, only)}
        built = build(index.folders, index.empty, only, bulk.put)
    index.rules, index.packs = found.rules, bulk.packs
    remarks = twin_remarks(built.twins) if found.touched else ()
    return Taken(built.root, built.files, built.size, len(wanted), read_bytes, remarks)


def _lost(bulk: Bulk, top: Path, index: Index, found: Scan) -> list[Seen]:
    """The files that look as they did, and whose content the store does not hold: a status read them, it was swept,
    the store is another one or lost its objects. While all packs are there that held the version, it is whole."""
    paths: Iterable[str] = found.differing
    if not bulk.has_packs(index.packs):
        left = {seen.path for seen in found.touched}.union(found.gone)
        paths = [path for path, known in index.items() if known.content and path not in left]
    contents = {path: index.need(path).content[:32] for path in paths}
    missing = bulk.rely(contents.values()) if contents else set()
    return [Seen(path, (top / path).lstat()) for path, content in contents.items() if content in missing]


def _read_all(bulk: Bulk, top: Path, index: Index, wanted: list[Seen], progress: Progress) -> int:
    """Read files into the store, and let the index know them. For small files this loop is the cost of adding."""
    folder, total = str(top), sum(seen.status.st_size for seen in wanted)
    done = flushed = flushed_files = 0
    for files, seen in enumerate(wanted, 1):
        status, content = read_small(folder, seen, bulk.keep) or read_stable(top, seen, bulk.put, bulk.put_file)
        index.note(seen.path, status, content)
        done += status.st_size
        if done - flushed >= FLUSH_BYTES or files - flushed_files >= _FLUSH_FILES:
            bulk.flush()
            index.save()
            flushed, flushed_files = done, files
        if not files % _TOLD or status.st_size > _LARGE:
            progress.advance(done, total, "reading", "bytes")
    progress.advance(done, total, "reading", "bytes")
    return done


def _refuse_names(paths: Iterable[str]) -> None:
    for path in paths:
        if not (path.isascii() and path.isprintable() and "\\" not in path and len(path) < _SHORT):
            check_path(path)
