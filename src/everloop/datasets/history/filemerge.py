"""Merging trees of files: what each side did since their common version, path by path."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from everloop.datasets.history.entities import MergeConflict, OnConflict
from everloop.store.entities import Digest, TreeEntry
from everloop.store.service import Store
from everloop.store.treediff import tree_changes

Sides = tuple[TreeEntry | None, TreeEntry | None, TreeEntry | None]
"""A path at the base, with us, with them."""
Settle = Callable[[str, Sides], tuple[TreeEntry | None, list[MergeConflict]]]
"""What becomes of a path that both sides changed, and what they disagree about there."""


class TreeMerge(msgspec.Struct, frozen=True):
    """The merged tree (with conflicts decided for one side), and the conflicts."""

    digest: Digest
    conflicts: list[MergeConflict]


def merge_trees(
    store: Store, base: Digest | None, sides: tuple[Digest, Digest], settle: Settle, prefer: OnConflict
) -> TreeMerge:
    """One tree of two (ours and theirs) that grew from a base: each path as the side has it that changed it.

    A path that both changed is settled by `settle`; a file of one side where the other has a folder is a conflict. Of a
    rename, the old path is one that went and the new path one that came.
    """
    ours, theirs = sides
    mine = {change.path: change for change in tree_changes(store, base, ours)}
    yours = {change.path: change for change in tree_changes(store, base, theirs)}
    chosen: dict[str, TreeEntry | None] = {path: yours[path].after for path in yours.keys() - mine.keys()}
    conflicts: list[MergeConflict] = []
    for path in sorted(yours.keys() & mine.keys()):
        before, our, their = mine[path].before, mine[path].after, yours[path].after
        if our != their:
            chosen[path], found = settle(path, (before, our, their))
            conflicts += found
    entries = {entry.path: entry for entry in store.tree(ours)}
    before_merge = set(entries)
    _apply(entries, chosen)
    conflicts += _untangle(entries, before_merge, prefer)
    _drop_filled_folders(entries)
    return TreeMerge(store.put_tree(entries.values()), sorted(conflicts, key=lambda each: each.path))


def settle_whole(prefer: OnConflict) -> Settle:
    """Settling by taking the whole file of one side (ours when conflicts fail the merge), and saying so."""

    def settle(path: str, sides: Sides) -> tuple[TreeEntry | None, list[MergeConflict]]:
        conflict = MergeConflict(
            reason=_reason(sides), path=path, base=_shown(sides[0]), ours=_shown(sides[1]), theirs=_shown(sides[2])
        )
        return sides[2] if prefer == "theirs" else sides[1], [conflict]

    return settle


def _reason(sides: Sides) -> str:
    base, ours, theirs = sides
    if base is None:
        return "both sides added it"
    if ours is None:
        return "we removed it, they changed it"
    return "we changed it, they removed it" if theirs is None else "both sides changed it"


def _shown(entry: TreeEntry | None) -> str | None:
    return None if entry is None else entry.digest


def _apply(entries: dict[str, TreeEntry], chosen: Mapping[str, TreeEntry | None]) -> None:
    for path, entry in chosen.items():
        if entry is None:
            entries.pop(path, None)
        else:
            entries[path] = entry


def _untangle(entries: dict[str, TreeEntry], mine: set[str], prefer: OnConflict) -> list[MergeConflict]:
    """Take out what stands in the way where one side has a file and the other a folder of the same path."""
    conflicts = []
    for path in sorted(entries):
        parent = next((above for above in _above(path) if above in entries and entries[above].kind != "folder"), None)
        if parent is None or path not in entries:
            continue
        conflicts.append(_clash(parent, path, mine))
        ours_is_the_file = parent in mine
        if ours_is_the_file == (prefer != "theirs"):
            del entries[path]
        else:
            del entries[parent]
    return conflicts


def _clash(file: str, inside: str, mine: set[str]) -> MergeConflict:
    ours, theirs = ("a file", inside) if file in mine else (inside, "a file")
    return MergeConflict(reason="a file for one side, a folder for the other", path=file, ours=ours, theirs=theirs)


def _above(path: str) -> list[str]:
    parts = path.split("/")
    return ["/".join(parts[:length]) for length in range(1, len(parts))]


def _drop_filled_folders(entries: dict[str, TreeEntry]) -> None:
    """An empty folder is none any more when the other side put something into it."""
    filled = {above for path in entries for above in _above(path)}
    for path in [path for path, entry in entries.items() if entry.kind == "folder" and path in filled]:
        del entries[path]
