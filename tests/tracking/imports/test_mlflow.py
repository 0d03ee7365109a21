"""MLflow's stores come over as they are: runs of every kind, whole histories, files, registered models."""

from __future__ import annotations

import math
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from everloop.app.platform import Platform
from everloop.kernel.errors import EverloopError, InvalidInput, NotFound
from everloop.registry.imports import bring as bring_models
from everloop.tracking.imports.entities import Report
from everloop.tracking.imports.mlflow.store import MlflowDatabase
from everloop.tracking.tables import runs as runs_table

Bring = Callable[..., Report]


def opened(store: Path) -> MlflowDatabase:
    """The store, with its artifacts where they were copied to."""
    return MlflowDatabase(str(store / "mlflow.db"), store / "artifacts")


def run_called(store: Path, name: str) -> str:
    """The id of a run."""
    return str(told(store, "SELECT run_uuid FROM runs WHERE name = ?", name))


def told(store: Path, statement: str, *values: object) -> object:
    """The first value that a statement answers; what it changes stays."""
    with sqlite3.connect(store / "mlflow.db") as connection:
        row = connection.execute(statement, values).fetchone()
    return row[0] if row else None


def fill(store: Path, runs: int, points: int) -> None:
    """Add runs with so many points each to a store."""
    ids = [f"{number:032x}" for number in range(runs)]
    began = "INSERT INTO runs (run_uuid, name, status, start_time, end_time, lifecycle_stage, experiment_id)"
    with sqlite3.connect(store / "mlflow.db") as connection:
        rows = [(id, id, "FINISHED", 1_700_000_000_000, 1_700_000_009_000, "active", 0) for id in ids]
        connection.executemany(f"{began} VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
        logged = [("m", step / 7, 1_700_000_000_000 + step, id, step, 0) for id in ids for step in range(points)]
        connection.executemany("INSERT INTO metrics VALUES (?, ?, ?, ?, ?, ?)", logged)


def arrived(home: Path) -> int:
    """How many runs a home has, as whoever looks from outside sees it."""
    with sqlite3.connect(home / "catalog.db") as connection:
        return int(connection.execute("SELECT count(*) FROM runs").fetchone()[0])


def test_a_run_keeps_its_id_name_times_user_and_texts(mlflow_store: Path, platform: Platform, bring: Bring) -> None:
    report = bring(opened(mlflow_store))
    run = platform.call("runs.get", {"id": run_called(mlflow_store, "trial 0")})
    assert (report.runs, report.added, report.wrong) == (4, 4, ())
    assert (run.name, run.user, run.status) == ("trial 0", "ada", "finished")
    assert (run.started.timestamp(), run.ended.timestamp()) == (1_700_000_001, 1_700_000_009)
    assert run.parameters == {"rate": "0.1", "layers": "[64, 64]"}
    assert run.tags["kind"] == "trial"
    assert run.note == "# A *note*"
    assert run.parent == run_called(mlflow_store, "sweep")


def test_histories_come_whole_with_what_is_no_number(mlflow_store: Path, platform: Platform, bring: Bring) -> None:
    bring(opened(mlflow_store))
    id = run_called(mlflow_store, "trial 0")
    loss = platform.call("runs.history", {"id": id, "key": "loss"})
    assert [(it.step, it.value) for it in loss] == [(step, 1 / (1 + step)) for step in range(300)]
    odd = [it.value for it in platform.call("runs.history", {"id": id, "key": "odd"})]
    assert math.isnan(odd[0])
    assert odd[1:3] == [math.inf, -math.inf]


def test_experiments_keep_their_names_and_deleted_ones_stay_out_of_sight(
    mlflow_store: Path, platform: Platform, bring: Bring
) -> None:
    bring(opened(mlflow_store))
    found = {it.title or it.name: it for it in platform.call("experiments.list", {})}
    assert set(found) == {"Default", "Flights: delays"}
    assert found["Flights: delays"].tags["team"] == "ops"
    assert platform.call("runs.get", {"id": run_called(mlflow_store, "gone")}).deleted is not None


def test_artifacts_come_by_their_paths(mlflow_store: Path, platform: Platform, bring: Bring) -> None:
    bring(opened(mlflow_store))
    found = platform.call("runs.artifacts", {"id": run_called(mlflow_store, "trial 0")})
    assert [it.path for it in found] == ["model/MLmodel", "model/model.bin", "notes/note.txt"]
    assert platform.resources.store.get(found[2].digest) == b"hello"


def test_a_dataset_that_was_used_is_shown_by_our_door_for_mlflow(
    mlflow_store: Path, platform: Platform, bring: Bring
) -> None:
    from everloop.server.mlflow.inputs import described

    bring(opened(mlflow_store))
    run = platform.call("runs.get", {"id": run_called(mlflow_store, "trial 0")})
    (used,) = described(platform.session(), run.inputs)
    assert (used.dataset.name, used.dataset.digest, used.tags[0].value) == ("flights", "abc123", "training")


def test_registered_models_keep_numbers_stages_aliases_and_files(
    mlflow_store: Path, platform: Platform, bring: Bring
) -> None:
    source = opened(mlflow_store)
    bring(source)
    done = bring_models(platform.session(), source.registered())
    (model,) = platform.call("models.list", {})
    versions = platform.call("models.versions", {"name": model.name})
    assert (done.models, done.versions, done.untaken) == (1, 2, [])
    assert (model.title, model.latest) == ("Delay model!", 3)
    assert [(it.version, it.stage, it.note) for it in versions] == [(3, "None", "v2"), (1, "Production", "v0")]
    aliases = platform.call("models.aliases", {"name": model.name})
    assert {it.alias: it.version for it in aliases} == {"champion": 3, "production": 1}
    tree = platform.resources.store.tree(versions[0].trained.digest)
    assert [it.path for it in tree] == ["MLmodel", "model.bin"]


def test_a_second_import_takes_nothing_twice(mlflow_store: Path, platform: Platform, bring: Bring) -> None:
    bring(opened(mlflow_store))
    bring_models(platform.session(), opened(mlflow_store).registered())
    again = bring(opened(mlflow_store))
    assert (again.here, again.added, again.changed, again.points) == (4, 0, 0, 0)
    done = bring_models(platform.session(), opened(mlflow_store).registered())
    assert (done.models, done.versions, done.untaken) == (0, 0, [])


def test_a_second_import_takes_what_is_new(mlflow_store: Path, platform: Platform, bring: Bring) -> None:
    bring(opened(mlflow_store))
    id = run_called(mlflow_store, "trial 0")
    told(mlflow_store, "INSERT INTO metrics VALUES ('loss', 0.001, 1700000009000, ?, 300, 0)", id)
    told(mlflow_store, "INSERT INTO tags VALUES ('late', 'yes', ?)", id)
    report = bring(opened(mlflow_store))
    run = platform.call("runs.get", {"id": id})
    assert (report.here, report.changed, report.wrong) == (3, 1, ())
    assert run.metrics["loss"] == 0.001
    assert run.tags["late"] == "yes"
    assert len(platform.call("runs.history", {"id": id, "key": "loss"})) == 301


def test_a_dry_run_counts_and_changes_nothing(mlflow_store: Path, platform: Platform, bring: Bring) -> None:
    report = bring(opened(mlflow_store), dry_run=True)
    assert (report.runs, report.added, report.points, report.files) == (4, 4, 304, 3)
    assert platform.call("experiments.list", {}) == []


@pytest.mark.slow
def test_an_import_that_is_killed_goes_on_where_it_was(
    mlflow_store: Path, home: Path, platform: Platform, bring: Bring
) -> None:
    fill(mlflow_store, runs=1_000, points=10)
    store = [str(mlflow_store / "mlflow.db"), "--artifacts", str(mlflow_store / "artifacts")]
    command = [sys.executable, "-m", "everloop", "--home", str(home), "import", "mlflow", *store]
    first = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    while first.poll() is None and not arrived(home):
        pass
    first.kill()
    assert first.wait() == -signal.SIGKILL
    here = arrived(home)
    assert 0 < here < 1_004
    report = bring(opened(mlflow_store))
    assert (report.here, report.added, report.changed, report.wrong) == (here, 1_004 - here, 0, ())
    again = bring(opened(mlflow_store))
    assert (again.here, again.points, again.files) == (1_004, 0, 0)


def test_a_run_that_others_wrote_to_keeps_what_they_wrote(mlflow_store: Path, platform: Platform, bring: Bring) -> None:
    bring(opened(mlflow_store))
    id = run_called(mlflow_store, "in default")
    platform.call("runs.log", {"id": id, "metrics": [{"key": "mine", "value": 1.0}], "parameters": {"mine": "1"}})
    told(mlflow_store, "INSERT INTO params VALUES ('theirs', '2', ?)", id)
    assert bring(opened(mlflow_store)).changed == 1
    run = platform.call("runs.get", {"id": id})
    assert run.parameters == {"mine": "1", "theirs": "2"}
    assert run.metrics == {"mine": 1.0}


def test_imported_runs_are_found_by_search_and_told_in_the_ledger(
    mlflow_store: Path, platform: Platform, bring: Bring
) -> None:
    bring(opened(mlflow_store))
    found = platform.call("runs.search", {"where": "metrics.loss < 0.01"})
    assert [run.name for run in found] == ["trial 0"]
    with platform.session().begin(write=False) as unit:
        events = [row[0] for row in unit.connection.exec_driver_sql("SELECT kind FROM ledger")]
    assert events.count("runs.imported") == 4


def test_a_store_of_another_machine_says_which_artifacts_are_missing(mlflow_store: Path, bring: Bring) -> None:
    report = bring(MlflowDatabase(str(mlflow_store / "mlflow.db")))
    assert report.files == 0
    assert any("/srv/mlflow" in it.why for it in report.untaken)


@pytest.mark.parametrize("uri", ["/etc", "/etc/../{id}/artifacts", "s3://bucket/{id}/artifacts"])
def test_artifacts_that_are_nowhere_near_their_run_are_not_read(mlflow_store: Path, bring: Bring, uri: str) -> None:
    id = run_called(mlflow_store, "trial 0")
    told(mlflow_store, "UPDATE runs SET artifact_uri = ? WHERE run_uuid = ?", uri.format(id=id), id)
    report = bring(MlflowDatabase(str(mlflow_store / "mlflow.db")))
    assert report.files == 0
    assert id in {it.of for it in report.untaken}


def test_a_link_that_leads_out_is_left_out(mlflow_store: Path, bring: Bring, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("mine")
    folder = next((mlflow_store / "artifacts").glob("*/*/artifacts/notes"))
    (folder / "link").symlink_to(tmp_path / "secret")
    report = bring(opened(mlflow_store))
    assert report.files == 3
    assert [it.what for it in report.untaken] == ["file notes/link"]


@pytest.mark.parametrize("column", ["name", "deleted_time", "user_id"])
def test_columns_that_older_stores_lack_are_not_needed(mlflow_store: Path, bring: Bring, column: str) -> None:
    told(mlflow_store, f"ALTER TABLE runs DROP COLUMN {column}")
    told(mlflow_store, "DROP TABLE registered_model_aliases")
    assert bring(opened(mlflow_store)).added == 4
    assert opened(mlflow_store).registered()[0].aliases == {}


def test_keys_that_cannot_be_kept_are_told_of_and_cost_nothing_else(mlflow_store: Path, bring: Bring) -> None:
    id = run_called(mlflow_store, "trial 0")
    told(mlflow_store, "INSERT INTO tags VALUES (?, 'x', ?)", "a`b", id)
    told(mlflow_store, "INSERT INTO params VALUES ('nul', ?, ?)", "a\0b", id)
    report = bring(opened(mlflow_store))
    assert report.added == 4
    assert {it.what for it in report.untaken} == {"tag a`b", "parameter nul"}


def test_half_a_store_is_refused_before_anything_is_written(
    mlflow_store: Path, platform: Platform, bring: Bring
) -> None:
    told(mlflow_store, "DROP TABLE metrics")
    with pytest.raises(InvalidInput, match="it has no metrics"):
        bring(opened(mlflow_store))
    assert platform.call("experiments.list", {}) == []


@pytest.mark.parametrize(
    ("content", "error"), [(b"no database at all, but long enough" * 40, InvalidInput), (b"", InvalidInput)]
)
def test_a_file_of_another_kind_is_refused(tmp_path: Path, content: bytes, error: type[EverloopError]) -> None:
    (tmp_path / "file.db").write_bytes(content)
    with pytest.raises(error):
        MlflowDatabase(str(tmp_path / "file.db"))
    assert (tmp_path / "file.db").read_bytes() == content


@pytest.mark.parametrize("address", ["mysql://host/mlflow", "nonsense://x", "://"])
def test_addresses_that_lead_to_no_store_are_refused(address: str) -> None:
    with pytest.raises(InvalidInput):
        MlflowDatabase(address)


def test_a_file_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        MlflowDatabase(str(tmp_path / "no.db"))
    assert list(tmp_path.iterdir()) == []


def test_a_version_whose_number_is_taken_is_told_of(mlflow_store: Path, platform: Platform, bring: Bring) -> None:
    source = opened(mlflow_store)
    bring(source)
    bring_models(platform.session(), source.registered())
    told(mlflow_store, "UPDATE model_versions SET source = 'elsewhere' WHERE version = 1")
    done = bring_models(platform.session(), opened(mlflow_store).registered())
    assert [it.what for it in done.untaken] == ["version 1"]


def test_a_store_is_not_written_to(mlflow_store: Path, bring: Bring) -> None:
    before = (mlflow_store / "mlflow.db").read_bytes()
    bring(opened(mlflow_store))
    assert (mlflow_store / "mlflow.db").read_bytes() == before
    assert sorted(it.name for it in mlflow_store.iterdir()) == ["artifacts", "mlflow.db"]


def test_runs_are_numbered_in_the_order_in_which_they_came(
    mlflow_store: Path, platform: Platform, bring: Bring
) -> None:
    bring(opened(mlflow_store))
    with platform.session().begin(write=False) as unit:
        numbers = unit.scalars(runs_table.select().with_only_columns(runs_table.c.changed))
    assert len(set(numbers)) == 4
