"""A working day of MLflow's client: its calls and commands, each step of which looks at every answer.

    python tests/server/mlflow/workingday.py URL FOLDER

It is run by a Python that has MLflow and knows nothing of Everloop. A line of JSON says of each step how it went (`ok`,
`lacks` with what is not installed, or `failed` with why), and the last one which endpoints were asked.
"""

from __future__ import annotations

import importlib.util
import json
import re
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

STEPS: list[Callable[[Day], None]] = []
_IDS = re.compile(r"/(?:m-|tr-|a-)?[0-9a-f]{16,}(?=/|$)|/\d{6,}(?=/|$)")
_FILES = re.compile(r"(mlflow-artifacts/artifacts/).*")


class Lacks(Exception):
    """Something that a step needs is not installed."""


class Day:
    """What the steps of a day hand to each other."""

    def __init__(self, url: str, folder: Path) -> None:
        import mlflow

        mlflow.set_tracking_uri(url)
        self.mlflow: Any = mlflow
        self.client: Any = mlflow.MlflowClient(url)
        self.folder = folder
        self.url = url
        self.experiment = ""
        self.run = ""
        self.asked: set[str] = set()

    def get(self, path: str, **fields: Any) -> Any:
        """What pages of MLflow's ask for, and no method of its client does."""
        return self._told("GET", path, params=fields)

    def post(self, path: str, **fields: Any) -> Any:
        """The same with a body."""
        return self._told("POST", path, json=fields)

    def _told(self, method: str, path: str, **sent: Any) -> Any:
        import requests

        answer = requests.request(method, f"{self.url}/{path}", timeout=60, **sent)
        same(answer.status_code, 200)
        return answer.json()


def same(found: object, wanted: object) -> None:
    """Both are equal."""
    if found != wanted:
        raise AssertionError(f"{found!r} instead of {wanted!r}")


def refused(code: str, call: Callable[[], object]) -> None:
    """A call is refused with a code."""
    from mlflow.exceptions import MlflowException

    try:
        call()
    except MlflowException as error:
        same(error.error_code, code)
    else:
        raise AssertionError(f"nothing was refused with {code}")


def needs(*modules: str) -> None:
    """Modules that are not part of the smallest MLflow."""
    missing = [name for name in modules if importlib.util.find_spec(name) is None]
    if missing:
        raise Lacks(", ".join(missing))


def step(function: Callable[[Day], None]) -> Callable[[Day], None]:
    """Part of the day."""
    STEPS.append(function)
    return function


@step
def experiments_are_made_and_found(day: Day) -> None:
    client = day.client
    id = day.experiment = client.create_experiment("Day / 1", tags={"team": "core"})
    same(client.get_experiment(id).name, "Day / 1")
    same(client.get_experiment_by_name("Day / 1").experiment_id, id)
    same(client.get_experiment_by_name("nothing"), None)
    client.rename_experiment(id, "Day")
    client.set_experiment_tag(id, "kind", "test")
    client.delete_experiment_tag(id, "team")
    same(client.get_experiment(id).tags, {"kind": "test"})
    same([it.experiment_id for it in client.search_experiments(filter_string="tags.kind = 'test'")], [id])
    client.delete_experiment(id)
    refused("INVALID_PARAMETER_VALUE", lambda: client.create_run(id))
    client.restore_experiment(id)
    refused("RESOURCE_ALREADY_EXISTS", lambda: client.create_experiment("Day"))
    same(client.get_experiment(id).lifecycle_stage, "active")


@step
def a_run_is_filled_and_ended(day: Day) -> None:
    from mlflow.entities import Metric, Param, RunTag

    client, now = day.client, int(time.time() * 1000)
    run = client.create_run(day.experiment, run_name="first", tags={"a": "1"})
    id = day.run = run.info.run_id
    client.log_param(id, "depth", 3)
    refused("INVALID_PARAMETER_VALUE", lambda: client.log_param(id, "depth", 4))
    for at in range(3):
        client.log_metric(id, "loss", 1 / (at + 1), step=at)
    client.log_batch(id, [Metric("auc", 0.7, now, 0)], [Param("rate", "0.1")], [RunTag("b", "2")])
    client.set_tag(id, "c", "3")
    client.delete_tag(id, "a")
    client.update_run(id, name="renamed")
    client.set_terminated(id, "FINISHED")
    found = client.get_run(id)
    same(found.data.params, {"depth": "3", "rate": "0.1"})
    same(found.data.metrics, {"loss": 1 / 3, "auc": 0.7})
    same({key: found.data.tags[key] for key in "bc"}, {"b": "2", "c": "3"})
    same((found.info.run_name, found.info.status, "a" in found.data.tags), ("renamed", "FINISHED", False))


@step
def runs_and_histories_are_read(day: Day) -> None:
    from mlflow.entities import ViewType

    client = day.client
    same([it.value for it in client.get_metric_history(day.run, "loss")], [1.0, 0.5, 1 / 3])
    bulk = day.get("ajax-api/2.0/mlflow/metrics/get-history-bulk", run_id=day.run, metric_key="loss")
    same([it["step"] for it in bulk["metrics"]], [0, 1, 2])
    drawn = "ajax-api/2.0/mlflow/metrics/get-history-bulk-interval"
    same(len(day.get(drawn, run_ids=day.run, metric_key="loss", max_results=10)["metrics"]), 3)
    other = client.create_run(day.experiment).info.run_id
    found = client.search_runs([day.experiment], "metrics.loss < 0.5 AND params.depth = '3'", order_by=["metrics.loss"])
    same([it.info.run_id for it in found], [day.run])
    client.delete_run(other)
    deleted = client.search_runs([day.experiment], run_view_type=ViewType.DELETED_ONLY)
    same([it.info.run_id for it in deleted], [other])
    client.restore_run(other)
    first = client.search_runs([day.experiment], max_results=1)
    rest = client.search_runs([day.experiment], max_results=1, page_token=first.token)
    same({it.info.run_id for it in (*first, *rest)}, {day.run, other})


@step
def files_go_up_and_come_back(day: Day) -> None:
    client, folder = day.client, day.folder
    (folder / "up" / "sub").mkdir(parents=True)
    (folder / "up" / "sub" / "a b.txt").write_text("ä")
    client.log_artifacts(day.run, str(folder / "up"), "all")
    client.log_artifact(day.run, str(folder / "up" / "sub" / "a b.txt"), "one")
    client.log_text(day.run, "text", "notes/n.txt")
    client.log_dict(day.run, {"a": [1]}, "d.json")
    same({it.path for it in client.list_artifacts(day.run)}, {"all", "one", "notes", "d.json"})
    same([it.path for it in client.list_artifacts(day.run, "all/sub")], ["all/sub/a b.txt"])
    path = client.download_artifacts(day.run, "all", str(folder))
    same((Path(path) / "sub" / "a b.txt").read_text(), "ä")
    same(day.mlflow.artifacts.load_dict(f"runs:/{day.run}/d.json"), {"a": [1]})
    same(day.mlflow.artifacts.load_text(f"runs:/{day.run}/notes/n.txt"), "text")


@step
def tables_pictures_and_data_are_logged(day: Day) -> None:
    needs("pandas", "numpy", "PIL")
    import numpy as np
    import pandas as pd

    mlflow, client = day.mlflow, day.client
    mlflow.set_experiment(experiment_id=day.experiment)
    frame = pd.DataFrame({"x": [1.0, 2.0], "y": [0, 1]})
    client.log_table(day.run, frame, "table.json")
    same(mlflow.load_table("table.json", run_ids=[day.run]).to_dict("list"), frame.to_dict("list"))
    client.log_image(day.run, np.zeros((4, 4, 3), np.uint8), "black.png")
    same("black.png" in {it.path for it in client.list_artifacts(day.run)}, True)
    data = mlflow.data.from_pandas(frame, source="s3://bucket/frame.csv", name="frame", targets="y")
    with mlflow.start_run(run_id=day.run):
        mlflow.log_input(data, context="training")
    (used,) = client.get_run(day.run).inputs.dataset_inputs
    same((used.dataset.name, used.tags[0].value), ("frame", "training"))
    told = day.post("ajax-api/2.0/mlflow/experiments/search-datasets", experiment_ids=[day.experiment])
    same([it["name"] for it in told["dataset_summaries"]], ["frame"])
    same(len(client.search_runs([day.experiment], "datasets.name = 'frame'")), 1)
    same(list(mlflow.search_runs([day.experiment], filter_string="params.depth = '3'")["run_id"]), [day.run])


@step
def logged_models_live(day: Day) -> None:
    from mlflow.entities import LoggedModelOutput, LoggedModelStatus, Metric

    client = day.client
    model = client.create_logged_model(day.experiment, "net", day.run, {"t": "1"}, {"depth": "3"}, "agent")
    id = model.model_id
    client.set_logged_model_tags(id, {"u": "2"})
    client.delete_logged_model_tag(id, "t")
    client.log_model_params(id, {"width": "4"})
    run = client.create_run(day.experiment).info.run_id
    client.log_outputs(run, [LoggedModelOutput(id, 0)])
    client.log_metric(run, "auc", 0.9, model_id=id)
    client.log_batch(run, [Metric("f1", 0.8, 1, 0, model_id=id, run_id=run)])
    day.folder.joinpath("w.txt").write_text("w")
    client.log_model_artifact(id, str(day.folder / "w.txt"))
    client.finalize_logged_model(id, LoggedModelStatus.READY)
    found = client.get_logged_model(id)
    same((found.status, found.params, found.tags), (LoggedModelStatus.READY, {"depth": "3", "width": "4"}, {"u": "2"}))
    same({it.key: it.value for it in found.metrics}, {"auc": 0.9, "f1": 0.8})
    same([it.model_id for it in client.search_logged_models([day.experiment], "metrics.auc > 0.5")], [id])
    same([it.path for it in client.list_logged_model_artifacts(id)], ["w.txt"])
    shown = day.get(f"ajax-api/2.0/mlflow/logged-models/{id}/artifacts/directories")
    same([it["path"] for it in shown["files"]], ["w.txt"])
    same([it.model_id for it in client.get_run(run).outputs.model_outputs], [id])
    client.delete_logged_model(id)
    same(list(client.search_logged_models([day.experiment])), [])


@step
def models_are_registered_and_moved(day: Day) -> None:
    client, name = day.client, "Day's model"
    client.create_registered_model(name, {"t": "1"}, "About it.")
    refused("RESOURCE_ALREADY_EXISTS", lambda: client.create_registered_model(name))
    for _ in range(2):
        client.create_model_version(name, f"runs:/{day.run}/all", day.run, {"v": "1"}, description="d")
    client.update_registered_model(name, "Changed.")
    client.set_registered_model_tag(name, "u", "2")
    client.delete_registered_model_tag(name, "t")
    client.update_model_version(name, "1", "Better.")
    client.set_model_version_tag(name, "1", "w", "x")
    client.delete_model_version_tag(name, "1", "v")
    client.set_registered_model_alias(name, "champion", "1")
    found = client.get_model_version_by_alias(name, "champion")
    same((found.version, found.description, found.tags, found.run_id), ("1", "Better.", {"w": "x"}, day.run))
    same(client.transition_model_version_stage(name, "2", "Production").current_stage, "Production")
    same([it.version for it in client.get_latest_versions(name, ["Production"])], ["2"])
    same(client.get_registered_model(name).tags, {"u": "2"})
    same([it.name for it in client.search_registered_models("name LIKE 'Day%'")], [name])
    same({it.version for it in client.search_model_versions(f'name="{name}"')}, {"1", "2"})
    same(bool(client.get_model_version_download_uri(name, "1")), True)
    same(client.copy_model_version(f"models:/{name}/1", "Copy").version, "1")
    client.rename_registered_model("Copy", "Copied")
    client.delete_registered_model_alias(name, "champion")
    client.delete_model_version(name, "1")
    refused("RESOURCE_DOES_NOT_EXIST", lambda: client.get_model_version(name, "1"))
    client.delete_registered_model("Copied")


@step
def a_training_logs_itself_and_predicts_the_same(day: Day) -> None:
    needs("sklearn", "pandas")
    import numpy as np
    from sklearn.linear_model import Ridge

    mlflow = day.mlflow
    mlflow.set_experiment(experiment_id=day.experiment)
    mlflow.sklearn.autolog(silent=True)
    rows = np.random.default_rng(0).normal(size=(40, 2))
    with mlflow.start_run() as run:
        native = Ridge(alpha=0.5).fit(rows, rows[:, 0])
    mlflow.sklearn.autolog(disable=True)
    same(mlflow.get_run(run.info.run_id).data.params["alpha"], "0.5")
    version = mlflow.register_model(f"runs:/{run.info.run_id}/model", "ridge")
    again = mlflow.pyfunc.load_model(f"models:/ridge/{version.version}").predict(rows)
    same(np.array_equal(again, native.predict(rows)), True)


@step
def traces_are_told_and_judged(day: Day) -> None:
    mlflow, client = day.mlflow, day.client
    mlflow.set_experiment(experiment_id=day.experiment)

    @mlflow.trace(name="ask")
    def ask(question: str) -> str:
        with mlflow.start_span("look up") as span:
            span.set_inputs({"q": question})
        return question.upper()

    same(ask("why"), "WHY")
    mlflow.flush_trace_async_logging()
    id = mlflow.get_last_active_trace_id()
    found = mlflow.get_trace(id)
    same({it.name for it in found.data.spans}, {"ask", "look up"})
    client.set_trace_tag(id, "t", "1")
    client.set_trace_tag(id, "u", "2")
    client.delete_trace_tag(id, "t")
    listed = client.search_traces(locations=[day.experiment], filter_string="tags.u = '2'")
    same([it.info.trace_id for it in listed], [id])
    told = mlflow.log_feedback(trace_id=id, name="good", value=True)
    mlflow.log_expectation(trace_id=id, name="answer", value="WHY")
    same(mlflow.get_assessment(id, told.assessment_id).feedback.value, True)
    mlflow.update_assessment(id, told.assessment_id, mlflow.entities.Feedback("good", value=False))
    same(mlflow.get_assessment(id, told.assessment_id).feedback.value, False)
    mlflow.delete_assessment(id, told.assessment_id)
    same([it.name for it in mlflow.get_trace(id).info.assessments], ["answer"])
    client.link_traces_to_run([id], day.run)
    same(len(client.search_traces(locations=[day.experiment], run_id=day.run)), 1)
    same(client.delete_traces(day.experiment, trace_ids=[id]), 1)


@step
def prompts_have_versions(day: Day) -> None:
    client = day.client
    for text in ("Say {{what}}.", "Please say {{what}}."):
        client.register_prompt("greeting", text, tags={"by": "day"})
    client.set_prompt_alias("greeting", "best", 2)
    same(client.load_prompt("prompts:/greeting@best").template, "Please say {{what}}.")
    same(client.get_prompt_version("greeting", 1).template, "Say {{what}}.")
    client.set_prompt_tag("greeting", "t", "1")
    client.set_prompt_version_tag("greeting", 1, "t", "1")
    same([it.name for it in client.search_prompts("name = 'greeting'")], ["greeting"])
    client.delete_prompt_version_tag("greeting", 1, "t")
    client.delete_prompt_tag("greeting", "t")
    client.delete_prompt_alias("greeting", "best")
    same("greeting" in {it.name for it in client.search_registered_models()}, False)


@step
def webhooks_are_kept(day: Day) -> None:
    from mlflow.entities.webhook import WebhookAction, WebhookEntity, WebhookEvent, WebhookStatus

    client = day.client
    event = WebhookEvent(WebhookEntity.MODEL_VERSION, WebhookAction.CREATED)
    made = client.create_webhook("chat", "https://example.com/hook", [event], secret="s3cret")
    same(client.get_webhook(made.webhook_id).events, [event])
    same([it.name for it in client.list_webhooks()], ["chat"])
    changed = client.update_webhook(made.webhook_id, name="talk", status=WebhookStatus.DISABLED)
    same((changed.name, changed.status), ("talk", WebhookStatus.DISABLED))
    same(any("s3cret" in str(vars(it)) for it in client.list_webhooks()), False)
    client.delete_webhook(made.webhook_id)
    same(list(client.list_webhooks()), [])


@step
def commands_do_the_same(day: Day) -> None:
    from click.testing import CliRunner
    from mlflow.cli import cli

    def told(*words: str) -> str:
        done = CliRunner().invoke(cli, words, catch_exceptions=False)
        same((words, done.exit_code, done.exception), (words, 0, None))
        return done.output

    made = told("experiments", "create", "--experiment-name", "by hand")
    id = made.rsplit(maxsplit=1)[-1]
    told("experiments", "rename", "--experiment-id", id, "--new-name", "by command")
    same("by command" in told("experiments", "search"), True)
    run = day.client.create_run(id, run_name="of a command").info.run_id
    day.client.log_param(run, "a", 1)
    same(run in told("runs", "list", "--experiment-id", id), True)
    same(json.loads(told("runs", "describe", "--run-id", run))["data"]["params"], {"a": "1"})
    told("runs", "delete", "--run-id", run)
    same(run in told("runs", "list", "--experiment-id", id), False)
    told("runs", "restore", "--run-id", run)
    same(day.client.get_run(run).info.lifecycle_stage, "active")
    (day.folder / "c.txt").write_text("c")
    told("artifacts", "log-artifact", "--local-file", str(day.folder / "c.txt"), "--run-id", run)
    same("c.txt" in told("artifacts", "list", "--run-id", run), True)
    told("artifacts", "download", "--run-id", run, "--dst-path", str(day.folder / "down"))
    same((day.folder / "down" / "c.txt").read_text(), "c")
    told("experiments", "csv", "--experiment-id", id, "--filename", str(day.folder / "runs.csv"))
    same(run in (day.folder / "runs.csv").read_text(), True)
    told("experiments", "delete", "--experiment-id", id)
    same("by command" in told("experiments", "search"), False)
    told("experiments", "restore", "--experiment-id", id)
    same("by command" in told("experiments", "search"), True)


@step
def the_day_is_tidied_away(day: Day) -> None:
    client = day.client
    client.delete_run(day.run)
    same(client.get_run(day.run).info.lifecycle_stage, "deleted")
    refused("INVALID_PARAMETER_VALUE", lambda: client.log_metric(day.run, "late", 1.0))
    client.restore_run(day.run)
    client.delete_registered_model("Day's model")
    refused("RESOURCE_DOES_NOT_EXIST", lambda: client.get_registered_model("Day's model"))
    client.delete_experiment(day.experiment)
    refused("INVALID_PARAMETER_VALUE", lambda: client.log_metric(day.run, "later", 1.0))
    client.restore_experiment(day.experiment)
    client.log_metric(day.run, "again", 1.0)
    same(client.get_run(day.run).data.metrics["again"], 1.0)


def outcomes(day: Day) -> Iterator[dict[str, object]]:
    """How each step went."""
    for function in STEPS:
        told: dict[str, object] = {"step": function.__name__, "outcome": "ok"}
        try:
            function(day)
        except Lacks as error:
            told |= {"outcome": "lacks", "why": str(error)}
        except Exception as error:  # noqa: BLE001 - whatever it is, the day goes on
            told |= {"outcome": "failed", "why": f"{error}\n{traceback.format_exc()[-1500:]}"}
        yield told


def listening(day: Day) -> None:
    """Note every request that leaves."""
    import requests

    sent = requests.Session.send

    def send(self: Any, request: Any, **options: Any) -> Any:
        path = _FILES.sub(r"\1{path}", _IDS.sub("/{id}", request.path_url.partition("?")[0]))
        day.asked.add(f"{request.method} {path}")
        return sent(self, request, **options)

    requests.Session.send = send  # type: ignore[method-assign]


if __name__ == "__main__":
    today = Day(sys.argv[1], Path(sys.argv[2]))
    listening(today)
    for line in outcomes(today):
        sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.write(json.dumps({"asked": sorted(today.asked)}) + "\n")
