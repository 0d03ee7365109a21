"""What datasets are made of: snapshots and profiles."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec

from everloop.kernel.events import Event
from everloop.kernel.ids import Name
from everloop.store.entities import Digest

Format = Literal["csv", "parquet", "arrow"]
Kind = Literal["table", "files"]
QUANTILES = (0.0, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 1.0)
"""The quantiles that a profile gives of each numeric column."""


class Column(msgspec.Struct, frozen=True):
    """A column of a snapshot: Arrow's name of its type, and whether a value is missing anywhere."""

    name: str
    type: str
    nullable: bool = True


class ColumnProfile(msgspec.Struct, frozen=True):
    """What a column holds.

    `nulls` counts missing values, NaN too; `distinct` is exact; quantiles (see `QUANTILES`, by inverted CDF), mean and
    sample deviation are of the finite numbers; `top` has the most frequent values as text.
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


class Snapshot(msgspec.Struct, frozen=True):
    """An immutable version of a dataset.

    `digest` is the address of a table's Parquet, or of the root of a tree of files. `base` are the versions that it was
    made from (two after a merge), `parents` the URNs of the things that its content came from. `commit` is the address
    of its commit object, by which other platforms know it; versions of a catalog from before there were any have none.
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
