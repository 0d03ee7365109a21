"""What datasets are made of: snapshots and profiles."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec

from everloop.kernel.events import Event
from everloop.kernel.ids import Name
from everloop.store.entities import Digest

Format = Literal["csv", "jsonl", "parquet", "arrow"]
Kind = Literal["table", "files"]
ForeignFormat = Literal["delta", "iceberg", "parquet"]
At = int | str
"""What stands behind the @ of a reference: a version's number, a tag, a branch, a time; empty is where main stands."""
QUANTILES = (0.0, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 1.0)
"""The quantiles that a profile gives of each numeric column."""


class Column(msgspec.Struct, frozen=True):
    """A column of a snapshot: Arrow's name of its type, and whether a value is missing anywhere."""

    name: str
    type: str
    nullable: bool = True


class ColumnProfile(msgspec.Struct, frozen=True):
    """What a column holds.

    `nulls` counts missing values, NaN too; quantiles (see `QUANTILES`, by inverted CDF), mean and sample deviation are
    of the finite numbers; `top` has the most frequent values as text. Counted from the rows, all of it is exact. Merged
    from sketches of parts, `distinct` has the relative standard error `distinct_error`, and the quantiles are of ranks
    that are off by up to `rank_error` (a share of the rows).
    """

    name: str
    type: str
    count: int
    nulls: int
    distinct: int
    minimum: float | str | None = None
    maximum: float | str | None = None
    mean: float | None = None
    std: float | None = None
    quantiles: tuple[float, ...] = ()
    top: tuple[tuple[str, int], ...] = ()
    rank_error: float = 0.0
    distinct_error: float = 0.0


class Profile(msgspec.Struct, frozen=True):
    """What a snapshot holds, column by column."""

    rows: int
    columns: tuple[ColumnProfile, ...]


class Dataset(msgspec.Struct, frozen=True):
    """A name for versions of data; `latest` is the newest version."""

    name: Name
    description: str
    latest: int
    created: datetime


class Part(msgspec.Struct, frozen=True):
    """A Parquet file that is part of a table: its address, how many rows it has, its size."""

    digest: Digest
    rows: int
    bytes: int


class Layer(msgspec.Struct, frozen=True):
    """A change of rows on top of the layers below it: rows that came, and where rows below were deleted.

    The first layer of a table is what it began with, and deletes nothing (`datasets/layers.py` says how they add up).
    """

    added: Part | None = None
    deleted: Part | None = None


class Selection(msgspec.Struct, frozen=True):
    """Some rows of a table: the content that they are of, and the address of their numbers (`splits/selection.py`)."""

    source: Digest
    rows: Digest


class Purge(msgspec.Struct, frozen=True):
    """When, by whom and why the bytes of a version were given up."""

    at: datetime
    by: str
    reason: str


class Foreign(msgspec.Struct, frozen=True):
    """A version of a table of another system, where it is."""

    url: str
    format: ForeignFormat
    version: str


class Snapshot(msgspec.Struct, frozen=True):
    """An immutable version of a dataset.

    `digest` is the address of a table's Parquet, or of the root of a tree of files. A table whose rows were changed
    since has `layers`; its digest is the root of a tree of their Parquet files. `base` are the versions that it was
    made from (two after a merge), `parents` the URNs of the things that its content came from. `commit` is the address
    of its commit object, by which other platforms know it; versions of a catalog from before there were any have none.
    A part of a split has a `selection`: its `digest` is a tree that names both halves of it, `bytes` its own cost.
    One that was `purged` has no digest any more. A `foreign` table is not here: its digest says which files it has.
    """

    dataset: Name
    version: int
    digest: Digest
    rows: int
    bytes: int
    columns: tuple[Column, ...]
    parents: tuple[str, ...]
    note: str
    created: datetime
    kind: Kind = "table"
    files: int = 0
    base: tuple[int, ...] = ()
    branch: str = "main"
    author: str = ""
    commit: str = ""
    layers: tuple[Layer, ...] = ()
    selection: Selection | None = None
    foreign: Foreign | None = None
    purged: Purge | None = None


class Change(msgspec.Struct, frozen=True):
    """What is said of a new version beside its content.

    `parents` are the URNs of what it came from. `base` are the versions that it is made from: without any, the head of
    its branch, whichever that is; with some, the first must still be the branch's head, or somebody else was faster.
    """

    note: str = ""
    parents: tuple[str, ...] = ()
    branch: str = "main"
    base: tuple[int, ...] = ()


class Content(msgspec.Struct, frozen=True):
    """What a new version holds: the address in the store, and what is known of it without reading it."""

    kind: Kind
    digest: Digest
    bytes: int
    rows: int = 0
    files: int = 0
    columns: tuple[Column, ...] = ()
    profile: Profile | None = None
    layers: tuple[Layer, ...] = ()
    selection: Selection | None = None
    foreign: Foreign | None = None


class SnapshotDiff(msgspec.Struct, frozen=True):
    """How the shape of a dataset changed between two versions; `changed` gives name, type before, type after."""

    dataset: Name
    before: int
    after: int
    rows_before: int
    rows_after: int
    added: tuple[str, ...]
    removed: tuple[str, ...]
    changed: tuple[tuple[str, str, str], ...]
    same_content: bool


class SnapshotCommitted(Event, frozen=True, kw_only=True, tag="datasets.snapshot_committed"):
    """A new version of a dataset came into being."""

    digest: Digest
    rows: int
    parents: tuple[str, ...] = ()
