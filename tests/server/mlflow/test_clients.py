"""The MLflow door, judged by MLflow's own client, unmodified, over a real server."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.server.test_process import address, process

if TYPE_CHECKING:
    from mlflow import MlflowClient

os.environ |= {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"}
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server, which the tests of this file share: each has an experiment of its own."""
    with process(tmp_path_factory.mktemp("home") / "home", "server", "--port", "0") as server:
        yield address(server)


@pytest.fixture
def mlflow(url: str, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[object]:
    """MLflow's fluent client, with an experiment of the test's own."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", url)
    import mlflow

    mlflow.set_tracking_uri(url)
    mlflow.set_experiment(f"Its own: {request.node.name} / 1")
    yield mlflow
    while mlflow.active_run():
        mlflow.end_run()


@pytest.fixture
def client(mlflow: object, url: str) -> MlflowClient:
    """MLflow's plain client."""
    from mlflow import MlflowClient

    return MlflowClient(url)


class TestExperiments:
    def test_an_empty_home_has_the_experiment_0_named_default(self, tmp_path: Path) -> None:
        from mlflow import MlflowClient

        with process(tmp_path / "home", "server", "--port", "0") as server:
            client = MlflowClient(address(server))
            assert [(found.experiment_id, found.name) for found in client.search_experiments()] == [("0", "Default")]
            assert client.get_experiment_by_name("Default").lifecycle_stage == "active"
            assert client.create_run("0").info.artifact_uri.startswith("mlflow-artifacts:/0/")

    def test_an_experiment_is_made_under_any_name_found_and_changed(self, client: MlflowClient) -> None:
        id = client.create_experiment("Früh & spät: 1/2", tags={"team": "core"})
        client.rename_experiment(id, "Früh")
        client.set_experiment_tag(id, "mlflow.note.content", "What we know.")
        found = client.get_experiment_by_name("Früh")
        assert found.experiment_id == id
        assert found.tags == {"team": "core", "mlflow.note.content": "What we know."}
        assert client.get_experiment_by_name("Früh & spät: 1/2") is None

    def test_a_deleted_experiment_takes_no_runs_until_it_is_restored(self, client: MlflowClient) -> None:
        from mlflow.entities import ViewType
        from mlflow.exceptions import MlflowException

        id = client.create_experiment("short-lived")
        client.delete_experiment(id)
        assert id not in [found.experiment_id for found in client.search_experiments()]
        assert id in [found.experiment_id for found in client.search_experiments(ViewType.DELETED_ONLY)]
        with pytest.raises(MlflowException, match="deleted"):
            client.create_run(id)
        client.restore_experiment(id)
        assert client.create_run(id).info.status == "RUNNING"

    def test_experiments_are_searched_ordered_and_paged(self, client: MlflowClient) -> None:
        for name in ("page-a", "page-b", "page-c"):
            client.create_experiment(name, tags={"kind": "page"})
        found = client.search_experiments(filter_string="tags.kind = 'page'", order_by=["name DESC"], max_results=2)
        assert [experiment.name for experiment in found] == ["page-c", "page-b"]
        rest = client.search_experiments(
            filter_string="tags.kind = 'page'", order_by=["name DESC"], max_results=2, page_token=found.token
        )
        assert [experiment.name for experiment in rest] == ["page-a"]
        named = client.search_experiments(filter_string="name LIKE 'page-%' AND name != 'page-b'")
        assert {experiment.name for experiment in named} == {"page-a", "page-c"}


class TestRuns:
    def test_a_run_keeps_all_that_was_logged_to_it(self, mlflow, client: MlflowClient) -> None:  # type: ignore[no-untyped-def]
        with mlflow.start_run(run_name="first") as run:
            mlflow.log_param("depth", 3)
            mlflow.log_params({"rate": 0.1, "kind": "gbm"})
            for step in range(3):
                mlflow.log_metric("loss", 1 / (step + 1), step=step)
            mlflow.log_metrics({"auc": 0.8, "none": math.nan, "most": math.inf})
            mlflow.set_tags({"team": "core"})
        found = client.get_run(run.info.run_id)
        assert found.data.params == {"depth": "3", "rate": "0.1", "kind": "gbm"}
        assert found.data.metrics == pytest.approx(
            {"loss": 1 / 3, "auc": 0.8, "none": math.nan, "most": math.inf}, nan_ok=True
        )
        assert found.data.tags["team"] == "core"
        assert (found.info.status, found.info.run_name) == ("FINISHED", "first")
        assert found.info.end_time >= found.info.start_time

    def test_the_history_of_a_metric_has_every_step_and_equal_points_once(self, client: MlflowClient) -> None:
        run = client.create_run("0").info.run_id
        for step in (0, 1, 1, 2):
            client.log_metric(run, "loss", 0.5, timestamp=1_700_000_000_000 + step, step=step)
        assert [(point.step, point.timestamp) for point in client.get_metric_history(run, "loss")] == [
            (0, 1_700_000_000_000),
            (1, 1_700_000_000_001),
            (2, 1_700_000_000_002),
        ]

    def test_the_latest_metric_is_that_of_the_largest_step(self, client: MlflowClient) -> None:
        run = client.create_run("0").info.run_id
        for step, value in ((5, 0.5), (9, 0.9), (1, 0.1)):
            client.log_metric(run, "auc", value, step=step)
        assert client.get_run(run).data.metrics == {"auc": 0.9}

    def test_a_batch_is_logged_whole_or_not_at_all(self, client: MlflowClient) -> None:
        from mlflow.entities import Metric, Param, RunTag
        from mlflow.exceptions import MlflowException

        run = client.create_run("0").info.run_id
        client.log_batch(run, [Metric("auc", 0.7, 1, 0)], [Param("a", "1")], [RunTag("t", "x")])
        with pytest.raises(MlflowException):
            client.log_batch(run, [Metric("auc", 0.9, 2, 1)], [Param("a", "2")], [RunTag("t", "y")])
        data = client.get_run(run).data
        assert (data.metrics, data.params, data.tags["t"]) == ({"auc": 0.7}, {"a": "1"}, "x")

    def test_a_parameter_is_written_once(self, client: MlflowClient) -> None:
        from mlflow.exceptions import MlflowException

        run = client.create_run("0").info.run_id
        client.log_param(run, "a", 1)
        client.log_param(run, "a", 1)
        with pytest.raises(MlflowException) as caught:
            client.log_param(run, "a", 2)
        assert caught.value.error_code == "INVALID_PARAMETER_VALUE"

    def test_nested_runs_know_their_parent(self, mlflow, client: MlflowClient) -> None:  # type: ignore[no-untyped-def]
        with mlflow.start_run() as parent, mlflow.start_run(nested=True) as child:
            pass
        query = f"tags.mlflow.parentRunId = '{parent.info.run_id}'"
        found = client.search_runs([parent.info.experiment_id], query)
        assert [run.info.run_id for run in found] == [child.info.run_id]

    def test_runs_are_searched_ordered_and_paged(self, mlflow, client: MlflowClient) -> None:  # type: ignore[no-untyped-def]
        for name, auc in (("a", 0.6), ("b", 0.9), ("c", 0.8), ("d", math.nan)):
            with mlflow.start_run(run_name=name) as run:
                mlflow.log_metric("auc", auc)
                mlflow.log_param("kind", "Gbm" if name != "c" else "linear")
        ids = [run.info.experiment_id]

        def names(query: str, **more: object) -> list[str]:
            return [it.info.run_name for it in client.search_runs(ids, query, **more)]

        assert names("metrics.auc > 0.7", order_by=["metrics.auc DESC"]) == ["b", "c"]
        assert names("", order_by=["metrics.auc ASC"]) == ["a", "c", "b", "d"]
        assert names("params.kind = 'Gbm' AND attributes.status = 'FINISHED'", order_by=["run_name"]) == ["a", "b", "d"]
        assert names("params.kind LIKE 'g%'") == []
        assert names("params.kind ILIKE 'g%' and run_name IN ('a', 'c')") == ["a"]
        assert names(f"attributes.start_time > {run.info.start_time + 1}") == []
        first = client.search_runs(ids, order_by=["attributes.run_name ASC"], max_results=3)
        rest = client.search_runs(ids, order_by=["attributes.run_name ASC"], max_results=3, page_token=first.token)
        assert [it.info.run_name for it in (*first, *rest)] == ["a", "b", "c", "d"]
        assert rest.token is None

    def test_a_deleted_run_is_out_of_sight_until_it_is_restored(self, mlflow, client: MlflowClient) -> None:  # type: ignore[no-untyped-def]
        with mlflow.start_run() as run:
            pass
        ids = [run.info.experiment_id]
        client.delete_run(run.info.run_id)
        assert client.search_runs(ids) == []
        assert client.get_run(run.info.run_id).info.lifecycle_stage == "deleted"
        client.restore_run(run.info.run_id)
        assert len(client.search_runs(ids)) == 1

    def test_a_running_run_is_renamed_and_loses_a_tag(self, client: MlflowClient) -> None:
        run = client.create_run("0", run_name="before").info.run_id
        client.set_tag(run, "team", "core")
        client.delete_tag(run, "team")
        client.update_run(run, name="after")
        found = client.get_run(run)
        assert (found.info.run_name, found.data.tags["mlflow.runName"]) == ("after", "after")
        assert "team" not in found.data.tags

    @pytest.mark.parametrize("status", ["FINISHED", "FAILED", "KILLED"])
    def test_a_run_ends_as_the_client_says_and_when(self, client: MlflowClient, status: str) -> None:
        run = client.create_run("0", start_time=1_700_000_000_000).info.run_id
        client.set_terminated(run, status, end_time=1_700_000_060_000)
        client.set_terminated(run, status, end_time=1_700_000_060_000)
        info = client.get_run(run).info
        assert (info.status, info.start_time, info.end_time) == (status, 1_700_000_000_000, 1_700_000_060_000)

    def test_a_run_that_ended_takes_what_is_measured_afterwards(self, client: MlflowClient) -> None:
        from mlflow.exceptions import MlflowException

        run = client.create_run("0").info.run_id
        client.log_param(run, "depth", 3)
        client.set_terminated(run)
        client.log_metric(run, "late", 1.0)
        client.set_tag(run, "registered", "yes")
        client.update_run(run, name="known")
        with pytest.raises(MlflowException, match="Changing param values is not allowed"):
            client.log_param(run, "depth", 4)
        found = client.get_run(run)
        assert (found.info.status, found.info.run_name) == ("FINISHED", "known")
        assert (found.data.metrics, found.data.tags["registered"]) == ({"late": 1.0}, "yes")

    def test_a_run_that_ended_goes_on(self, mlflow, client: MlflowClient) -> None:  # type: ignore[no-untyped-def]
        with mlflow.start_run() as run:
            mlflow.log_metric("auc", 0.5, step=0)
        with mlflow.start_run(run.info.run_id):
            assert client.get_run(run.info.run_id).info.status == "RUNNING"
            mlflow.log_metric("auc", 0.6, step=1)
        assert [point.value for point in client.get_metric_history(run.info.run_id, "auc")] == [0.5, 0.6]

    def test_a_deleted_run_takes_nothing(self, client: MlflowClient) -> None:
        from mlflow.exceptions import MlflowException

        run = client.create_run("0").info.run_id
        client.delete_run(run)
        for write in (lambda: client.log_metric(run, "a", 1), lambda: client.set_tag(run, "a", "b")):
            with pytest.raises(MlflowException, match="must be in the 'active' state"):
                write()

    def test_a_run_without_a_name_gets_one_that_people_can_say(self, client: MlflowClient) -> None:
        run = client.create_run("0")
        assert len(run.info.run_name.split("-")) == 3
        assert run.data.tags["mlflow.runName"] == run.info.run_name

    def test_runs_of_a_deleted_experiment_are_seen_as_deleted(self, client: MlflowClient) -> None:
        from mlflow.entities import ViewType

        id = client.create_experiment("gone with its runs")
        run = client.create_run(id).info.run_id
        client.delete_experiment(id)
        assert client.get_run(run).info.lifecycle_stage == "deleted"
        assert client.search_runs([id]) == []
        assert [it.info.run_id for it in client.search_runs([id], run_view_type=ViewType.DELETED_ONLY)] == [run]
        client.restore_experiment(id)
        assert [it.info.run_id for it in client.search_runs([id])] == [run]

    def test_pages_stay_whole_while_runs_are_added(self, client: MlflowClient) -> None:
        id = client.create_experiment("busy")
        before = [client.create_run(id, start_time=1_700_000_000_000 + place).info.run_id for place in range(5)]
        first = client.search_runs([id], max_results=3)
        client.create_run(id)
        rest = client.search_runs([id], max_results=3, page_token=first.token)
        assert [it.info.run_id for it in (*first, *rest)] == before[::-1]

    def test_a_long_history_comes_in_pages_that_appending_does_not_move(self, client: MlflowClient) -> None:
        from mlflow.entities import Metric

        run = client.create_run("0").info.run_id
        points = [Metric("loss", step / 7, 1_700_000_000_000 + step, step) for step in range(900)]
        client.log_batch(run, metrics=points)
        store = client._tracking_client.store
        first = store.get_metric_history(run, "loss", max_results=500)
        client.log_metric(run, "loss", -1, timestamp=1, step=-1)
        rest = store.get_metric_history(run, "loss", max_results=500, page_token=first.token)
        assert [point.step for point in (*first, *rest)] == list(range(900))


class TestInputs:
    def test_a_dataset_that_a_run_used_is_told_again_with_its_context(self, mlflow, client: MlflowClient) -> None:  # type: ignore[no-untyped-def]
        import numpy as np

        with mlflow.start_run() as run:
            mlflow.log_input(mlflow.data.from_numpy(np.zeros((3, 2)), name="zeros"), context="training")
        [found] = client.get_run(run.info.run_id).inputs.dataset_inputs
        assert (found.dataset.name, found.dataset.source_type) == ("zeros", "code")
        assert [(tag.key, tag.value) for tag in found.tags] == [("mlflow.data.context", "training")]


class TestArtifacts:
    def test_files_go_up_are_listed_and_come_down_again(self, mlflow, client: MlflowClient, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
        whole = tmp_path / "whole.bin"
        whole.write_bytes(bytes(range(256)) * 8192)
        with mlflow.start_run() as run:
            mlflow.log_text("hello", "notes/a b.txt")
            mlflow.log_dict({"depth": 3}, "config.json")
            mlflow.log_artifact(str(whole), "model/data")
        id = run.info.run_id
        assert [(it.path, it.is_dir) for it in client.list_artifacts(id)] == [
            ("config.json", False),
            ("model", True),
            ("notes", True),
        ]
        assert [(it.path, it.file_size) for it in client.list_artifacts(id, "model/data")] == [
            ("model/data/whole.bin", 2 << 20)
        ]
        assert client.list_artifacts(id, "config.json") == []
        assert mlflow.artifacts.load_text(f"runs:/{id}/notes/a b.txt") == "hello"
        folder = Path(client.download_artifacts(id, "", str(tmp_path)))
        assert (folder / "model/data/whole.bin").read_bytes() == whole.read_bytes()

    def test_what_is_not_there_is_not_found(self, client: MlflowClient) -> None:
        run = client.create_run("0").info.run_id
        assert client.list_artifacts(run, "nothing") == []
        with pytest.raises(Exception, match=r"nothing\.txt"):
            client.download_artifacts(run, "nothing.txt")


class TestRegistry:
    def test_a_run_s_files_become_a_version_that_an_alias_names(
        self,
        mlflow,  # type: ignore[no-untyped-def]
        client: MlflowClient,
        tmp_path: Path,
    ) -> None:
        with mlflow.start_run() as run:
            mlflow.log_text("weights", "model/weights.txt")
        client.create_registered_model("delay", {"team": "core"}, "Is it late?")
        made = client.create_model_version("delay", f"{run.info.artifact_uri}/model", run.info.run_id, tags={"k": "v"})
        client.set_registered_model_alias("delay", "champion", made.version)
        found = client.get_model_version_by_alias("delay", "champion")
        assert (found.version, found.run_id, found.status, found.tags) == ("1", run.info.run_id, "READY", {"k": "v"})
        folder = Path(mlflow.artifacts.download_artifacts("models:/delay@champion", dst_path=str(tmp_path)))
        assert (folder / "weights.txt").read_text() == "weights"
        model = client.get_registered_model("delay")
        assert (model.description, model.tags, model.aliases) == ("Is it late?", {"team": "core"}, {"champion": "1"})

    def test_models_and_versions_are_searched(self, mlflow, client: MlflowClient) -> None:  # type: ignore[no-untyped-def]
        with mlflow.start_run() as run:
            mlflow.log_text("weights", "model/weights.txt")
        for name in ("found-a", "found-b"):
            client.create_registered_model(name)
            client.create_model_version(name, f"runs:/{run.info.run_id}/model", run.info.run_id)
        client.create_model_version("found-a", f"runs:/{run.info.run_id}/model")
        models = client.search_registered_models("name LIKE 'found-%'", order_by=["name DESC"])
        assert [model.name for model in models] == ["found-b", "found-a"]
        assert [it.version for it in client.search_model_versions("name = 'found-a'")] == ["2", "1"]
        of_run = client.search_model_versions(f"run_id = '{run.info.run_id}'")
        assert {(it.name, it.version) for it in of_run} == {("found-a", "1"), ("found-a", "2"), ("found-b", "1")}

    def test_a_version_is_described_tagged_and_deleted(self, client: MlflowClient) -> None:
        from mlflow.exceptions import MlflowException

        client.create_registered_model("remote")
        made = client.create_model_version("remote", "s3://bucket/model", description="from elsewhere")
        assert (made.source, made.description) == ("s3://bucket/model", "from elsewhere")
        assert client.get_model_version_download_uri("remote", "1") == "s3://bucket/model"
        client.update_model_version("remote", "1", "better known")
        client.set_model_version_tag("remote", "1", "checked", "yes")
        found = client.get_model_version("remote", "1")
        assert (found.description, found.tags) == ("better known", {"checked": "yes"})
        client.delete_model_version("remote", "1")
        with pytest.raises(MlflowException) as caught:
            client.get_model_version("remote", "1")
        assert caught.value.error_code == "RESOURCE_DOES_NOT_EXIST"

    def test_a_name_is_taken_once(self, client: MlflowClient) -> None:
        from mlflow.exceptions import MlflowException

        client.create_registered_model("twice")
        with pytest.raises(MlflowException) as caught:
            client.create_registered_model("twice")
        assert caught.value.error_code == "RESOURCE_ALREADY_EXISTS"


class TestLoggedModels:
    def test_a_scikit_learn_model_is_logged_registered_and_loaded_back(self, mlflow, client: MlflowClient) -> None:  # type: ignore[no-untyped-def]
        import numpy as np
        from sklearn.linear_model import LogisticRegression

        table = np.random.default_rng(5).random((60, 2))
        model = LogisticRegression().fit(table, table[:, 0] > 0.5)
        with mlflow.start_run() as run:
            logged = mlflow.sklearn.log_model(
                model, name="model", registered_model_name="late", pip_requirements=["scikit-learn"]
            )
        client.set_registered_model_alias("late", "champion", 1)
        for uri in (logged.model_uri, f"runs:/{run.info.run_id}/model", "models:/late@champion"):
            assert np.array_equal(mlflow.sklearn.load_model(uri).predict_proba(table), model.predict_proba(table))
        client.log_metric(
            run.info.run_id, "auc", 0.9, model_id=logged.model_id, dataset_name="holdout", dataset_digest="d1"
        )
        found = client.search_logged_models([run.info.experiment_id], "name = 'model' AND metrics.auc > 0.5")
        assert [(it.key, it.value, it.dataset_name) for it in found[0].metrics] == [("auc", 0.9, "holdout")]
        assert [(it.model_id, it.source_run_id) for it in found] == [(logged.model_id, run.info.run_id)]
        assert [it.model_id for it in client.get_run(run.info.run_id).outputs.model_outputs] == [logged.model_id]

    def test_a_model_is_tagged_and_deleted(self, mlflow, client: MlflowClient) -> None:  # type: ignore[no-untyped-def]
        from mlflow.exceptions import MlflowException

        made = mlflow.initialize_logged_model("bare", params={"depth": 3}, tags={"a": "b"})
        client.set_logged_model_tags(made.model_id, {"c": "d"})
        client.delete_logged_model_tag(made.model_id, "a")
        found = client.get_logged_model(made.model_id)
        assert (found.params, found.tags["c"], "a" in found.tags) == ({"depth": "3"}, "d", False)
        client.delete_logged_model(made.model_id)
        with pytest.raises(MlflowException, match="not found"):
            client.get_logged_model(made.model_id)
