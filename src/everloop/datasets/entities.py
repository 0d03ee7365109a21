"""What datasets are made of: snapshots, profiles, expectations and what checking them found."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec

from everloop.kernel.events import Event
from everloop.kernel.ids import Name
from everloop.store.entities import Digest

Format = Literal["csv", "parquet", "arrow"]
Severity = Literal["error", "warning"]
Share = float
"""A share of rows, from 0 to 1."""

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
    """An immutable version of a dataset: `digest` is the address of its Parquet, `parents` are URNs of its sources."""

    dataset: Name
    version: int
    digest: Digest
    rows: int
    bytes: int
    columns: tuple[Column, ...]
    parents: tuple[str, ...]
    note: str
    created: datetime


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


class NotNull(msgspec.Struct, frozen=True, tag="not_null"):
    """A column has a value (NaN is none) in at least the share `mostly` of the rows."""

    column: str
    mostly: Share = 1.0
    severity: Severity = "error"


class InRange(msgspec.Struct, frozen=True, tag="in_range"):
    """The values of a numeric column lie between minimum and maximum, ends included; missing values are not judged."""

    column: str
    minimum: float | None = None
    maximum: float | None = None
    mostly: Share = 1.0
    severity: Severity = "error"


class Unique(msgspec.Struct, frozen=True, tag="unique"):
    """No two rows agree in all of the columns."""

    columns: tuple[str, ...]
    severity: Severity = "error"


class OneOf(msgspec.Struct, frozen=True, tag="one_of"):
    """The values of a column, as text, are among these; missing values are not judged."""

    column: str
    values: tuple[str, ...]
    mostly: Share = 1.0
    severity: Severity = "error"


class Matches(msgspec.Struct, frozen=True, tag="matches"):
    """The whole of each value, as text, matches a regular expression (RE2); missing values are not judged."""

    column: str
    pattern: str
    mostly: Share = 1.0
    severity: Severity = "error"


class References(msgspec.Struct, frozen=True, tag="references"):
    """The values of the columns stand in the `keys` of another dataset; rows with a missing value are not judged."""

    columns: tuple[str, ...]
    dataset: str
    keys: tuple[str, ...]
    mostly: Share = 1.0
    severity: Severity = "error"


class RowCount(msgspec.Struct, frozen=True, tag="row_count"):
    """There are at least `minimum` and at most `maximum` rows."""

    minimum: int = 0
    maximum: int | None = None
    severity: Severity = "error"


Expectation = NotNull | InRange | Unique | OneOf | Matches | References | RowCount


class Suite(msgspec.Struct, frozen=True):
    """What is expected of a dataset, since when."""

    dataset: Name
    expectations: tuple[Expectation, ...]
    at: datetime


class CheckResult(msgspec.Struct, frozen=True):
    """How one expectation fared: rows that fail, rows that were judged, and a few of the values that fail."""

    expectation: Expectation
    passed: bool
    failures: int
    rows: int
    sample: tuple[str, ...] = ()


class CheckReport(msgspec.Struct, frozen=True):
    """What checking a snapshot found; it passed when no expectation of severity `error` failed."""

    dataset: Name
    version: int
    passed: bool
    results: tuple[CheckResult, ...]
    at: datetime


class SnapshotCommitted(Event, frozen=True, kw_only=True, tag="datasets.snapshot_committed"):
    """A new version of a dataset came into being."""

    digest: Digest
    rows: int
    parents: tuple[str, ...] = ()


class ExpectationsSet(Event, frozen=True, kw_only=True, tag="datasets.expectations_set"):
    """What is expected of a dataset was replaced."""

    expectations: tuple[Expectation, ...]


class SnapshotChecked(Event, frozen=True, kw_only=True, tag="datasets.snapshot_checked"):
    """A snapshot was checked."""

    passed: bool
    failed: int
