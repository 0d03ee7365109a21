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


class ExpectationsSet(Event, frozen=True, kw_only=True, tag="datasets.expectations_set"):
    """What is expected of a dataset was replaced."""

    expectations: tuple[Expectation, ...]


class SnapshotChecked(Event, frozen=True, kw_only=True, tag="datasets.snapshot_checked"):
    """A snapshot was checked."""

    passed: bool
    failed: int
