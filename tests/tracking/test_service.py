"""Runs: one transaction a log call, parameters once, finished runs never."""

from __future__ import annotations

import math
import time

import pytest

from everloop.app.platform import Platform
from everloop.catalog.session import Session
from everloop.kernel.clock import SimulatedClock
from everloop.kernel.errors import Conflict, InvalidInput, NotFound
from everloop.tracking import service
from everloop.tracking.entities import MetricPoint, Run


def start(session: Session, **parameters: str) -> Run:
    return service.start(session, "trial", parameters=parameters)


def test_a_run_starts_in_an_experiment_that_is_made_when_it_is_missing(session: Session) -> None:
    run = service.start(session, "trial", name="first", parameters={"rate": "0.1"}, tags={"who": "me"})
    assert (run.experiment, run.name, run.status) == ("trial", "first", "running")
    assert (run.parameters, run.tags) == ({"rate": "0.1"}, {"who": "me"})
    assert [experiment.name for experiment in service.list_experiments(session)] == ["trial"]
    assert service.get(session, run.id) == run


def test_an_experiment_is_made_once(session: Session) -> None:
    made = service.create_experiment(session, "trial", "why")
    assert service.get_experiment(session, "trial") == made
    with pytest.raises(Conflict, match="There is an experiment 'trial' already"):
        service.create_experiment(session, "trial")


def test_unknown_things_are_not_found(session: Session) -> None:
    with pytest.raises(NotFound, match="no experiment 'x'"):
        service.get_experiment(session, "x")
    with pytest.raises(NotFound, match="no run 'x'"):
        service.get(session, "x")
    with pytest.raises(NotFound, match="no run 'x'"):
        service.log(session, "x", parameters={"a": "b"})
    with pytest.raises(NotFound, match="no run 'x'"):
        service.start(session, "trial", parent="x")


def test_a_parameter_is_written_once(session: Session) -> None:
    run = start(session, rate="0.1")
    assert service.log(session, run.id, parameters={"rate": "0.1", "k": "2"}).parameters == {"rate": "0.1", "k": "2"}
    with pytest.raises(Conflict, match=r"Parameter 'rate' of run .* is '0\.1' and cannot become '0\.2'"):
        service.log(session, run.id, parameters={"rate": "0.2"})


def test_a_tag_may_change(session: Session) -> None:
    run = service.start(session, "trial", tags={"state": "new"})
    assert service.log(session, run.id, tags={"state": "old"}).tags == {"state": "old"}


def test_a_log_call_is_all_or_nothing(platform: Platform) -> None:
    run = platform.call("runs.start", {"experiment": "trial", "parameters": {"rate": "0.1"}})
    arguments = {"id": run.id, "metrics": [{"key": "auc", "value": 0.7}], "parameters": {"rate": "0.2"}}
    with pytest.raises(Conflict):
        platform.call("runs.log", arguments)
    assert platform.call("runs.get", {"id": run.id}).metrics == {}
    assert platform.call("runs.history", {"id": run.id, "key": "auc"}) == []


def test_a_retried_log_call_counts_once(platform: Platform) -> None:
    run = platform.call("runs.start", {"experiment": "trial"})
    for _ in range(2):
        platform.call("runs.log", {"id": run.id, "metrics": [{"key": "auc", "value": 0.7}]}, key="once")
    assert len(platform.call("runs.history", {"id": run.id, "key": "auc"})) == 1


def test_a_finished_run_never_changes(session: Session, clock: SimulatedClock) -> None:
    run = start(session)
    finished = service.finish(session, run.id)
    assert (finished.status, finished.ended) == ("finished", clock.now())
    for change in (
        lambda: service.log(session, run.id, (MetricPoint("auc", 1.0),)),
        lambda: service.log(session, run.id, tags={"a": "b"}),
        lambda: service.log_artifact(session, run.id, "a", session.store.put(b"a")),
        lambda: service.finish(session, run.id, "failed"),
    ):
        with pytest.raises(Conflict, match="is finished and can no longer change"):
            change()
    assert service.get(session, run.id) == finished


def test_a_run_cannot_be_finished_as_running(session: Session) -> None:
    with pytest.raises(InvalidInput):
        service.finish(session, start(session).id, "running")


def test_the_latest_value_of_a_metric_has_the_largest_step_time_and_value(session: Session) -> None:
    run = start(session)
    service.log(session, run.id, (MetricPoint("a", 1.0, 5), MetricPoint("a", 9.0, 2), MetricPoint("b", 1.0)))
    service.log(session, run.id, (MetricPoint("a", 7.0, 3), MetricPoint("b", 4.0), MetricPoint("b", 3.0)))
    assert service.get(session, run.id).metrics == {"a": 1.0, "b": 4.0}


def test_the_history_has_every_point_by_time_and_step(session: Session, clock: SimulatedClock) -> None:
    run = start(session)
    service.log(session, run.id, (MetricPoint("a", 1.0, 5), MetricPoint("b", 0.0), MetricPoint("a", 2.0, -1)))
    service.log(session, run.id, (MetricPoint("a", 3.0, 7),))
    assert [(p.value, p.step, p.at) for p in service.history(session, run.id, "a")] == [
        (2.0, -1, clock.now()), (1.0, 5, clock.now()), (3.0, 7, clock.now()),
    ]  # fmt: skip
    assert service.history(session, run.id, "c") == []


def test_not_a_number_and_infinity_are_kept(session: Session) -> None:
    run = start(session)
    values = {"nan": math.nan, "inf": math.inf, "minus": -math.inf}
    found = service.log(session, run.id, tuple(MetricPoint(key, value) for key, value in values.items())).metrics
    assert {key: repr(value) for key, value in found.items()} == {"nan": "nan", "inf": "inf", "minus": "-inf"}
    assert [repr(point.value) for point in service.history(session, run.id, "nan")] == ["nan"]
    assert service.log(session, run.id, (MetricPoint("nan", 1.0),)).metrics["nan"] == 1.0


def test_a_step_that_does_not_fit_into_64_bits_is_refused(session: Session) -> None:
    with pytest.raises(InvalidInput, match="has step 9223372036854775808"):
        service.log(session, start(session).id, (MetricPoint("a", 1.0, 1 << 63),))


@pytest.mark.parametrize("key", ["", "a" * 251, "a\nb", "a`b"])
def test_a_key_that_cannot_be_searched_for_is_refused(session: Session, key: str) -> None:
    with pytest.raises(InvalidInput, match="is not a key"):
        service.log(session, start(session).id, (MetricPoint(key, 1.0),))


def test_a_thousand_points_are_logged_in_one_quick_transaction(platform: Platform) -> None:
    session = platform.session()
    with session.begin() as unit:
        run = start(unit)
    points = tuple(MetricPoint(f"m{i % 10}", float(i), i) for i in range(1000))
    began = time.process_time()
    with session.begin() as unit:
        service.log(unit, run.id, points)
    seconds = time.process_time() - began
    assert len(platform.call("runs.history", {"id": run.id, "key": "m3"})) == 100
    assert seconds < 0.25  # About 5 ms; of the processor, which others may be using, too.


def test_what_a_run_used_is_in_the_lineage(session: Session) -> None:
    from everloop.catalog.lineage import graph

    run = start(session)
    urn = session.urn("dataset", "flights", 1)
    for _ in range(2):
        assert service.log(session, run.id, inputs=(urn,)).inputs == (urn,)
    assert urn in graph(session, session.urn("run", run.id), "upstream", 3).nodes


@pytest.mark.parametrize("urn", ["", "nonsense", "run:default/a b", "run:default/\0", "run:default/" + "a" * 500])
def test_what_is_no_urn_is_no_input_and_nothing_is_logged_with_it(session: Session, urn: str) -> None:
    run = start(session)
    with pytest.raises(InvalidInput):
        service.log(session, run.id, parameters={"depth": "6"}, inputs=(session.urn("dataset", "flights", 1), urn))
    assert service.get(session, run.id) == run


def test_an_artifact_is_a_file_of_the_store(session: Session) -> None:
    run = start(session)
    digest = session.store.put(b"hello")
    made = service.log_artifact(session, run.id, "notes/a.txt", digest)
    assert (made.path, made.digest, made.size) == ("notes/a.txt", digest, 5)
    assert service.log_artifact(session, run.id, "notes/a.txt", digest) == made
    assert service.artifacts(session, run.id) == [made]
    with pytest.raises(Conflict, match="has another file"):
        service.log_artifact(session, run.id, "notes/a.txt", session.store.put(b"other"))


@pytest.mark.parametrize("path", ["/etc/passwd", "../a", "a/../../b", "", "a\0b"])
def test_an_artifact_stays_inside_of_its_run(session: Session, path: str) -> None:
    with pytest.raises(InvalidInput, match="is not a path inside a run"):
        service.log_artifact(session, start(session).id, path, session.store.put(b"a"))


def test_an_artifact_must_be_in_the_store(session: Session) -> None:
    with pytest.raises(NotFound):
        service.log_artifact(session, start(session).id, "a", "0" * 64)


def test_every_change_is_in_the_ledger(platform: Platform) -> None:
    run = platform.call("runs.start", {"experiment": "trial"})
    platform.call("runs.log", {"id": run.id, "metrics": [{"key": "auc", "value": 0.7}], "tags": {"a": "b"}})
    platform.call("runs.finish", {"id": run.id})
    kinds = [entry.kind for entry in platform.call("audit.entries", {})]
    assert kinds == ["runs.finished", "runs.metrics_sealed", "runs.logged", "runs.started", "experiments.created"]


def test_a_run_of_another_project_is_out_of_sight(platform: Platform) -> None:
    run = platform.call("runs.start", {"experiment": "trial"})
    with pytest.raises(NotFound):
        platform.call("runs.get", {"id": run.id}, project="other")
    assert platform.call("runs.search", {}, project="other") == []
