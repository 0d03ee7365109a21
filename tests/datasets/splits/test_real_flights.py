"""The real flights of 2013: cut in time and by plane, and a plane that asks to be forgotten."""

from __future__ import annotations

import time

import pyarrow.compute as pc
import pytest

from everloop.app.platform import Platform
from everloop.datasets.content import read_table, resolve
from everloop.datasets.entities import Snapshot
from everloop.datasets.splits.entities import GroupedSplit, HashSplit, StratifiedSplit, TimeShares
from tests.datasets.conftest import commit
from tests.datasets.splits.conftest import split

pytestmark = pytest.mark.slow
PLANE = "N14228"
"""It flew 111 times."""


@pytest.fixture
def year(platform: Platform, real_flights: bytes) -> Snapshot:
    return commit(platform, "flights", real_flights)


def test_no_plane_is_on_two_sides(platform: Platform, year: Snapshot) -> None:
    made = split(platform, GroupedSplit(("tailnum",)), name="flights")
    rows, planes = made.proof.comparisons
    assert (sum(rows.counts), rows.shared) == (336_776, 0)
    assert (sum(planes.counts), planes.shared) == (4_044, 0)
    assert abs(made.parts[0].rows - 0.8 * 336_776) < 2_512


def test_the_rarest_carrier_has_its_share_in_every_part(platform: Platform, year: Snapshot) -> None:
    made = split(platform, StratifiedSplit(("carrier",)), name="flights")
    session = platform.session()
    part = read_table(session, resolve(session, made.parts[1].snapshot), ["carrier"])
    counts = {found["values"]: found["counts"] for found in pc.value_counts(part["carrier"]).to_pylist()}
    assert counts["OO"] in (6, 7)
    assert counts["UA"] in (11_733, 11_734)


def test_the_holdout_begins_after_all_that_was_trained_on(platform: Platform, year: Snapshot) -> None:
    (_, time_of) = split(platform, TimeShares("time_hour"), name="flights").proof.comparisons
    assert time_of.latest is not None
    assert time_of.earliest is not None
    assert time_of.latest < time_of.earliest


def test_flights_of_the_second_half_move_none_of_the_first(platform: Platform, real_flights: bytes) -> None:
    lines = real_flights.splitlines(keepends=True)
    commit(platform, "flights", b"".join(lines[: len(lines) // 2]))
    before = split(platform, HashSplit(("flight", "origin")), name="flights")
    commit(platform, "flights", real_flights)
    after = split(platform, HashSplit(("flight", "origin")), name="flights")
    session = platform.session()
    first, whole = (read_table(session, resolve(session, made.parts[1].snapshot)) for made in (before, after))
    assert whole.slice(0, first.num_rows).equals(first)


def test_a_plane_is_found_and_forgotten(platform: Platform, year: Snapshot) -> None:
    split(platform, TimeShares("time_hour"), name="flights")
    arguments = {"name": "flights", "column": "tailnum", "value": PLANE}
    found = {each.snapshot: each.rows for each in platform.call("datasets.subject", arguments).holdings}
    assert found["dataset:default/flights@1"] == 111
    assert found["dataset:default/flights.train@1"] + found["dataset:default/flights.test@1"] == 111
    platform.call("datasets.erase_subject", arguments | {"dry_run": False})
    for name in ("flights.train", "flights.test", "flights"):
        platform.call("datasets.purge", {"name": name, "version": 1, "reason": "Its owner asked for it."})
    assert platform.call("datasets.subject", arguments).holdings == ()
    platform.call("store.gc", {"dry_run": False, "grace": "0s"})
    session = platform.session()
    assert read_table(session, resolve(session, "flights")).num_rows == 336_776 - 111
    assert not session.store.has(year.digest)


def test_a_split_takes_a_blink(platform: Platform, year: Snapshot) -> None:
    """In CPU, since machines are busy."""
    start = time.process_time()
    split(platform, GroupedSplit(("tailnum",)), name="flights")
    assert time.process_time() - start < 1
