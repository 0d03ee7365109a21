"""The files that differ between two versions, and two versions put together."""

from __future__ import annotations

from everloop.datasets.workspace.entities import FileChange, State
from everloop.store.entities import Digest, Kind, TreeEntry
from everloop.store.service import Store
from everloop.store.treediff import tree_changes


def changes_between(store: Store, before: str, after: str) -> tuple[FileChange, ...]:
    """What was added, modified, removed and renamed from one tree to another; equal folders are not read."""
    changed = {change.path: change for change in tree_changes(store, Digest(before), Digest(after))}
    lost = {change.before: path for path, change in changed.items() if change.before and not change.after}
    by_content: dict[tuple[Digest, Kind], str] = {
        (entry.digest, entry.kind): path for entry, path in lost.items() if entry.kind != "folder"
    }
    found = []
    renamed = set()
    for path, change in changed.items():
        if change.before is None and change.after is not None:
            old = by_content.pop((change.after.digest, change.after.kind), "")
            renamed.add(old)
            found.append(FileChange(_shown(path, change.after), "renamed" if old else "added", old))
        elif change.after is not None:
            found.append(FileChange(_shown(path, change.after), "modified"))
    gone: State = "removed"
    found += [FileChange(_shown(path, entry), gone) for entry, path in lost.items() if path not in renamed]
    return tuple(sorted(found))


def _shown(path: str, entry: TreeEntry) -> str:
    return f"{path}/" if entry.kind == "folder" else path
