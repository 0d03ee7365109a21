"""Erasing a subject: heads get new versions without it, what still holds it is told, and purged bytes really go."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from everloop.app.platform import Platform
from everloop.catalog.lineage import link
from everloop.datasets.content import read_table, resolve, write_table
from everloop.datasets.entities import Snapshot
from everloop.datasets.quality.expectations import InRange
from everloop.datasets.splits.entities import ErasureReport, GroupedSplit, PurgeReport, RandomSplit
from everloop.governance.entities import Principal
from everloop.kernel.errors import NotFound, PermissionDenied, Refused
from tests.datasets.splits.conftest import delete_driver, rides, split

D3 = rides()["driver"].to_pylist().count("D3")


def erase(platform: Platform, **given: object) -> ErasureReport:
    arguments = {"name": "rides", "column": "driver", "value": "D3", "dry_run": False}
    report: ErasureReport = platform.call("datasets.erase_subject", arguments | given)
    return report


def purge(platform: Platform, name: str, version: int = 1) -> PurgeReport:
    arguments = {"name": name, "version": version, "reason": "A driver asked for it."}
    report: PurgeReport = platform.call("datasets.purge", arguments)
    return report


def drivers(platform: Platform, reference: str) -> list[str]:
    session = platform.session()
    found: list[str] = read_table(session, resolve(session, reference), ["driver"])["driver"].to_pylist()
    return found


class TestErasing:
    def test_is_only_tried_unless_asked_for(self, platform: Platform, source: Snapshot) -> None:
        report = platform.call("datasets.erase_subject", {"name": "rides", "column": "driver", "value": "D3"})
        assert (report.dry_run, report.erased[0].rows, report.erased[0].after) == (True, D3, "")
        assert resolve(platform.session(), "rides").version == 1

    def test_writes_a_version_without_the_rows(self, platform: Platform, source: Snapshot) -> None:
        report = erase(platform)
        assert [(each.before, each.after) for each in report.erased] == [
            ("dataset:default/rides@1", "dataset:default/rides@2")
        ]
        assert "D3" not in drivers(platform, "rides")
        assert len(drivers(platform, "rides")) == 200 - D3

    def test_rows_without_a_value_stay(self, platform: Platform, source: Snapshot) -> None:
        erase(platform)
        assert drivers(platform, "rides").count(None) == drivers(platform, "rides@1").count(None)  # type: ignore[arg-type]  # A driver may be missing.

    def test_reaches_the_rows_that_were_set_aside(self, platform: Platform) -> None:
        rows = b"driver,paid\nD3,-1\nD3,5\nD4,-2\n"
        declared = {"dataset": "rides", "expectations": [InRange("paid", 0)], "gates": ["commit"]}
        platform.call("datasets.apply_suites", {"declared": [declared | {"on_failure": "quarantine"}]})
        digest = platform.resources.store.put(rows)
        platform.call("datasets.commit", {"name": "rides", "digest": digest, "format": "csv"})
        erase(platform)
        assert drivers(platform, "rides.quarantine") == ["D4"]

    def test_reaches_every_branch(self, platform: Platform, source: Snapshot) -> None:
        platform.call("datasets.branch", {"name": "rides", "branch": "clean"})
        assert {each.branch for each in erase(platform).erased} == {"main", "clean"}
        assert "D3" not in drivers(platform, "rides@clean")

    def test_reaches_parts_which_stay_as_cheap_as_they_were(self, platform: Platform, source: Snapshot) -> None:
        split(platform, RandomSplit())
        erase(platform)
        session = platform.session()
        part, whole = resolve(session, "rides.train"), resolve(session, "rides")
        assert "D3" not in drivers(platform, "rides.train")
        assert part.selection is not None
        assert part.selection.source == whole.digest
        assert set(drivers(platform, "rides.train")) <= set(drivers(platform, "rides.train@1"))

    def test_leaves_the_rows_of_others_in_their_parts(self, platform: Platform, source: Snapshot) -> None:
        split(platform, RandomSplit())
        before = [driver for driver in drivers(platform, "rides.train") if driver != "D3"]
        erase(platform)
        assert drivers(platform, "rides.train") == before

    def test_reaches_deleted_rows_whose_bytes_are_in_a_layer_below(self, platform: Platform, source: Snapshot) -> None:
        delete_driver(platform, "D3")
        erase(platform)
        assert not any(holding.heads for holding in erase(platform).remaining.holdings)

    def test_leaves_unrelated_datasets_alone_unless_named(self, platform: Platform, source: Snapshot) -> None:
        write_table(platform.session(), "staff", pa.table({"driver": ["D3", "D4"]}))
        assert [each.before for each in erase(platform).erased] == ["dataset:default/rides@1"]
        assert [each.before for each in erase(platform, also=["staff"]).erased] == ["dataset:default/staff@1"]

    def test_goes_back_to_what_a_dataset_came_from(self, platform: Platform, source: Snapshot) -> None:
        sql = "SELECT id, driver FROM rides ORDER BY id"
        platform.call("datasets.derive", {"name": "names", "sql": sql, "inputs": ["rides"]})
        assert {each.before for each in erase(platform, name="names").erased} == {
            "dataset:default/rides@1",
            "dataset:default/names@1",
        }

    def test_tells_what_still_holds_the_subject(self, platform: Platform, source: Snapshot) -> None:
        with platform.session().begin() as unit:
            link(unit, "model:default/tips@1", "dataset:default/rides@1", "used")
        remaining = erase(platform).remaining
        assert [holding.snapshot for holding in remaining.holdings] == ["dataset:default/rides@1"]
        assert [made.urn for made in remaining.made] == ["model:default/tips@1"]

    def test_tells_how_much_purging_will_free(self, platform: Platform, source: Snapshot) -> None:
        tried = platform.call("datasets.erase_subject", {"name": "rides", "column": "driver", "value": "D3"})
        assert tried.frees == erase(platform).frees == source.bytes

    def test_is_in_the_ledger_without_the_value(self, platform: Platform, source: Snapshot) -> None:
        erase(platform)
        (entry,) = platform.call("audit.entries", {"kind": "datasets.subject_erased"})
        assert "D3" not in str(entry)

    def test_a_stranger_changes_nothing(self, platform: Platform, source: Snapshot) -> None:
        assert erase(platform, value="nobody").erased == ()
        assert platform.call("audit.entries", {"kind": "datasets.subject_erased"}) == []

    def test_is_for_owners_only(self, platform: Platform, source: Snapshot) -> None:
        arguments = {"name": "rides", "column": "driver", "value": "D3"}
        with pytest.raises(PermissionDenied):
            platform.call("datasets.erase_subject", arguments, principal=Principal("eve", ("deployer",)))


class TestPurging:
    def test_a_purged_version_says_why_it_cannot_be_read(self, platform: Platform, source: Snapshot) -> None:
        erase(platform)
        purge(platform, "rides")
        with pytest.raises(NotFound, match=r"rides@1 was purged on 2026-01-01 by .*: A driver asked for it\."):
            drivers(platform, "rides@1")

    def test_its_bytes_go_with_the_next_garbage_collection(self, platform: Platform, source: Snapshot) -> None:
        erase(platform)
        assert purge(platform, "rides").bytes == source.bytes
        platform.call("store.gc", {"dry_run": False, "grace": "0s"})
        assert not platform.resources.store.has(source.digest)
        assert len(drivers(platform, "rides")) == 200 - D3

    def test_parts_that_keep_the_bytes_are_named(self, platform: Platform, source: Snapshot) -> None:
        split(platform, GroupedSplit(("driver",)))
        erase(platform)
        assert purge(platform, "rides").kept_by == ("dataset:default/rides.test@1", "dataset:default/rides.train@1")
        purge(platform, "rides.test")
        purge(platform, "rides.train")
        platform.call("store.gc", {"dry_run": False, "grace": "0s"})
        assert not platform.resources.store.has(source.digest)

    def test_nothing_is_found_any_more_when_all_is_purged(self, platform: Platform, source: Snapshot) -> None:
        erase(platform)
        purge(platform, "rides")
        report = platform.call("datasets.subject", {"name": "rides", "column": "driver", "value": "D3"})
        assert report.holdings == ()

    def test_its_name_and_what_led_to_it_stay(self, platform: Platform, source: Snapshot) -> None:
        erase(platform)
        purge(platform, "rides")
        newest, oldest = platform.call("datasets.log", {"name": "rides"})
        assert (oldest.version, oldest.digest, oldest.rows) == (1, "", 200)
        assert oldest.purged.reason == "A driver asked for it."
        assert newest.base == (1,)

    def test_its_profile_goes_too(self, platform: Platform, source: Snapshot) -> None:
        erase(platform)
        purge(platform, "rides")
        with pytest.raises(NotFound, match="was purged"):
            platform.call("datasets.profile", {"name": "rides", "version": 1})

    def test_the_ledger_remembers_what_its_digest_was(self, platform: Platform, source: Snapshot) -> None:
        erase(platform)
        purge(platform, "rides")
        (entry,) = platform.call("audit.entries", {"kind": "datasets.snapshot_purged"})
        assert source.digest in str(entry)

    def test_a_version_that_a_branch_stands_at_is_refused(self, platform: Platform, source: Snapshot) -> None:
        with pytest.raises(Refused, match="Branch 'main' of 'rides' stands at version 1"):
            purge(platform, "rides")

    def test_a_version_is_purged_once(self, platform: Platform, source: Snapshot) -> None:
        erase(platform)
        purge(platform, "rides")
        with pytest.raises(NotFound, match="was purged"):
            purge(platform, "rides")


def test_the_rows_of_all_others_are_the_same_as_before(platform: Platform, source: Snapshot) -> None:
    erase(platform)
    session = platform.session()
    expected = rides().filter(pc.fill_null(pc.not_equal(rides()["driver"], "D3"), True))
    assert read_table(session, resolve(session, "rides")).equals(expected)
