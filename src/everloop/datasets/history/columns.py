"""How the columns of two versions differ."""

from __future__ import annotations

from everloop.datasets.entities import Snapshot, SnapshotDiff


def columns_diff(before: Snapshot, after: Snapshot) -> SnapshotDiff:
    """How the columns and the number of rows changed between two versions."""
    old = {column.name: column.type for column in before.columns}
    new = {column.name: column.type for column in after.columns}
    return SnapshotDiff(
        dataset=after.dataset,
        before=before.version,
        after=after.version,
        rows_before=before.rows,
        rows_after=after.rows,
        added=tuple(name for name in new if name not in old),
        removed=tuple(name for name in old if name not in new),
        changed=tuple((name, old[name], new[name]) for name in old if name in new and old[name] != new[name]),
        same_content=before.digest == after.digest,
    )
