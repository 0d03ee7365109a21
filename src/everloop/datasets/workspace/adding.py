"""Taking a folder's files into the store: only what changed since the index was written is read."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

import msgspec

from everloop.datasets.workspace.index import Index, digest_in, entry_of
from everloop.datasets.workspace.reading import read_stable
from everloop.datasets.workspace.scan import Scan, Seen, scan, within
from everloop.kernel.progress import Progress
from everloop.store.entities import Digest, TreeEntry
from everloop.store.paths import check_path, twins
from everloop.store.service import Store
from everloop.store.trees import EMPTY

FLUSH_BYTES = 256 << 20
"""After so many bytes what was read is made durable, and the index saved: an add that is killed goes on from there."""
_FLUSH_FILES = 20_000
_SHORT = 255
"""Plain paths up to this length hold no name that could be refused: the disk itself gives neither `..` nor slashes."""


class Keeping(Protocol):
    """Where content goes: the store's bulk."""

    def put(self, data: bytes) -> Digest:
        """Keep bytes."""
        ...

    def put_file(self, path: Path) -> Digest:
        """Keep a file's bytes."""
        ...

    def flush(self) -> None:
        """Make what was put durable."""
        ...


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
    read_bytes = 0
    with store.bulk() as bulk:
        wanted = [*found.touched, *_unkept(store, top, index, found)]
        read_bytes = _read_all(bulk, top, index, wanted, progress)
        for path in found.gone:
            index.need(path).gone()
        entries = tree_entries(index, found, only)
        remarks = _twin_remarks(entries) if found.touched else ()
        as_it_was = not (wanted or found.gone or found.differing) and index.empty == index.base_empty
        known = Digest(index.root) if as_it_was and index.root and store.has(Digest(index.root)) else None
        root = known or store.put_tree(entries, bulk)
    index.rules = found.rules
    files = [entry for entry in entries if entry.kind != "folder"]
    return Taken(root, len(files), sum(entry.size for entry in files), len(wanted), read_bytes, remarks)


def tree_entries(index: Index, found: Scan, only: tuple[str, ...]) -> list[TreeEntry]:
    """The tree of what is on disk; what lies outside of the chosen paths is as it was committed."""
    entries = []
    for path, known in index.items():
        if within(path, only):
            if known.content:
                entries.append(entry_of(path, known.content, known.size))
        elif known.base:
            entries.append(entry_of(path, known.base, known.base_size))
    index.empty = {folder for folder in found.empty if within(folder, only)}
    index.empty |= {folder for folder in index.base_empty if not within(folder, only)}
    return entries + [TreeEntry(folder, EMPTY, 0, "folder") for folder in sorted(index.empty)]


def _read_all(bulk: Keeping, top: Path, index: Index, wanted: list[Seen], progress: Progress) -> int:
    total = sum(seen.status.st_size for seen in wanted)
    done = files = flushed = flushed_files = 0
    for seen in wanted:
        status, content = read_stable(top, seen, bulk.put, bulk.put_file)
        index.need(seen.path).seen(status, content)
        done, files = done + status.st_size, files + 1
        progress.advance(done, total, "reading", "bytes")
        if done - flushed >= FLUSH_BYTES or files - flushed_files >= _FLUSH_FILES:
            bulk.flush()
            index.save()
            flushed, flushed_files = done, files
    return done


def _unkept(store: Store, top: Path, index: Index, found: Scan) -> list[Seen]:
    """The files whose content the index knows and the store does not hold: a status read them, or it was swept."""
    digests = {path: digest_in(known.content) for path in found.differing if (known := index.at(path))}
    missing = store.missing(digests.values()) if digests else set()
    return [Seen(path, (top / path).lstat()) for path, digest in digests.items() if digest in missing]


def _refuse_names(paths: Iterable[str]) -> None:
    for path in paths:
        if not (path.isascii() and path.isprintable() and "\\" not in path and len(path) < _SHORT):
            check_path(path)


def _twin_remarks(entries: list[TreeEntry]) -> tuple[str, ...]:
    """What macOS and Windows take for one name, with both names: such a version cannot be checked out there."""
    return tuple(
        f"{first!r} and {second!r} are one name where "
        + ("case" if unicodedata.normalize("NFC", first) != unicodedata.normalize("NFC", second) else "Unicode form")
        + " does not count, as on macOS and Windows."
        for first, second in twins(entry.path for entry in entries)
    )
