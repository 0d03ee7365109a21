"""A suite stands in the way where it says: before commits and merges, before training, before deployment."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from everloop.app.platform import Platform
from everloop.catalog.session import Session
from everloop.datasets.content import write_table
from everloop.datasets.entities import Snapshot
from everloop.datasets.quality.entities import CheckReport
from everloop.datasets.quality.expectations import Expectation, InRange, NotNull, RowCount, Unique
from everloop.datasets.quality.gating import gating_of, require_at, require_checks, verdict_of
from everloop.datasets.quality.suites.entities import Place
from everloop.kernel.errors import Refused
from everloop.store.entities import TreeEntry
from tests.datasets.conftest import FLIGHTS, commit

FAILS, HOLDS = Unique(("flight",)), NotNull("flight")


def apply(platform: Platform, *expectations: Expectation, gates: tuple[Place, ...] = ()) -> bool:
    declared = [{"dataset": "flights", "expectations": expectations, "gates": gates}]
    (applied,) = platform.call("datasets.apply_suites", {"declared": declared})
    return bool(applied.changed)


def events(platform: Platform, kind: str) -> list[object]:
    found: list[object] = platform.call("audit.entries", {"kind": kind})
    return found


class TestCommits:
    def test_a_suite_may_wait_for_the_first_version(self, platform: Platform) -> None:
        apply(platform, FAILS, gates=("commit",))
        with pytest.raises(
            Refused, match="This commit to flights fails 1 of 1 expectations: no two rows agree in flight"
        ):
            commit(platform, "flights", FLIGHTS)
        assert platform.call("datasets.list", {}) == []

    def test_what_passes_is_committed(self, platform: Platform) -> None:
        apply(platform, HOLDS, gates=("commit",))
        assert commit(platform, "flights", FLIGHTS).version == 1

    def test_warnings_stop_nothing(self, platform: Platform) -> None:
        apply(platform, Unique(("flight",), "warning"), gates=("commit",))
        assert commit(platform, "flights", FLIGHTS).version == 1

    @pytest.mark.parametrize("gates", [(), ("merge",), ("training",), ("deployment",)])
    def test_a_suite_that_gates_elsewhere_stops_no_commit(self, platform: Platform, gates: tuple[Place, ...]) -> None:
        apply(platform, FAILS, gates=gates)
        assert commit(platform, "flights", FLIGHTS).version == 1

    def test_what_steps_and_queries_write_is_asked_about_too(self, platform: Platform, planes: Snapshot) -> None:
        apply(platform, InRange("seats", 0, 100), gates=("commit",))
        arguments = {"name": "flights", "sql": "SELECT * FROM planes", "inputs": ["planes"]}
        with pytest.raises(Refused, match="seats is from 0 to 100"):
            platform.call("datasets.derive", arguments)

    def test_rows_that_are_appended_are_asked_about_together_with_those_before(self, platform: Platform) -> None:
        commit(platform, "flights", b"flight,seat\n1,A\n")
        apply(platform, FAILS, gates=("commit",))
        digest = platform.resources.store.put(b"flight,seat\n1,B\n")
        with pytest.raises(Refused, match="no two rows agree in flight"):
            platform.call("datasets.append", {"name": "flights", "digest": digest, "format": "csv"})
        assert platform.call("datasets.get", {"name": "flights"}).rows == 1

    @pytest.mark.parametrize(("data", "passes"), [(b"flight\n1\n1\n", False), (b"flight\n1\n2\n", True)])
    def test_tables_among_files_are_asked_about_too(self, platform: Platform, data: bytes, passes: bool) -> None:
        apply(platform, FAILS, gates=("commit",))
        store = platform.resources.store
        root = store.put_tree([TreeEntry("day/1.csv", store.put(data), len(data))])
        expected = nullcontext() if passes else pytest.raises(Refused, match="no two rows agree in flight")
        with expected:
            platform.call("datasets.commit_files", {"name": "flights", "digest": root})

    def test_tables_that_are_elsewhere_are_asked_about_too(self, platform: Platform, tmp_path: Path) -> None:
        pq.write_table(pa.table({"flight": [1, 1]}), tmp_path / "flights.parquet")
        arguments = {"name": "flights", "url": str(tmp_path / "flights.parquet"), "format": "parquet"}
        apply(platform, FAILS, gates=("commit",))
        with pytest.raises(Refused, match="no two rows agree in flight"):
            platform.call("datasets.register", arguments)
        apply(platform, FAILS)
        platform.call("datasets.register", arguments)
        assert not platform.call("datasets.check", {"name": "flights"}).passed

    def test_a_revert_to_what_failed_since_is_refused(self, platform: Platform) -> None:
        commit(platform, "flights", b"flight,seat\n1,A\n1,B\n")
        commit(platform, "flights", b"flight,seat\n1,A\n")
        apply(platform, FAILS, gates=("commit",))
        with pytest.raises(Refused, match="no two rows agree in flight"):
            platform.call("datasets.revert", {"name": "flights", "version": 1})

    def test_no_gate_keeps_the_rows_of_somebody_who_is_to_be_erased(self, platform: Platform) -> None:
        commit(platform, "flights", b"flight,owner\n1,anna\n2,bert\n")
        platform.call("datasets.apply_suites", {"declared": [{"dataset": "flights", "expectations": [RowCount(2)]}]})
        platform.call("datasets.gate", {"name": "flights", "at": ["commit"]})
        platform.call(
            "datasets.erase_subject", {"name": "flights", "column": "owner", "value": "anna", "dry_run": False}
        )
        assert platform.call("datasets.get", {"name": "flights"}).rows == 1

    def test_whoever_keeps_rows_that_fail_stands_in_the_ledger(self, platform: Platform) -> None:
        apply(platform, FAILS, gates=("commit",))
        digest = platform.resources.store.put(FLIGHTS)
        arguments = {"name": "flights", "digest": digest, "format": "csv", "on_failure": "keep"}
        assert platform.call("datasets.commit", arguments).version == 1
        assert len(events(platform, "datasets.gate_overridden")) == 1


class TestMerges:
    def conflicting(self, platform: Platform) -> None:
        """Main and a branch, each without twins, that have one between them."""
        commit(platform, "flights", b"flight,seat\n1,A\n")
        commit(platform, "flights", b"flight,seat\n1,A\n2,B\n")
        platform.call("datasets.branch", {"name": "flights", "branch": "edit", "at": 1})
        digest = platform.resources.store.put(b"flight,seat\n1,A\n3,B\n")
        platform.call("datasets.commit", {"name": "flights", "digest": digest, "format": "csv", "branch": "edit"})

    def merge(self, platform: Platform) -> None:
        platform.call("datasets.merge", {"name": "flights", "branch": "edit", "keys": ["flight"]})

    def test_a_merge_that_fails_is_refused(self, platform: Platform) -> None:
        self.conflicting(platform)
        apply(platform, Unique(("seat",)), gates=("merge",))
        with pytest.raises(Refused, match="This merge to flights fails"):
            self.merge(platform)
        assert platform.call("datasets.get", {"name": "flights"}).version == 2

    def test_a_branch_that_only_goes_on_is_asked_about_too(self, platform: Platform) -> None:
        commit(platform, "flights", b"flight,seat\n1,A\n")
        platform.call("datasets.branch", {"name": "flights", "branch": "edit"})
        digest = platform.resources.store.put(b"flight,seat\n1,A\n2,A\n")
        platform.call("datasets.commit", {"name": "flights", "digest": digest, "format": "csv", "branch": "edit"})
        apply(platform, Unique(("seat",)), gates=("merge",))
        with pytest.raises(Refused, match="This merge to flights fails"):
            self.merge(platform)

    def test_a_suite_that_gates_commits_alone_lets_it_pass(self, platform: Platform) -> None:
        self.conflicting(platform)
        apply(platform, Unique(("seat",)), gates=("commit",))
        self.merge(platform)
        assert platform.call("datasets.get", {"name": "flights"}).rows == 3


class TestVerdicts:
    def test_a_version_that_was_not_checked_is_checked_now(self, platform: Platform, flights: Snapshot) -> None:
        apply(platform, FAILS)
        with pytest.raises(Refused, match="flights@1 fails 1 of 1 expectations"):
            require_checks(platform.session(), "flights")
        assert len(platform.call("datasets.checks", {"name": "flights"})) == 1

    def test_a_report_under_the_suite_in_force_is_enough(self, platform: Platform, flights: Snapshot) -> None:
        apply(platform, HOLDS)
        session = platform.session()
        assert verdict_of(session, flights) == verdict_of(session, flights)
        assert len(platform.call("datasets.checks", {"name": "flights"})) == 1

    def test_reports_under_another_suite_say_nothing(self, platform: Platform, flights: Snapshot) -> None:
        apply(platform, HOLDS)
        require_checks(platform.session(), flights)
        platform.call("datasets.check", {"name": "flights", "suite": [HOLDS]})
        apply(platform, FAILS)
        with pytest.raises(Refused):
            require_checks(platform.session(), flights)

    def test_what_nothing_is_expected_of_passes(self, session: Session, platform: Platform) -> None:
        import pyarrow as pa

        snapshot = write_table(session, "free", pa.table({"x": [1]}))
        require_checks(session, snapshot)
        assert verdict_of(session, snapshot) is None

    def test_a_place_is_asked_about_only_where_the_suite_gates(self, platform: Platform, flights: Snapshot) -> None:
        apply(platform, FAILS, gates=("training",))
        require_at(platform.session(), flights, "deployment")
        with pytest.raises(Refused):
            require_at(platform.session(), flights, "training")

    def test_a_refusal_names_the_first_few_failures(self, platform: Platform, flights: Snapshot) -> None:
        apply(platform, *(InRange("flight", 100 + n) for n in range(8)))
        with pytest.raises(Refused, match=r"\(and 3 more\)"):
            require_checks(platform.session(), flights)


class TestWhereASuiteGates:
    def test_nowhere_unless_it_was_said(self, platform: Platform, flights: Snapshot) -> None:
        assert platform.call("datasets.gates", {"name": "flights"}).gates == ()

    def test_it_can_be_changed_without_the_suite(self, platform: Platform, flights: Snapshot) -> None:
        apply(platform, HOLDS, gates=("commit",))
        platform.call("datasets.gate", {"name": "flights", "at": ["merge", "training", "merge"]})
        assert gating_of(platform.session(), "flights").gates == ("merge", "training")
        assert len(platform.call("datasets.expectations", {"name": "flights"}).expectations) == 1

    def test_each_change_stands_in_the_ledger_once(self, platform: Platform, flights: Snapshot) -> None:
        for _ in range(2):
            platform.call("datasets.gate", {"name": "flights", "at": ["commit"]})
        assert len(events(platform, "datasets.gates_set")) == 1

    def test_applying_the_same_suite_again_changes_nothing(self, platform: Platform, flights: Snapshot) -> None:
        assert apply(platform, HOLDS, gates=("commit",))
        assert not apply(platform, HOLDS, gates=("commit",))
        assert apply(platform, HOLDS)


def test_reports_stay_what_they_are(platform: Platform, flights: Snapshot) -> None:
    apply(platform, FAILS)
    report: CheckReport = platform.call("datasets.check", {"name": "flights"})
    assert verdict_of(platform.session(), flights) == report
