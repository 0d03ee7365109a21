"""`everloop.run` in process: what is logged arrives, and what cannot be logged says why."""

from __future__ import annotations

import math
import sys
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

import everloop as el
from everloop.kernel.errors import Conflict, InvalidInput, NotFound, Refused
from everloop.sdk.platform import Everloop
from everloop.sdk.recording.warn import TrackingWarning
from tests.sdk.recording.conftest import trainer


def test_what_is_logged_is_there_when_the_block_ends(ever: Everloop) -> None:
    with el.run("trial", "first", {"rate": 0.1}, {"kind": "gbm"}, group="g", platform=ever) as run:
        run.log_metric("loss", 0.5)
        run.log_metrics({"loss": 0.25, "auc": 0.7})
        run.note("# It *works*")
    found = ever.runs.get(run.id)
    assert (found.status, found.experiment, found.name, found.group) == ("finished", "trial", "first", "g")
    assert (found.metrics, found.parameters, found.tags) == (
        {"auc": 0.7, "loss": 0.25},
        {"rate": "0.1"},
        {"kind": "gbm"},
    )
    assert found.note == "# It *works*"
    assert found.ended is not None


def test_nothing_is_left_of_the_journal_of_what_has_arrived(ever: Everloop, home: Path) -> None:
    with el.run(platform=ever) as run:
        run.log_metric("loss", 0.5)
    assert list((home / "journals").iterdir()) == []


def test_the_run_is_there_while_it_runs(ever: Everloop) -> None:
    with el.run("trial", platform=ever) as run:
        run.log_metric("loss", 0.5)
        assert run.sync()
        assert (ever.runs.get(run.id).status, ever.runs.get(run.id).metrics) == ("running", {"loss": 0.5})


def test_steps_count_up_for_each_key_and_go_on_from_one_that_was_given(ever: Everloop) -> None:
    with el.run(platform=ever) as run:
        for value in (1.0, 2.0):
            run.log_metric("a", value)
        run.log_metric("a", 3.0, 10)
        run.log_metric("a", 4.0)
        run.log_metric("b", 5.0)
    assert [point.step for point in ever.runs.history(run.id, "a")] == [0, 1, 10, 11]
    assert [point.step for point in ever.runs.history(run.id, "b")] == [0]


@pytest.mark.parametrize("value", [np.float32(0.5), np.array(0.5), np.array([0.5]), "0.5", True and 0.5])
def test_whatever_is_a_number_can_be_logged(ever: Everloop, value: float) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # NumPy's, of arrays with one element.
        with el.run(platform=ever) as run:
            run.log_metric("loss", value)
    assert ever.runs.get(run.id).metrics == {"loss": 0.5}


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan])
def test_values_that_are_not_finite_stay_what_they_are(ever: Everloop, value: float) -> None:
    with el.run(platform=ever) as run:
        run.log_metric("loss", value)
    assert str(ever.runs.history(run.id, "loss")[0].value) == str(value)


@pytest.mark.parametrize("value", ["high", None, np.zeros(3), [1.0], {}, 1j])
def test_what_is_no_number_is_refused_at_once_with_its_key(ever: Everloop, value: object) -> None:
    with el.run(platform=ever) as run:
        run.log_metric("loss", 0.5)
        with pytest.raises(InvalidInput, match="'loss' is no number"):
            run.log_metric("loss", value)
    assert ever.runs.get(run.id).metrics == {"loss": 0.5}


@pytest.mark.parametrize(("key", "step"), [("", 0), ("a`b", 0), ("x" * 251, 0), ("ok", 1 << 63), ("ok", 0.5), (7, 0)])
def test_a_point_that_cannot_be_kept_is_warned_of_and_the_rest_goes_on(ever: Everloop, key: str, step: int) -> None:
    with warnings.catch_warnings(record=True) as told, el.run(platform=ever) as run:
        warnings.simplefilter("always", TrackingWarning)
        run.log_metric("loss", 0.5)
        run.log_metric(key, 1.0, step)
        run.log_metric("loss", 0.25)
    assert [warning.category for warning in told] == [TrackingWarning]
    assert [point.value for point in ever.runs.history(run.id, "loss")] == [0.5, 0.25]


def test_a_step_that_is_a_whole_float_is_one(ever: Everloop) -> None:
    with el.run(platform=ever) as run:
        run.log_metric("loss", 0.5, 3.0)
    assert ever.runs.history(run.id, "loss")[0].step == 3


def test_a_parameter_is_written_once(ever: Everloop) -> None:
    with el.run(platform=ever, parameters={"rate": 0.1}) as run:
        run.log_parameter("rate", "0.1")
        with pytest.raises(Conflict, match=r"cannot become '0\.2'"):
            run.log_parameters({"fresh": 1, "rate": 0.2})
    assert ever.runs.get(run.id).parameters == {"rate": "0.1"}


@pytest.mark.parametrize("key", ["", "a\nb", "a`b", "\u202e", "x" * 251])
def test_a_key_that_nobody_could_keep_is_refused_at_once(ever: Everloop, key: str) -> None:
    with el.run(platform=ever) as run:
        with pytest.raises(InvalidInput, match="is not a key"):
            run.log_parameter(key, 1)
        with pytest.raises(InvalidInput, match="is not a key"):
            run.set_tag(key, 1)


def test_what_is_wrong_with_a_run_is_said_before_it_begins(ever: Everloop, home: Path) -> None:
    for wrong in (
        {"experiment": "../x"},
        {"name": "a\0"},
        {"resume": "x"},
        {"parameters": {"": 1}},
        {"tags": {"a": "\0"}},
    ):
        with pytest.raises(InvalidInput):
            el.run(platform=ever, **wrong)  # type: ignore[arg-type]  # one of them at a time
    assert not (home / "journals").exists()


def test_an_error_makes_it_failed_and_an_interruption_killed(ever: Everloop) -> None:
    for error, status in (
        (ValueError("broken"), "failed"),
        (KeyboardInterrupt(), "killed"),
        (SystemExit(0), "finished"),
    ):
        with pytest.raises(type(error)), el.run(platform=ever) as run:
            raise error
        assert ever.runs.get(run.id).status == status
    with pytest.raises(ValueError, match="broken"), el.run(platform=ever) as run:
        raise ValueError("broken")
    assert ever.runs.get(run.id).tags == {"error": "ValueError: broken"}


def test_an_ended_run_refuses_what_comes_later(ever: Everloop) -> None:
    with el.run(platform=ever) as run:
        pass
    for late in (lambda: run.log_metric("a", 1), lambda: run.log_parameter("a", 1), lambda: run.log_text("a", "b")):
        with pytest.raises(Refused, match="has ended"):
            late()
    run.finish()


def test_a_run_inside_of_another_has_it_as_its_parent(ever: Everloop) -> None:
    with el.run("trial", platform=ever) as outer:
        with el.run("trial", platform=ever) as inner:
            el.log_metric("loss", 1.0)
        el.log_metric("loss", 2.0)
    assert ever.runs.get(inner.id).parent == outer.id
    assert (ever.runs.get(inner.id).metrics, ever.runs.get(outer.id).metrics) == ({"loss": 1.0}, {"loss": 2.0})


def test_the_active_platform_is_recorded_to(ever: Everloop) -> None:
    with ever.session().activate(), el.run("trial") as run:
        el.log_metric("loss", 1.0)
        el.log_parameters({"rate": 1})
        el.set_tag("kind", "gbm")
        el.log_artifact("note.txt", b"hello")
    found = ever.runs.get(run.id)
    assert (found.metrics, found.parameters, found.tags) == ({"loss": 1.0}, {"rate": "1"}, {"kind": "gbm"})
    assert [artifact.path for artifact in ever.runs.artifacts(run.id)] == ["note.txt"]


def test_in_a_step_it_is_the_steps_child(ever: Everloop) -> None:
    from everloop.tracking.recording import recording

    step = ever.runs.start("pipeline")
    with ever.session().activate(), recording(ever.session(), step.id), el.run("trial") as run:
        el.log_metric("loss", 1.0)
    assert ever.runs.get(run.id).parent == step.id


def test_a_thread_that_was_told_nothing_logs_to_the_only_run(ever: Everloop) -> None:
    with el.run(platform=ever) as run:
        thread = threading.Thread(target=el.log_metric, args=("loss", 0.5))
        thread.start()
        thread.join()
    assert ever.runs.get(run.id).metrics == {"loss": 0.5}


def test_a_thread_that_could_mean_several_runs_is_told_to_say_which(ever: Everloop) -> None:
    def work() -> None:
        with pytest.raises(Conflict, match="2 runs are open"):
            el.log_metric("loss", 0.5)
        with one.activate():
            el.log_metric("loss", 0.5)

    with el.run(platform=ever) as one, el.run(platform=ever) as two, ThreadPoolExecutor(1) as pool:
        pool.submit(work).result()
    assert (ever.runs.get(one.id).metrics, ever.runs.get(two.id).metrics) == ({"loss": 0.5}, {})


@pytest.mark.slow
def test_what_8_threads_log_is_all_there(ever: Everloop) -> None:
    def work(thread: int) -> None:
        for step in range(100_000):
            run.log_metric(f"m{thread}", step)

    with el.run(platform=ever) as run, ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    for thread in range(8):
        points = ever.runs.history(run.id, f"m{thread}")
        assert [point.step for point in points] == list(range(100_000))
        assert [point.value for point in points] == list(map(float, range(100_000)))


def test_without_a_run_logging_says_what_to_do() -> None:
    with pytest.raises(NotFound, match="No run is active here"):
        el.log_metric("loss", 0.5)


def test_what_was_used_becomes_inputs_and_lineage(ever: Everloop) -> None:
    made = ever.datasets.commit("flights", ever.put_frame([{"a": 1}]), "parquet")
    with el.run(platform=ever) as run:
        run.use(made, "feature_view:default/weather@2", "flights@1")
        with pytest.raises(InvalidInput):
            run.use("nothing")
    assert ever.runs.get(run.id).inputs == ("dataset:default/flights@1", "feature_view:default/weather@2")


def test_another_file_at_the_same_path_is_refused_and_the_same_is_not(ever: Everloop) -> None:
    with el.run(platform=ever) as run:
        run.log_text("one", "a.txt")
        run.log_text("one", "a.txt")
        with pytest.raises(Conflict, match="another file"):
            run.log_text("two", "a.txt")


def test_a_file_may_change_right_after_it_was_logged(ever: Everloop, tmp_path: Path) -> None:
    (tmp_path / "model.bin").write_bytes(b"one")
    with el.run(platform=ever) as run:
        run.log_artifact(tmp_path / "model.bin")
        (tmp_path / "model.bin").write_bytes(b"two")
    assert ever.get_object(ever.runs.artifacts(run.id)[0].digest) == b"one"


def test_code_and_environment_are_those_of_here(ever: Everloop) -> None:
    with el.run(platform=ever) as run:
        pass
    assert b'"msgspec"' in ever.get_object(ever.runs.get(run.id).environment)


def test_what_it_prints_is_kept(ever: Everloop) -> None:
    with el.run(platform=ever) as run:
        sys.stdout.write("epoch 1\repoch 2\nthe end")
    artifacts = {artifact.path: artifact.digest for artifact in ever.runs.artifacts(run.id)}
    assert ever.get_object(artifacts["console.txt"]) == b"epoch 2\nthe end\n"


def test_recording_imports_only_the_areas_that_take_part_in_it(tmp_path: Path) -> None:
    body = "with el.run(): pass\nprint(sorted(m for m in sys.modules if m.startswith('everloop.') and 'service' in m))"
    told, _ = trainer(tmp_path / "home", body).communicate(timeout=60)
    assert told.strip() == "['everloop.store.service', 'everloop.tracking.service']"


def test_what_recording_has_not_imported_is_there_when_it_is_called(tmp_path: Path) -> None:
    body = "with el.run() as run:\n    run.sync()\n    print(run._shipper.destination.call('models.list', {}))"
    told, _ = trainer(tmp_path / "home", body).communicate(timeout=60)
    assert told.strip() == "[]"
