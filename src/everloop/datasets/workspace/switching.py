"""Making a folder equal to a version: only what differs is written, and nothing is lost that no store has."""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath

import msgspec

from everloop.datasets.workspace.index import Index, Known, digest_in, entry_of
from everloop.datasets.workspace.placing import Placer
from everloop.datasets.workspace.reading import hash_bytes, hash_file, read_stable
from everloop.datasets.workspace.scan import Scan, Seen, scan, within
from everloop.kernel.errors import NotFound, Refused
from everloop.kernel.progress import Progress
from everloop.store.entities import Digest, TreeEntry
from everloop.store.service import Store
from everloop.store.treediff import tree_changes

_NAMED = 10
"""So many files are named in a message."""


class Plan(msgspec.Struct):
    """What is to be done to a folder: files to write, files and folders to remove, and what would be lost by it."""

    writes: list[TreeEntry]
    removals: list[str]
    folders: list[str]
    lost: list[str]


def rebase(store: Store, index: Index, root: str) -> dict[str, TreeEntry | None]:
    """Let the index take a tree as the committed version; the paths that differ from what it took before.

    Raises:
        NotFound: the store does not have the tree.
    """
    if index.root == root:
        return {}
    changed = _changes(store, index, root)
    for path, entry in changed.items():
        index.rebase(path, entry)
    index.root, index.packs = root, set()
    return changed


def plan(store: Store, top: Path, index: Index, root: str, only: tuple[str, ...]) -> Plan:
    """What must be done to make a folder equal to a tree; the index then takes that tree as the committed version."""
    found = scan(top, index, only) if top.exists() else _nothing(index, only)
    local = [*found.differing, *found.gone, *(seen.path for seen in found.touched)]
    before = {path: known.base if (known := index.at(path)) else b"" for path in local}
    changed = {path: entry for path, entry in rebase(store, index, root).items() if within(path, only)}
    made = Plan([], [], [path for path, entry in changed.items() if entry is None], [])
    for path in found.gone:
        index.need(path).gone()
    strangers = _read_touched(top, index, found, before, made)
    doubtful: dict[str, Digest] = {}
    for path in sorted({*before, *changed} - strangers):
        _decide(path, index.at(path) or Known(), before.get(path), made, doubtful)
    made.writes += [
        TreeEntry(path, Digest(""), 0, "folder")
        for path in sorted(index.base_empty)
        if within(path, only) and not (top / path).is_dir()
    ]
    missing = store.missing(doubtful.values()) if doubtful else set()
    made.lost += [path for path, digest in doubtful.items() if digest in missing] + _in_the_way(made.writes, strangers)
    return made


def refuse_losses(made: Plan) -> None:
    """Stop where something would be overwritten that no store has.

    Raises:
        Refused: it would; the files are named.
    """
    if made.lost:
        named = ", ".join(sorted(made.lost)[:_NAMED]) + (" …" if len(made.lost) > _NAMED else "")
        raise Refused(
            f"{len(made.lost)} changed or unknown files would be lost: {named}.",
            hint="Add the folder first, move them away, or say --force.",
        )


def apply(top: Path, index: Index, made: Plan, placer: Placer, progress: Progress) -> int:
    """Remove and write what a plan says; how many files were written."""
    writes = {entry.path for entry in made.writes}
    for path in dict.fromkeys([*made.removals, *(path for path in made.lost if path not in writes)]):
        _remove(top, index, path)
    for folder in made.folders:
        _prune(top, PurePosixPath(folder), index)
    return placer.place(made.writes, progress)


def _decide(path: str, known: Known, before: bytes | None, made: Plan, doubtful: dict[str, Digest]) -> None:
    """One path: what is on disk, what was committed before (None: what is on disk), what the version has there."""
    here, was, wanted = known.content, known.content if before is None else before, known.base
    if here == wanted:
        return
    if wanted:
        made.writes.append(entry_of(path, wanted, known.base_size))
    elif here and was:
        made.removals.append(path)
    else:
        return
    if here and here != was:
        doubtful[path] = digest_in(here)


def _read_touched(top: Path, index: Index, found: Scan, before: dict[str, bytes], made: Plan) -> set[str]:
    """Find out what the touched files hold; those that no version knows of are left alone, and given back."""
    strangers = set()
    for seen in found.touched:
        known = index.at(seen.path)
        if seen.special or known is None or not (known.base or before[seen.path]):
            strangers.add(seen.path)
        else:
            _refresh(top, known, seen)
    return strangers


def _refresh(top: Path, known: Known, seen: Seen) -> None:
    status, content = read_stable(top, seen, hash_bytes, hash_file)
    known.seen(status, content)


def _in_the_way(writes: list[TreeEntry], strangers: set[str]) -> list[str]:
    """The unknown files that stand where the version has a folder, or below where it has a file."""
    if not strangers:
        return []
    paths = {entry.path for entry in writes if entry.kind != "folder"}
    folders = {str(above) for entry in writes for above in PurePosixPath(entry.path).parents}
    above = {path for path in strangers if not paths.isdisjoint(map(str, PurePosixPath(path).parents))}
    return sorted((strangers & (folders | paths)) | above)


def _changes(store: Store, index: Index, root: str) -> dict[str, TreeEntry | None]:
    try:
        known = Digest(index.root) if index.root else None
        return {change.path: change.after for change in tree_changes(store, known, Digest(root))}
    except NotFound:
        if not index.root:
            raise
    wanted: dict[str, TreeEntry | None] = {entry.path: entry for entry in store.tree(Digest(root))}
    left = {path: None for path, known in index.items() if known.base and path not in wanted}
    return wanted | left | dict.fromkeys(index.base_empty - wanted.keys())


def _nothing(index: Index, only: tuple[str, ...]) -> Scan:
    gone = [path for path, known in index.items() if (known.content or known.base) and within(path, only)]
    return Scan([], [], gone, set(), {})


def _remove(top: Path, index: Index, path: str) -> None:
    (top / path).unlink(missing_ok=True)
    index.need(path).gone()
    _prune(top, PurePosixPath(path).parent, index)


def _prune(top: Path, folder: PurePosixPath, index: Index) -> None:
    """Remove a folder and those above it, as far as they are empty and the version does not keep them so."""
    while folder.parts and str(folder) not in index.base_empty:
        try:
            os.rmdir(top / folder)  # noqa: PTH106
        except OSError:
            return
        folder = folder.parent
