"""Splits through the front door: parts are versions, cost next to nothing, and are proved again at any time."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from everloop.app.platform import Platform
from everloop.catalog.lineage import graph
from everloop.datasets.content import read_table, resolve, write_table
from everloop.datasets.entities import Snapshot
from everloop.datasets.splits.entities import (
    GroupedSplit,
    HashSplit,
    KFold,
    Proof,
    RandomSplit,
    TimeSplit,
)
from everloop.kernel.clock import SimulatedClock
from everloop.kernel.errors import InvalidInput, NotFound, Refused
from tests.datasets.splits.conftest import NOON, delete_driver, rides, split


def rows_of(platform: Platform, reference: str) -> list[int]:
    session = platform.session()
    found: list[int] = read_table(session, resolve(session, reference), ["id"])["id"].to_pylist()
    return found


class TestParts:
    def test_each_is_a_version_of_a_dataset_of_its_own(self, platform: Platform, source: Snapshot) -> None:
        made = split(platform, RandomSplit(), seed=3)
        assert [(part.name, part.snapshot, part.rows) for part in made.parts] == [
            ("train", "dataset:default/rides.train@1", 160),
            ("test", "dataset:default/rides.test@1", 40),
        ]
        assert sorted(rows_of(platform, "rides.train") + rows_of(platform, "rides.test")) == list(range(200))

    def test_a_part_is_read_like_any_table(self, platform: Platform, source: Snapshot) -> None:
        split(platform, RandomSplit())
        session = platform.session()
        part = read_table(session, resolve(session, "rides.test"), ["city", "id"])
        expected = rides().filter(pa.array([n in set(part["id"].to_pylist()) for n in range(200)]))
        assert part.equals(expected.select(["city", "id"]))

    def test_a_part_of_a_table_that_is_elsewhere_is_read_from_there(self, platform: Platform, tmp_path: Path) -> None:
        pq.write_table(rides(), tmp_path / "rides.parquet")
        place = {"name": "rides", "url": str(tmp_path / "rides.parquet"), "format": "parquet"}
        platform.call("datasets.register", place)
        made = split(platform, RandomSplit(), seed=3)
        assert sorted(rows_of(platform, "rides.train") + rows_of(platform, "rides.test")) == list(range(200))
        assert platform.call("datasets.prove", {"id": made.id, "duplicates": True}).holds

    @pytest.mark.parametrize("seed", [1 << 63, -(1 << 63) - 1, 10**30])
    def test_a_seed_that_cannot_be_kept_leaves_no_parts(self, platform: Platform, source: Snapshot, seed: int) -> None:
        with pytest.raises(InvalidInput, match="out of range"):
            split(platform, RandomSplit(), seed=seed)
        assert [each.name for each in platform.call("datasets.list", {})] == ["rides"]

    def test_a_part_costs_a_bit_for_each_row(self, platform: Platform, source: Snapshot) -> None:
        before = platform.resources.store.stats().bytes
        split(platform, RandomSplit())
        assert resolve(platform.session(), "rides.train").bytes < 100
        assert platform.resources.store.stats().bytes - before < 4_000

    def test_they_come_from_their_source(self, platform: Platform, source: Snapshot) -> None:
        split(platform, RandomSplit())
        with platform.session().begin(write=False) as unit:
            assert "dataset:default/rides@1" in graph(unit, "dataset:default/rides.test@1", "upstream", 3).nodes

    def test_a_part_has_a_profile_and_a_preview(self, platform: Platform, source: Snapshot) -> None:
        split(platform, RandomSplit())
        assert platform.call("datasets.profile", {"name": "rides.test"}).rows == 40
        assert len(platform.call("datasets.preview", {"name": "rides.test", "limit": 3})) == 3

    def test_a_part_can_be_split_again(self, platform: Platform, source: Snapshot) -> None:
        split(platform, RandomSplit())
        again = split(platform, HashSplit(("driver",), (("a", 0.5), ("b", 0.5))), name="rides.train")
        found = sorted(rows_of(platform, "rides.train.a") + rows_of(platform, "rides.train.b"))
        assert found == rows_of(platform, "rides.train")
        assert platform.call("datasets.prove", {"id": again.id}).holds

    def test_a_table_that_changed_row_by_row_is_split_as_it_is_read(self, platform: Platform, source: Snapshot) -> None:
        delete_driver(platform, "D3")
        made = split(platform, GroupedSplit(("driver",)))
        assert sorted(rows_of(platform, "rides.train") + rows_of(platform, "rides.test")) == rows_of(platform, "rides")
        assert platform.call("datasets.prove", {"id": made.id}).holds
        platform.call("store.gc", {"dry_run": False, "grace": "0s"})
        assert len(rows_of(platform, "rides.train")) == made.parts[0].rows

    def test_folds_have_names_by_number(self, platform: Platform, source: Snapshot) -> None:
        names = [part.name for part in split(platform, KFold(2)).parts]
        assert names == ["fold1.train", "fold1.test", "fold2.train", "fold2.test"]

    def test_an_older_version_can_be_split(self, platform: Platform, source: Snapshot) -> None:
        write_table(platform.session(), "rides", rides(10))
        made = platform.call("datasets.split", {"name": "rides", "strategy": {"type": "random"}, "at": 1})
        assert (made.version, sum(part.rows for part in made.parts)) == (1, 200)

    def test_garbage_collection_spares_them(self, platform: Platform, source: Snapshot) -> None:
        split(platform, RandomSplit())
        platform.call("store.gc", {"dry_run": False, "grace": "0s"})
        assert len(rows_of(platform, "rides.train")) == 160


class TestSplits:
    def test_the_same_split_made_again_is_the_same(
        self, platform: Platform, source: Snapshot, clock: SimulatedClock
    ) -> None:
        made = split(platform, RandomSplit(), seed=3)
        clock.advance(clock.now() + timedelta(hours=1))
        assert split(platform, RandomSplit(), seed=3) == made
        assert split(platform, RandomSplit(), seed=4).id != made.id

    def test_the_newest_is_listed_first(self, platform: Platform, source: Snapshot, clock: SimulatedClock) -> None:
        split(platform, RandomSplit())
        clock.advance(clock.now() + timedelta(hours=1))
        newest = split(platform, GroupedSplit(("driver",)))
        found = platform.call("datasets.splits", {"name": "rides"})
        assert (found[0], len(found)) == (newest, 2)

    def test_what_went_unevenly_is_kept_as_a_note(self, platform: Platform, source: Snapshot) -> None:
        made = platform.call("datasets.split", {"name": "rides", "strategy": {"type": "stratified", "by": ["id"]}})
        assert "200 of 200 strata" in made.notes[0]

    def test_the_ledger_says_who_split_what(self, platform: Platform, source: Snapshot) -> None:
        made = split(platform, RandomSplit(), seed=3)
        (entry,) = platform.call("audit.entries", {"kind": "datasets.split_made"})
        assert entry.subject == f"split:default/{made.id}"

    def test_files_have_no_rows_to_split(self, platform: Platform) -> None:
        store = platform.resources.store
        digest = store.put_tree([])
        platform.call("datasets.commit_files", {"name": "photos", "digest": digest})
        with pytest.raises(InvalidInput, match="holds files"):
            split(platform, RandomSplit(), name="photos")

    def test_a_name_that_would_be_too_long_is_refused(self, platform: Platform) -> None:
        write_table(platform.session(), "r" * 125, rides(10))
        with pytest.raises(InvalidInput, match="too long"):
            split(platform, RandomSplit(), name="r" * 125)


class TestProofs:
    def test_a_split_keeps_its_proof(self, platform: Platform, source: Snapshot) -> None:
        strategy = TimeSplit("at", (NOON + timedelta(hours=90),), known="paid")
        made = split(platform, strategy)
        assert made.proof.holds
        assert made.proof.comparisons[1].latest == NOON + timedelta(hours=90)

    def test_it_is_made_again_from_what_the_store_holds(
        self, platform: Platform, source: Snapshot, clock: SimulatedClock
    ) -> None:
        made = split(platform, GroupedSplit(("driver",)))
        clock.advance(clock.now() + timedelta(days=9))
        proof: Proof = platform.call("datasets.prove", {"id": made.id})
        assert proof.comparisons == made.proof.comparisons
        assert proof.at == clock.now()

    def test_rows_that_are_there_twice_are_found_when_asked_for(self, platform: Platform) -> None:
        table = rides(50)
        write_table(platform.session(), "rides", pa.concat_tables([table, table]))
        made = split(platform, RandomSplit())
        assert platform.call("datasets.prove", {"id": made.id}).holds
        assert not platform.call("datasets.prove", {"id": made.id, "duplicates": True}).holds

    def test_a_part_of_something_else_proves_nothing(self, platform: Platform, source: Snapshot) -> None:
        from everloop.datasets.splits.tables import splits

        made = split(platform, RandomSplit())
        with platform.session().begin() as unit:
            unit.execute(splits.update().values(parts=made.parts[:1], version=1, dataset="rides.test"))
        with pytest.raises(Refused, match="no part of"):
            platform.call("datasets.prove", {"id": made.id})

    def test_an_unknown_split_is_said(self, platform: Platform) -> None:
        with pytest.raises(NotFound, match="no split 'x'"):
            platform.call("datasets.prove", {"id": "x"})


def test_the_parts_of_a_large_table_cost_less_than_a_hundredth_of_it(platform: Platform) -> None:
    """The bytes of the table again, as Parquet files of their own, would be all of it."""
    session = platform.session()
    table = pa.concat_tables([rides(1000)] * 50).set_column(0, "id", pa.array(range(50_000)))
    source = write_table(session, "rides", table)
    made = split(platform, TimeSplit("at", (NOON + timedelta(hours=700),)))
    assert sum(resolve(session, part.snapshot).bytes for part in made.parts) < source.bytes / 100
    assert pq.ParquetFile(pa.BufferReader(session.store.get(source.digest))).metadata.num_rows == 50_000
