"""The real flights of 2013: what is wrong in them is found, in the time there is for it."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from everloop.app.platform import Platform
from everloop.datasets.entities import ColumnProfile, Snapshot
from everloop.datasets.quality.entities import CheckReport
from tests.datasets.conftest import commit

pytestmark = pytest.mark.slow

EXPECTATIONS = [
    {"type": "not_null", "column": "tailnum"},
    {"type": "in_range", "column": "dep_delay", "minimum": -60, "maximum": 600},
    {"type": "unique", "columns": ["time_hour", "carrier", "flight", "origin", "dest"]},
    {"type": "one_of", "column": "origin", "values": ["EWR", "JFK", "LGA"]},
    {"type": "references", "columns": ["tailnum"], "dataset": "planes", "keys": ["tailnum"]},
    {"type": "references", "columns": ["dest"], "dataset": "airports", "keys": ["faa"], "severity": "warning"},
]


@pytest.fixture
def year(platform: Platform, real: Path, real_flights: bytes) -> Snapshot:
    for name in ("planes", "airports"):
        commit(platform, name, (real / f"{name}.csv").read_bytes())
    return commit(platform, "flights", real_flights)


def column(platform: Platform, dataset: str, name: str) -> ColumnProfile:
    profile = platform.call("datasets.profile", {"name": dataset})
    return next(found for found in profile.columns if found.name == name)


def test_the_year_is_committed_whole(platform: Platform, year: Snapshot) -> None:
    assert (year.rows, len(year.columns)) == (336_776, 19)
    assert {kind.name: kind.type for kind in year.columns}["time_hour"] == "timestamp[us, tz=UTC]"


def test_missing_values_are_missing_in_text_and_numbers(platform: Platform, year: Snapshot) -> None:
    missing = {name: column(platform, "flights", name).nulls for name in ("tailnum", "dep_delay", "arr_delay")}
    assert missing == {"tailnum": 2_512, "dep_delay": 8_255, "arr_delay": 9_430}
    assert column(platform, "flights", "tailnum").distinct == 4_043


def test_the_profile_is_exact(platform: Platform, year: Snapshot) -> None:
    delay = column(platform, "flights", "dep_delay")
    assert (delay.minimum, delay.maximum) == (-43, 1301)
    assert delay.mean == pytest.approx(12.639070257304708)
    assert delay.quantiles[4] == -2


def test_checks_find_what_is_wrong(platform: Platform, year: Snapshot) -> None:
    platform.call("datasets.expect", {"name": "flights", "expectations": EXPECTATIONS})
    report: CheckReport = platform.call("datasets.check", {"name": "flights"})
    assert [result.failures for result in report.results] == [2_512, 40, 0, 0, 50_094, 7_602]
    assert not report.passed


def test_committing_and_checking_take_the_time_they_may(
    platform: Platform, year: Snapshot, real_flights: bytes
) -> None:
    """A commit reads CSV, profiles and stores in under 2 s; checks take under 1 s (CPU, since machines are busy)."""
    start = time.process_time()
    commit(platform, "again", real_flights)
    committed = time.process_time() - start
    platform.call("datasets.expect", {"name": "flights", "expectations": EXPECTATIONS})
    start = time.process_time()
    platform.call("datasets.check", {"name": "flights"})
    assert time.process_time() - start < 1
    assert committed < 2
