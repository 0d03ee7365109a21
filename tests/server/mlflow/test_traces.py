"""Traces at the MLflow door, judged by MLflow's own client, unmodified, over a real server."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.server.test_process import address, process

os.environ |= {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"}
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server, which the tests of this file share: each has an experiment of its own."""
    with process(tmp_path_factory.mktemp("home") / "home", "server", "--port", "0") as server:
        yield address(server)


@pytest.fixture
def mlflow(url: str, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[Any]:
    """MLflow's fluent client, which sends traces at once, with an experiment of the test's own."""
    monkeypatch.setenv("MLFLOW_ENABLE_ASYNC_TRACE_LOGGING", "false")
    mlflow: Any = pytest.importorskip("mlflow")

    mlflow.set_tracking_uri(url)
    mlflow.set_experiment(request.node.name)
    mlflow.tracing.reset()
    yield mlflow
    while mlflow.active_run():
        mlflow.end_run()


def _current(mlflow: Any) -> str:
    return str(mlflow.tracking.fluent._get_experiment_id())


def traced(mlflow: Any, name: str = "answer", **attributes: Any) -> str:
    """Make a trace of two spans; its id."""
    with mlflow.start_span(name, span_type="AGENT") as span:
        span.set_inputs({"question": "How late?"})
        with mlflow.start_span("look up", attributes=attributes):
            pass
        span.set_outputs("By an hour.")
    return str(span.trace_id)


def found(mlflow: Any, where: str = "", **more: Any) -> list[str]:
    """The names of the traces that a search in the test's experiment finds, in order."""
    page = mlflow.search_traces(locations=[_current(mlflow)], filter_string=where, return_type="list", **more)
    return [trace.info.tags["mlflow.traceName"] for trace in page]


def test_a_trace_is_read_back_as_it_was_made(mlflow: Any) -> None:
    id = traced(mlflow, numbers=[1, 2.5], nested={"a": [None, True]}, text="früh")
    trace = mlflow.get_trace(id)
    root, child = trace.data.spans
    assert (root.name, root.span_type, root.inputs, root.outputs) == (
        "answer",
        "AGENT",
        {"question": "How late?"},
        "By an hour.",
    )
    assert child.parent_id == root.span_id
    assert child.attributes | {"numbers": [1, 2.5], "nested": {"a": [None, True]}, "text": "früh"} == child.attributes
    assert (trace.info.state, trace.info.request_preview) == ("OK", '{"question": "How late?"}')


def test_traces_of_decorated_functions_fail_with_them(mlflow: Any) -> None:
    def fails() -> None:
        raise ValueError("too late")

    with pytest.raises(ValueError, match="too late"):
        mlflow.trace(fails)()
    trace = mlflow.get_trace(mlflow.get_last_active_trace_id())
    assert trace.info.state == "ERROR"
    assert trace.data.spans[0].events[0].attributes["exception.message"] == "too late"


def test_traces_are_found_by_what_is_known_of_them(mlflow: Any) -> None:
    ids = {name: traced(mlflow, name, model=f"m-{name}") for name in ("a", "b", "c")}
    mlflow.set_trace_tag(ids["b"], "team", "core")
    mlflow.log_feedback(trace_id=ids["c"], name="good", value=0.9)
    assert found(mlflow) == ["c", "b", "a"]
    assert found(mlflow, order_by=["timestamp ASC"]) == ["a", "b", "c"]
    assert found(mlflow, "tags.team = 'core'") == ["b"]
    assert found(mlflow, "trace.name != 'a' AND status = 'OK'") == ["c", "b"]
    assert found(mlflow, "feedback.good > 0.5") == ["c"]
    assert found(mlflow, "span.attributes.model LIKE 'm-a%'") == ["a"]
    assert found(mlflow, "trace.text LIKE '%m-b%'") == ["b"]


def test_pages_are_followed_to_the_end(mlflow: Any) -> None:
    for n in range(5):
        traced(mlflow, f"t{n}")
    client = mlflow.MlflowClient()
    first = client.search_traces(locations=[_current(mlflow)], max_results=2)
    traced(mlflow, "newer")
    rest = client.search_traces(locations=[_current(mlflow)], page_token=first.token)
    assert [it.info.tags["mlflow.traceName"] for it in (*first, *rest)] == ["t4", "t3", "t2", "t1", "t0"]
    assert rest.token is None


def test_traces_of_a_run_are_found_by_it(mlflow: Any) -> None:
    with mlflow.start_run() as run:
        traced(mlflow, "within")
    other = traced(mlflow, "linked")
    traced(mlflow, "neither")
    mlflow.MlflowClient().link_traces_to_run([other], run.info.run_id)
    assert found(mlflow, f"attribute.run_id = '{run.info.run_id}'") == ["linked", "within"]


def test_tags_are_set_and_taken_away(mlflow: Any) -> None:
    id = traced(mlflow)
    mlflow.set_trace_tag(id, "team", "core")
    assert mlflow.get_trace(id).info.tags["team"] == "core"
    mlflow.delete_trace_tag(id, "team")
    assert "team" not in mlflow.get_trace(id).info.tags
    with pytest.raises(mlflow.MlflowException, match="No trace tag with key"):
        mlflow.delete_trace_tag(id, "team")


def test_where_we_keep_a_trace_cannot_be_set(mlflow: Any, url: str) -> None:
    tags = f"{url}/api/3.0/mlflow/traces/{traced(mlflow)}/tags"
    response = httpx.patch(tags, json={"key": "mlflow.trace.spansLocation", "value": "elsewhere"})
    assert (response.status_code, response.json()["error_code"]) == (400, "INVALID_PARAMETER_VALUE")
    assert "immutable" in response.json()["message"]


def test_what_people_and_judges_say_is_kept_changed_and_taken_back(mlflow: Any) -> None:
    from mlflow.entities import AssessmentSource, Feedback

    id = traced(mlflow)
    judge = AssessmentSource(source_type="LLM_JUDGE", source_id="judge-1")
    said = mlflow.log_feedback(trace_id=id, name="correct", value=False, rationale="no", source=judge)
    wanted = mlflow.log_expectation(trace_id=id, name="answer", value={"hours": [1]})
    changed = Feedback(name="correct", value=True, rationale="yes", metadata={"k": "v"})
    mlflow.update_assessment(id, said.assessment_id, changed)
    kept = mlflow.get_assessment(id, said.assessment_id)
    assert (kept.feedback.value, kept.rationale, kept.metadata, kept.source.source_id) == (
        True,
        "yes",
        {"k": "v"},
        "judge-1",
    )
    assert mlflow.get_assessment(id, wanted.assessment_id).expectation.value == {"hours": [1]}
    override = mlflow.override_feedback(trace_id=id, assessment_id=said.assessment_id, value=False)
    assert [it.valid for it in mlflow.get_trace(id).info.assessments if it.name == "correct"] == [False, True]
    mlflow.delete_assessment(id, override.assessment_id)
    assert [it.valid for it in mlflow.get_trace(id).info.assessments if it.name == "correct"] == [True]


def test_deleted_traces_are_gone(mlflow: Any) -> None:
    ids = [traced(mlflow, f"t{n}") for n in range(3)]
    client, here = mlflow.MlflowClient(), _current(mlflow)
    assert client.delete_traces(here, trace_ids=[ids[0], "tr-unknown"]) == 1
    assert client.delete_traces(here, max_timestamp_millis=2**50, max_traces=1) == 1
    assert found(mlflow) == ["t2"]
    with pytest.raises(mlflow.MlflowException, match="not found"):
        client.get_trace(ids[0])


def test_what_is_attached_to_a_trace_comes_back(mlflow: Any, tmp_path: Path) -> None:
    from mlflow.artifacts import download_artifacts
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    uri = mlflow.get_trace(traced(mlflow)).info.tags["mlflow.artifactLocation"]
    (tmp_path / "traces.json").write_text('{"spans": []}')
    repository: Any = get_artifact_repository(uri)
    repository.log_artifact(tmp_path / "traces.json")
    assert Path(download_artifacts(f"{uri}/traces.json")).read_text() == '{"spans": []}'


def test_traces_that_are_sent_in_the_background_arrive(mlflow: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_ENABLE_ASYNC_TRACE_LOGGING", "true")
    mlflow.tracing.reset()
    for n in range(20):
        traced(mlflow, f"t{n}")
    mlflow.flush_trace_async_logging()
    page = mlflow.search_traces(locations=[_current(mlflow)], return_type="list")
    assert len(page) == 20
    assert {len(trace.data.spans) for trace in page} == {2}


def test_an_exporter_of_opentelemetry_sends_its_spans_here(mlflow: Any, url: str) -> None:
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor

    from tests.server.mlflow.exporter import Exporter

    provider = TracerProvider(resource=Resource.create({"service.name": "shop"}))
    provider.add_span_processor(SimpleSpanProcessor(Exporter(url, _current(mlflow))))
    tracer = provider.get_tracer("tests")
    with tracer.start_as_current_span("checkout") as root, tracer.start_as_current_span("pay") as child:
        child.set_attributes({"gen_ai.usage.input_tokens": 3, "gen_ai.usage.output_tokens": 4, "amounts": [1.5, 2.5]})
        child.add_event("paid", {"by": "card"})
    trace = mlflow.get_trace(f"tr-{root.get_span_context().trace_id:032x}")
    assert [span.name for span in trace.data.spans] == ["checkout", "pay"]
    assert trace.data.spans[1].attributes["amounts"] == [1.5, 2.5]
    assert trace.data.spans[1].events[0].attributes == {"by": "card"}
    assert trace.info.tags["service.name"] == "shop"
    assert trace.info.token_usage["total_tokens"] == 7


def test_what_was_acknowledged_is_there_after_kill_9(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_ENABLE_ASYNC_TRACE_LOGGING", "false")
    mlflow: Any = pytest.importorskip("mlflow")

    with process(tmp_path / "home", "server", "--port", "0") as server:
        mlflow.set_tracking_uri(address(server))
        mlflow.set_experiment("killed")
        mlflow.tracing.reset()
        ids = [traced(mlflow, f"t{n}") for n in range(5)]
        server.send_signal(signal.SIGKILL)
        server.wait()
    with process(tmp_path / "home", "server", "--port", "0") as server:
        mlflow.set_tracking_uri(address(server))
        assert [len(mlflow.get_trace(id).data.spans) for id in ids] == [2] * 5
