"""Merging metafiles where git or Mercurial merge code: the trees that they name are merged, path by path."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from everloop.datasets.workspace.metafile import parse_metafile, write_metafile
from everloop.kernel.errors import InvalidInput
from everloop.store.entities import Digest, TreeEntry
from everloop.store.service import Store
from everloop.store.treediff import tree_changes

if TYPE_CHECKING:
    from everloop.datasets.workspace.workspace import Versions


def merge_metafiles(versions: Versions, base: Path, ours: Path, theirs: Path) -> list[str]:
    """Merge THEIRS into OURS, both made from BASE; the paths that both sides changed differently (OURS stays then).

    The merged tree is no version yet: `everloop data add` makes it one after the code's merge, as it does any change.

    Raises:
        InvalidInput: the metafiles are of different datasets.
        NotFound: the store does not have a side's tree; pull it first.
    """
    first = base.read_bytes()
    one, other = (parse_metafile(path.read_bytes(), str(path)) for path in (ours, theirs))
    if one.dataset != other.dataset:
        raise InvalidInput(f"{one.dataset!r} and {other.dataset!r} are two datasets.", hint="Take one metafile.")
    root = parse_metafile(first, str(base)).root if first.strip() else None
    merged, conflicts = merge_trees(versions.store, root, one.root, other.root)
    if conflicts:
        return conflicts
    files = [entry for entry in merged if entry.kind != "folder"]
    address = versions.store.put_tree(merged)
    same = {side.root: side.commit for side in (other, one)}
    write_metafile(
        ours,
        msgspec.structs.replace(
            one,
            root=address,
            commit=same.get(address, one.commit),
            files=len(files),
            size=sum(entry.size for entry in files),
        ),
    )
    return []


def merge_trees(store: Store, base: Digest | None, ours: Digest, theirs: Digest) -> tuple[list[TreeEntry], list[str]]:
    """Two trees made from one, put together path by path, and the paths where that cannot be done."""
    mine = {change.path: change.after for change in tree_changes(store, base, ours)}
    yours = {change.path: change.after for change in tree_changes(store, base, theirs)}
    conflicts = sorted(path for path in mine.keys() & yours.keys() if mine[path] != yours[path])
    merged = {entry.path: entry for entry in store.tree(ours)}
    for path, entry in yours.items():
        if entry is None:
            merged.pop(path, None)
        else:
            merged[path] = entry
    return list(merged.values()), conflicts or _collisions(merged)


def _collisions(merged: dict[str, TreeEntry]) -> list[str]:
    """The paths that one side has as a file and the other as a folder; empty folders that got files are dropped."""
    above = {path[:at] for path in merged for at, letter in enumerate(path) if letter == "/"}
    for path in [path for path in above if path in merged and merged[path].kind == "folder"]:
        del merged[path]
    return sorted(above & merged.keys())
