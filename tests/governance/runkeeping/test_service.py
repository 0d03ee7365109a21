"""Freeing runs for good: what was hidden long enough goes, what something needs stays and says why."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import func, select

from everloop.app.platform import Platform
from everloop.catalog.schema import metadata
from everloop.catalog.tables import ledger, lineage
from everloop.governance.runkeeping.entities import RunsGc
from everloop.kernel.clock import SimulatedClock
from everloop.kernel.errors import Conflict, NotFound, Refused
from everloop.registry import service as registry
from everloop.registry.entities import FILES, Model, ModelVersion, Signature
from everloop.store.entities import Digest
from everloop.tracking import loggedmodels
from everloop.tracking.entities import LoggedModel, Run


def run_of(platform: Platform, experiment: str = "e", **arguments: object) -> Run:
    """A run with points, a parameter and a file of its own."""
    run: Run = platform.call("runs.start", {"experiment": experiment, **arguments})
    points = [{"key": "loss", "value": float(step), "step": step} for step in range(50)]
    platform.call("runs.log", {"id": run.id, "metrics": points, "parameters": {"depth": "3"}})
    digest = platform.resources.store.put(b"file of " + run.id.encode())
    platform.call("runs.log_artifact", {"id": run.id, "path": "a/file", "digest": digest})
    return run


def hidden(platform: Platform, experiment: str = "e", **arguments: object) -> Run:
    run = run_of(platform, experiment, **arguments)
    platform.call("runs.finish", {"id": run.id})
    platform.call("runs.delete", {"id": run.id})
    return run


def freed(platform: Platform, **arguments: object) -> RunsGc:
    report: RunsGc = platform.call("runs.gc", {"dry_run": False, "older_than": "0s"} | arguments)
    return report


def registered(platform: Platform, run: str, name: str = "m") -> Any:
    files = platform.resources.store.put_tree([])
    trained = Model(FILES, files, Signature((), ()))
    return platform.call("models.register", {"name": name, "trained": trained, "run": run})


def rows_with(platform: Platform, id: str) -> set[str]:
    """The tables that have a row of a run, by name."""
    found = set()
    with platform.session().begin(write=False) as unit:
        for table in metadata.sorted_tables:
            for column in {"run", "id"} & set(table.c.keys()):
                if "project" in table.c and unit.scalars(select(func.count()).where(table.c[column] == id))[0]:
                    found.add(table.name)
    return found


def edges_of(platform: Platform, urn: str) -> int:
    with platform.session().begin(write=False) as unit:
        here = (lineage.c.downstream == urn) | (lineage.c.upstream == urn)
        return int(unit.scalars(select(func.count()).where(here))[0])


def why(report: RunsGc) -> dict[str, str]:
    return {kept.urn: "; ".join(kept.why) for kept in report.kept}


def urn(run: Run) -> str:
    return f"run:default/{run.id}"


class TestWhatGoes:
    def test_a_run_that_was_deleted_long_ago_leaves_no_row(self, platform: Platform, clock: SimulatedClock) -> None:
        run = hidden(platform)
        clock.advance(clock.now() + timedelta(days=31))
        freed(platform, older_than="")
        assert rows_with(platform, run.id) == set()
        with pytest.raises(NotFound):
            platform.call("runs.get", {"id": run.id})

    def test_one_that_was_deleted_lately_can_still_be_restored(self, platform: Platform, clock: SimulatedClock) -> None:
        run = hidden(platform)
        clock.advance(clock.now() + timedelta(days=29))
        assert freed(platform, older_than="").freed == ()
        platform.call("runs.restore", {"id": run.id})
        assert len(platform.call("runs.history", {"id": run.id, "key": "loss"})) == 50

    def test_a_dry_run_frees_nothing_and_tells_sizes(self, platform: Platform) -> None:
        run = hidden(platform)
        report = platform.call("runs.gc", {"older_than": "0s"})
        (one,) = report.freed
        assert (one.urn, one.files, one.files_bytes) == (urn(run), 1, 8 + 32)
        assert one.bytes > 50
        assert platform.call("runs.get", {"id": run.id}).deleted

    def test_a_run_that_was_not_deleted_stays(self, platform: Platform) -> None:
        run = run_of(platform)
        assert freed(platform).freed == ()
        assert platform.call("runs.get", {"id": run.id}) == platform.call("runs.get", {"id": run.id})

    def test_only_named_runs_go_however_lately_they_were_deleted(self, platform: Platform) -> None:
        one, other = hidden(platform), hidden(platform)
        report = freed(platform, runs=[one.id], older_than="")
        assert [it.urn for it in report.freed] == [urn(one)]
        assert platform.call("runs.get", {"id": other.id}).deleted

    def test_naming_a_run_that_was_not_deleted_is_refused(self, platform: Platform) -> None:
        run = run_of(platform)
        with pytest.raises(Conflict, match="was not deleted"):
            freed(platform, runs=[run.id])

    def test_naming_what_was_freed_already_says_so(self, platform: Platform) -> None:
        run = hidden(platform)
        freed(platform)
        with pytest.raises(NotFound):
            freed(platform, runs=[run.id])

    def test_the_ledger_keeps_telling_of_it_and_lineage_forgets_it(self, platform: Platform) -> None:
        run = run_of(platform)
        platform.call("runs.log", {"id": run.id, "inputs": ["dataset:default/flights@1"]})
        platform.call("runs.delete", {"id": run.id})
        assert edges_of(platform, urn(run)) == 1
        freed(platform)
        assert edges_of(platform, urn(run)) == 0
        with platform.session().begin(write=False) as unit:
            kinds = unit.scalars(select(ledger.c.kind).where(ledger.c.subject == urn(run)).order_by(ledger.c.sequence))
        assert kinds[0] == "runs.started"
        assert kinds[-1] == "runs.purged"
        assert platform.call("audit.verify", {}).intact

    def test_a_deleted_logged_model_goes_whatever_kind_of_model_it_is(self, platform: Platform) -> None:
        run, now = run_of(platform), platform.resources.clock.now()
        logged = LoggedModel("m-" + "ab" * 16, "e", run.id, "net", "Agent", "ready", {}, {}, now, now, deleted=now)
        with platform.session().begin() as unit:
            loggedmodels.add(unit, logged)
        (gone,) = freed(platform).freed
        assert (gone.urn, gone.name) == (f"logged_model:default/{logged.id}", "net")
        assert platform.call("runs.get", {"id": run.id}).id == run.id

    def test_its_files_go_from_the_store_and_those_that_others_have_stay(self, platform: Platform) -> None:
        run, other = hidden(platform), run_of(platform)
        mine, shared = (platform.call("runs.artifacts", {"id": it.id})[0].digest for it in (run, other))
        platform.call("runs.restore", {"id": run.id})
        platform.call("runs.resume", {"id": run.id})
        platform.call("runs.log_artifact", {"id": run.id, "path": "shared", "digest": shared})
        platform.call("runs.delete", {"id": run.id})
        freed(platform)
        platform.call("store.gc", {"dry_run": False, "grace": "0s", "thorough": True})
        assert platform.resources.store.get(Digest(shared)) == b"file of " + other.id.encode()
        with pytest.raises(NotFound):
            platform.resources.store.get(Digest(mine))


class TestExperiments:
    def test_a_deleted_one_goes_with_runs_that_were_not(self, platform: Platform) -> None:
        run = run_of(platform)
        platform.call("runs.finish", {"id": run.id})
        platform.call("experiments.delete", {"name": "e"})
        report = freed(platform, experiments=["e"])
        assert {it.urn for it in report.freed} == {urn(run), "experiment:default/e"}
        with pytest.raises(NotFound):
            platform.call("experiments.get", {"name": "e"})

    def test_its_name_is_free_again(self, platform: Platform) -> None:
        hidden(platform)
        platform.call("experiments.delete", {"name": "e"})
        freed(platform)
        assert platform.call("experiments.create", {"name": "e"}).deleted is None

    def test_its_traces_go_along(self, platform: Platform) -> None:
        span = {"id": "a", "name": "s", "started": 1, "ended": 2}
        platform.call("traces.log", {"id": "t", "experiment": "e", "spans": [span]})
        platform.call("experiments.delete", {"name": "e"})
        freed(platform)
        with pytest.raises(NotFound):
            platform.call("traces.get", {"id": "t"})

    def test_it_stays_while_a_run_in_it_does_and_says_which(self, platform: Platform) -> None:
        run = run_of(platform)
        platform.call("runs.finish", {"id": run.id})
        registered(platform, run.id)
        platform.call("experiments.delete", {"name": "e"})
        assert why(freed(platform))["experiment:default/e"] == urn(run)

    def test_a_run_that_is_running_in_it_is_left_alone(self, platform: Platform) -> None:
        run = run_of(platform)
        platform.call("experiments.delete", {"name": "e"})
        assert why(freed(platform))[urn(run)] == "it is running"


class TestWhatStays:
    def test_the_run_of_a_model_version(self, platform: Platform) -> None:
        run = hidden(platform)
        registered(platform, run.id)
        report = freed(platform)
        assert report.freed == ()
        assert "model:default/m@1" in why(report)[urn(run)]

    @pytest.mark.parametrize("id", ["ab" * 16, "m-" + "ab" * 16])
    def test_the_run_of_a_logged_model_that_a_version_names_by_any_kind_of_id(
        self, platform: Platform, id: str
    ) -> None:
        run, files = hidden(platform), platform.resources.store.put_tree([])
        trained, now = Model(FILES, files, Signature((), ())), platform.resources.clock.now()
        logged = LoggedModel(id, "e", run.id, "net", "", "ready", {}, {}, now, now, deleted=now)
        with platform.session().begin() as unit:
            loggedmodels.add(unit, logged)
            registry.add(unit, ModelVersion("m", 0, trained, "", "", now, "", f"models:/{id}", logged=id))
        report = freed(platform)
        assert report.freed == ()
        assert set(why(report)) == {urn(run), f"logged_model:default/{id}"}

    def test_but_not_once_the_version_is_deleted(self, platform: Platform) -> None:
        run = hidden(platform)
        registered(platform, run.id)
        platform.call("models.delete_version", {"name": "m", "version": 1, "reason": "old"})
        assert [it.urn for it in freed(platform).freed] == [urn(run)]

    def test_the_parent_of_a_run_that_is_there(self, platform: Platform) -> None:
        parent = hidden(platform)
        child = run_of(platform, parent=parent.id)
        assert why(freed(platform))[urn(parent)] == f"child run {child.id}"

    def test_but_a_family_that_was_deleted_goes_as_a_whole(self, platform: Platform) -> None:
        parent = run_of(platform)
        child = hidden(platform, parent=parent.id)
        platform.call("runs.delete", {"id": parent.id})
        assert [it.urn for it in freed(platform).freed] == [urn(child), urn(parent)]

    def test_a_child_that_stays_keeps_its_ancestors(self, platform: Platform) -> None:
        first = run_of(platform)
        second = run_of(platform, parent=first.id)
        third = run_of(platform, parent=second.id)
        registered(platform, third.id)
        for run in (first, second, third):
            platform.call("runs.delete", {"id": run.id})
        report = freed(platform)
        assert report.freed == ()
        assert why(report)[urn(first)] == f"child run {second.id}"

    def test_what_is_held_and_what_is_in_an_experiment_that_is(self, platform: Platform) -> None:
        one, other = hidden(platform), hidden(platform, "f")
        platform.call("governance.hold", {"urn": urn(one), "reason": "case 7"})
        platform.call("governance.hold", {"urn": "experiment:default/f", "reason": "case 8"})
        report = freed(platform)
        assert why(report)[urn(one)] == f"legal hold on {urn(one)}: case 7"
        assert why(report)[urn(other)] == "legal hold on experiment:default/f: case 8"

    def test_a_run_that_another_used(self, platform: Platform) -> None:
        run, user = hidden(platform), run_of(platform)
        platform.call("runs.log", {"id": user.id, "inputs": [urn(run)]})
        assert why(freed(platform))[urn(run)] == urn(user)


class TestHolds:
    def test_a_version_that_is_held_cannot_be_deleted_until_it_is_released(self, platform: Platform) -> None:
        registered(platform, "")
        platform.call("governance.hold", {"urn": "model:default/m@1", "reason": "case 7"})
        with pytest.raises(Refused, match="case 7"):
            platform.call("models.delete", {"name": "m"})
        platform.call("governance.release", {"urn": "model:default/m@1", "reason": "closed"})
        platform.call("models.delete", {"name": "m"})

    def test_one_on_a_model_is_on_all_of_its_versions(self, platform: Platform) -> None:
        registered(platform, "")
        platform.call("governance.hold", {"urn": "model:default/m", "reason": "case 7"})
        with pytest.raises(Refused):
            platform.call("models.delete_version", {"name": "m", "version": 1, "reason": "x"})

    def test_holding_and_releasing_stand_in_the_ledger_with_reasons(self, platform: Platform) -> None:
        run = run_of(platform)
        platform.call("governance.hold", {"urn": urn(run), "reason": "case 7"})
        (held,) = platform.call("governance.holds", {})
        assert (held.urn, held.reason) == (urn(run), "case 7")
        platform.call("governance.release", {"urn": urn(run), "reason": "closed"})
        assert platform.call("governance.holds", {}) == []

    @pytest.mark.parametrize("wrong", ["run:default/nowhere", "model:default/m@1", "experiment:default/none"])
    def test_what_is_not_there_cannot_be_held(self, platform: Platform, wrong: str) -> None:
        with pytest.raises(NotFound):
            platform.call("governance.hold", {"urn": wrong, "reason": "case 7"})


class TestSearch:
    def test_a_freed_run_is_found_no_more(self, platform: Platform) -> None:
        run = hidden(platform)
        other = run_of(platform)
        assert len(platform.call("runs.search", {"where": ""})) == 1
        freed(platform)
        table = platform.call("runs.table", {"columns": ["id"]})
        assert [row[0] for row in table.rows] == [other.id]
        assert table.total == 1
        assert run.id not in str(table)

    def test_whoever_kept_runs_in_memory_hears_of_it_and_of_what_comes_after(self, platform: Platform) -> None:
        from everloop.tracking.index.refresh import current

        run = hidden(platform)  # The clock stands still: numbers of changes come from counting alone.
        idle = platform.session()
        with idle.begin(write=False) as unit, current(unit) as index:
            assert len(index.table.identities.rows_of([run.id.encode()])) == 1
        freed(platform)
        fresh = run_of(platform)
        with idle.begin(write=False) as unit, current(unit) as index:
            rows = index.table.identities.rows_of([run.id.encode(), fresh.id.encode()])
            assert [index.table.alive.at(row) for row in rows] == [False, True]


def test_old_files_are_still_spared_by_the_grace_of_the_store(platform: Platform) -> None:
    run = hidden(platform)
    digest = platform.call("runs.artifacts", {"id": run.id})[0].digest
    freed(platform)
    platform.call("store.gc", {"dry_run": False})
    assert platform.resources.store.get(digest)
