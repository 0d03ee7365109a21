"""What history is made of: branches, tags, differences, merges."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec

from everloop.datasets.entities import Kind, SnapshotDiff
from everloop.kernel.events import Event
from everloop.kernel.ids import Name
from everloop.kernel.usecase import Json

OnConflict = Literal["fail", "ours", "theirs"]


class Branch(msgspec.Struct, frozen=True):
    """A line of versions: the one that it stands at, since when."""

    dataset: Name
    name: Name
    version: int
    moved: datetime


class Tag(msgspec.Struct, frozen=True):
    """A name for one version, for good."""

    dataset: Name
    name: Name
    version: int
    note: str
    author: str
    created: datetime


class FileEntry(msgspec.Struct, frozen=True):
    """A file of a version: its path, its content's address, its size, and whether it is a file, a link or a folder."""

    path: str
    digest: str
    size: int
    kind: str = "file"


class FileChange(msgspec.Struct, frozen=True):
    """How one file differs between two versions; `was` is the path that it had before it was renamed."""

    path: str
    change: Literal["added", "removed", "changed", "renamed"]
    before: FileEntry | None = None
    after: FileEntry | None = None
    was: str = ""


class FilesDiff(msgspec.Struct, frozen=True):
    """How the files differ between two versions: how many, by how many bytes, and the first of them by path."""

    dataset: Name
    before: int
    after: int
    added: int
    removed: int
    changed: int
    renamed: int
    bytes_added: int
    bytes_removed: int
    files: tuple[FileChange, ...]


class CellChange(msgspec.Struct, frozen=True):
    """A cell that differs."""

    column: str
    before: Json
    after: Json


class RowChange(msgspec.Struct, frozen=True):
    """A row that differs: its key (without keys all of it), and the cells that differ when it is on both sides."""

    change: Literal["added", "removed", "changed"]
    key: dict[str, Json]
    cells: tuple[CellChange, ...] = ()


class RowDiff(msgspec.Struct, frozen=True):
    """How the rows differ between two versions: columns, counts, and a sample.

    Rows are matched by `keys`; with none they are whole rows, which are added and removed and never changed. A column
    that only one side has is a difference of the columns and not of each row.
    """

    columns: SnapshotDiff
    keys: tuple[str, ...]
    added: int
    removed: int
    changed: int
    unchanged: int
    changed_cells: dict[str, int]
    sample: tuple[RowChange, ...]


class MergeConflict(msgspec.Struct, frozen=True):
    """Something that both sides changed, each its own way: a file (path), a column, a row (key), or a cell.

    `base`, `ours` and `theirs` are what it is there; none where it does not exist.
    """

    reason: str
    path: str = ""
    column: str = ""
    key: dict[str, Json] = {}
    base: Json = None
    ours: Json = None
    theirs: Json = None


class Merge(msgspec.Struct, frozen=True):
    """What merging a branch into another did, or would do in a dry run.

    `base` is the version that the sides have in common (0: none), `version` where the branch stands now. Conflicts are
    counted all and listed up to a number; those that `on_conflict` decided are listed too.
    """

    dataset: Name
    branch: str
    into: str
    outcome: Literal["merged", "forwarded", "nothing", "conflicts"]
    kind: Kind
    base: int
    ours: int
    theirs: int
    version: int
    conflicts: int = 0
    listed: tuple[MergeConflict, ...] = ()
    dry_run: bool = False


class BranchMoved(Event, frozen=True, kw_only=True, tag="datasets.branch_moved"):
    """A branch was made (before 0), moved without a new version, or deleted (after 0)."""

    branch: str
    before: int
    after: int


class VersionTagged(Event, frozen=True, kw_only=True, tag="datasets.version_tagged"):
    """A version got a name, perhaps from another (before)."""

    tag: str
    before: int
    after: int


class SnapshotAdopted(Event, frozen=True, kw_only=True, tag="datasets.snapshot_adopted"):
    """A version of another platform got a number here."""

    commit: str
