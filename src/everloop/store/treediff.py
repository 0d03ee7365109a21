"""What differs between two trees: whatever is equal is skipped without being read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import msgspec

from everloop.store import trees
from everloop.store.entities import Digest, Entry, TreeEntry

if TYPE_CHECKING:
    from everloop.store.service import Store


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
    one, other = _inside(store, before), _inside(store, after)
    if not (before is None or _is_inner(before)) or not (after is None or _is_inner(after)):
        leaf_before, leaf_after = _leaf(path, before), _leaf(path, after)
        if leaf_before is not None or leaf_after is not None:
            yield TreeChange(path, leaf_before, leaf_after)
    prefix = f"{path}/" if path else ""
    for name in sorted(one.keys() | other.keys()):
        yield from _compare(store, f"{prefix}{name.rstrip('/')}", one.get(name), other.get(name))


def _inside(store: Store, entry: Entry | None) -> dict[str, Entry]:
    """What is in a folder, by a name that sorts as its paths do."""
    if entry is None or not _is_inner(entry):
        return {}
    return {f"{inner.name}/" if _is_inner(inner) else inner.name: inner for inner in store.folder(entry.digest)}


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
