"""What differs between two trees: whatever is equal is skipped without being read."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from itertools import compress, count
from operator import ne
from typing import TYPE_CHECKING

import msgspec

from everloop.store import trees
from everloop.store.entities import Digest, Entry, TreeEntry
from everloop.store.paths import check_depth
from everloop.store.trees import Columns

if TYPE_CHECKING:
    from everloop.store.service import Store


_NOTHING = Columns([], "", b"", [])


class TreeChange(msgspec.Struct, frozen=True):
    """A path whose file was added (there is no `before`), removed (no `after`) or changed."""

    path: str
    before: TreeEntry | None
    after: TreeEntry | None


def tree_changes(store: Store, before: Digest | None, after: Digest | None, below: str = "") -> Iterator[TreeChange]:
    """The files that differ between two trees (None: an empty one), by path; below a folder only, if one is named."""
    sides = [_descend(store, root, below) for root in (before, after)]
    yield from _compare(store, below.strip("/"), sides[0], sides[1])


def _compare(store: Store, path: str, before: Entry | None, after: Entry | None) -> Iterator[TreeChange]:
    """What differs at one path, of which there may be nothing on one side."""
    if before is not None and after is not None and (before.digest, before.kind) == (after.digest, after.kind):
        return
    check_depth(path)
    if not (before is None or _is_inner(before)) or not (after is None or _is_inner(after)):
        leaf_before, leaf_after = _leaf(path, before), _leaf(path, after)
        if leaf_before is not None or leaf_after is not None:
            yield TreeChange(path, leaf_before, leaf_after)
    prefix = f"{path}/" if path else ""
    for name, (one, other) in sorted(_differing(_inside(store, before), _inside(store, after)).items()):
        yield from _compare(store, f"{prefix}{name.rstrip('/')}", one, other)


def _inside(store: Store, entry: Entry | None) -> Columns:
    return store.columns(entry.digest) if entry is not None and _is_inner(entry) else _NOTHING


def _differing(one: Columns, other: Columns) -> dict[str, list[Entry | None]]:
    """What differs in two folders, by names that sort as their paths do; of what is equal no entry is made."""
    found: dict[str, list[Entry | None]] = {}
    for at, to in _unequal(one, other):
        for side, entry in enumerate((_entry(one, at), _entry(other, to))):
            if entry is not None:
                name = f"{entry.name}/" if _is_inner(entry) else entry.name
                found.setdefault(name, [None, None])[side] = entry
    return found


def _unequal(one: Columns, other: Columns) -> Iterator[tuple[int, int]]:
    """The places of each name that differs, in both folders; -1 where it is not."""
    digests, others = _addresses(one), _addresses(other)
    if one.names == other.names:  # Mostly; then all is compared without a step of Python's for each name.
        unequal = map(ne, zip(digests, one.kinds, strict=True), zip(others, other.kinds, strict=True))
        yield from ((at, at) for at in compress(count(), unequal))
        return
    for at, to in enumerate(_places(other, one.names)):
        if to < 0 or digests[at] != others[to] or one.kinds[at] != other.kinds[to]:
            yield at, to
    yield from ((-1, to) for to, at in enumerate(_places(one, other.names)) if at < 0)


def _addresses(folder: Columns) -> list[tuple[bytes]]:
    return list(struct.iter_unpack("32s", folder.digests))


def _places(folder: Columns, names: list[str]) -> list[int]:
    places = {name: at for at, name in enumerate(folder.names)}
    return [places.get(name, -1) for name in names]


def _entry(folder: Columns, at: int) -> Entry | None:
    return trees.entry_at(folder, at) if at >= 0 else None


def _is_inner(entry: Entry) -> bool:
    return entry.kind == "folder" and entry.digest != trees.EMPTY


def _leaf(path: str, entry: Entry | None) -> TreeEntry | None:
    """The entry as a file of a tree, unless it is the root or a folder with files."""
    if entry is None or _is_inner(entry) or not path:
        return None
    return TreeEntry(path, entry.digest, entry.size, entry.kind)


def _descend(store: Store, root: Digest | None, below: str) -> Entry | None:
    """What a tree has at a path."""
    if root is None:
        return None
    entry = Entry("", "folder", root, 0)
    for name in filter(None, below.split("/")):
        if not _is_inner(entry):
            return None
        found = next((inner for inner in store.folder(entry.digest) if inner.name == name), None)
        if found is None:
            return None
        entry = found
    return entry
