"""What checking data is made of: suites of expectations, and reports of how a snapshot fared."""

from __future__ import annotations

from datetime import datetime

import msgspec

from everloop.datasets.quality.expectations import Expectation
from everloop.kernel.events import Event
from everloop.kernel.ids import Name


class Suite(msgspec.Struct, frozen=True):
    """What is expected of a dataset, since when."""

    dataset: Name
    expectations: tuple[Expectation, ...]
    at: datetime


class CheckResult(msgspec.Struct, frozen=True):
    """How one expectation fared: rows that fail, rows that were judged, and a few of the values that fail.

    `at` says where the rows of the sample stand (from 0). `observed` is the figure or the fact that was judged, or why
    it could not be. `reference` is the version that it was compared with. `seconds` are its share of the one pass that
    all expectations have in common, and the whole of a pass of its own.
    """

    expectation: Expectation
    passed: bool
    failures: int
    rows: int
    sample: tuple[str, ...] = ()
    at: tuple[int, ...] = ()
    observed: str = ""
    reference: str = ""
    seconds: float = 0.0


class CheckReport(msgspec.Struct, frozen=True):
    """What checking a snapshot found; it passed when no expectation of severity `error` failed.

    Of its `parts` (a table is one, a folder of Parquet has many) so many were `read`; what the others hold was known.
    """

    dataset: Name
    version: int
    passed: bool
    results: tuple[CheckResult, ...]
    at: datetime
    parts: int = 1
    read: int = 1
    seconds: float = 0.0


class ExpectationsSet(Event, frozen=True, kw_only=True, tag="datasets.expectations_set"):
    """What is expected of a dataset was replaced."""

    expectations: tuple[Expectation, ...]


class SnapshotChecked(Event, frozen=True, kw_only=True, tag="datasets.snapshot_checked"):
    """A snapshot was checked."""

    passed: bool
    failed: int
