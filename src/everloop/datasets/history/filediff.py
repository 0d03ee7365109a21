"""How the files of two versions differ, with those found again that only changed their path."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

import msgspec

from everloop.datasets.history.entities import FileChange, FileEntry
from everloop.kernel.errors import NotFound
from everloop.store.entities import Digest, TreeEntry
from everloop.store.paths import check_depth
from everloop.store.service import Store
from everloop.store.treediff import TreeChange, tree_changes
from everloop.store.trees import FOLDER, entry_at


class Extent(msgspec.Struct, frozen=True):
    """How many files a tree has, and how many bytes they are together."""

    files: int
    bytes: int


def extent(store: Store, root: Digest, known: tuple[Digest, Extent] | None = None) -> Extent:
    """How large a tree is, by its folders alone; from one whose extent is known, only folders that differ are read.

    Raises:
        InvalidInput: it is too deep to be worked with.
    """
    before, start = known or (None, Extent(0, 0))
    try:
        return _grown(store, start, before, root)
    except NotFound:  # The store lost the other one: count this from its beginning.
        if before is None:
            raise
        return extent(store, root)


def _grown(store: Store, extent: Extent, before: Digest | None, after: Digest | None) -> Extent:
    """An extent, when one tree takes the place of another; no entry is made of a file."""
    files, size = extent.files, extent.bytes
    left = [("", (before, after))]
    while left:
        path, pair = left.pop()
        if pair[0] == pair[1]:
            continue
        check_depth(path)
        (files_before, size_before, gone), (files_after, size_after, come) = (_counted(store, root) for root in pair)
        files += files_after - files_before
        size += size_after - size_before
        left += [(f"{path}/{name}", (gone.get(name), come.get(name))) for name in gone.keys() | come.keys()]
    return Extent(files, size)


def _counted(store: Store, root: Digest | None) -> tuple[int, int, dict[str, Digest]]:
    """How many files a folder has, how many bytes they are together, and the folders in it."""
    if root is None:
        return 0, 0, {}
    folder = store.columns(root)
    inner = [entry_at(folder, at) for at, letter in enumerate(folder.kinds) if letter == FOLDER]
    size = sum(folder.sizes) - sum(entry.size for entry in inner)
    return len(folder.names) - len(inner), size, {entry.name: entry.digest for entry in inner}


def file_changes(store: Store, before: Digest, after: Digest, below: str = "") -> list[FileChange]:
    """What differs between two trees, by path.

    A file that went, and one that came with the same content, are one that was renamed: the first of that content by
    path became the first, but one that kept its name found itself before. Empty files are never taken for each other.
    """
    changes = list(tree_changes(store, before, after, below))
    origins = _origins(changes)
    left = set(origins.values())
    found = [_change(change, origins) for change in changes if change.after is not None or change.path not in left]
    return sorted(found, key=lambda change: change.path)


def _change(change: TreeChange, origins: dict[str, str]) -> FileChange:
    before, after = entry_of(change.before), entry_of(change.after)
    if change.path in origins and after is not None:
        was = origins[change.path]
        return FileChange(change.path, "renamed", FileEntry(was, after.digest, after.size, after.kind), after, was)
    kind = "added" if before is None else "removed" if after is None else "changed"
    return msgspec.convert({"path": change.path, "change": kind, "before": before, "after": after}, FileChange)


def entry_of(entry: TreeEntry | None) -> FileEntry | None:
    """A file of a tree, as use cases give it."""
    return FileEntry(entry.path, entry.digest, entry.size, entry.kind) if entry is not None else None


def _origins(changes: Sequence[TreeChange]) -> dict[str, str]:
    """For each path that came, the one that went with the same content, if any."""
    came = _by_content(change.after for change in changes if change.before is None)
    went = _by_content(change.before for change in changes if change.after is None)
    found: dict[str, str] = {}
    for content, paths in came.items():
        free = went.get(content, [])
        for path in sorted(paths, key=lambda each: (not _same_name(each, free), each)):
            if free:
                found[path] = free.pop(next((n for n, other in enumerate(free) if _name(other) == _name(path)), 0))
    return found


def _same_name(path: str, others: Iterable[str]) -> bool:
    return any(_name(other) == _name(path) for other in others)


def _by_content(entries: Iterable[TreeEntry | None]) -> dict[tuple[str, str], list[str]]:
    found: dict[tuple[str, str], list[str]] = defaultdict(list)
    for entry in entries:
        if entry is not None and entry.size:
            found[entry.kind, entry.digest].append(entry.path)
    return found


def _name(path: str) -> str:
    return path.rpartition("/")[2]
