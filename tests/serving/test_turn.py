"""Turns: whatever comes together is answered as if each request had come alone."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from everloop.kernel.errors import Conflict, EverloopError, InvalidInput, Unavailable
from everloop.registry.columns import MatrixColumns
from everloop.registry.entities import Field
from everloop.serving.inferencelog import LogReader, LogWriter
from everloop.serving.predictor import EndpointPredictor
from everloop.serving.request import Answer, PredictionRequest
from tests.serving.conftest import HOUR, World, plain

NUMBERS = st.floats(-50, 50) | st.just(float("nan"))
TEXTS = st.sampled_from(["AA", "B6", None, "Ünïcode", "\ud800", ""])


@st.composite
def requests(draw: st.DrawFn) -> PredictionRequest:
    """Good and bad requests of 0 to 4 rows, some with a column of another type, a column too many, or a lost end."""
    rows = draw(st.integers(0, 4))
    columns = {
        "x": np.array(draw(st.lists(NUMBERS, min_size=rows, max_size=rows)), dtype=float),
        "carrier": np.array(draw(st.lists(TEXTS, min_size=rows, max_size=rows)), dtype=object),
        "flight_id": np.array([draw(st.text("abc", min_size=1, max_size=3)) for _ in range(rows)], dtype=object),
    }
    wrong = draw(st.sampled_from(["", "", "", "whole", "unknown", "missing", "short", "deep", "object"]))
    if wrong == "whole":
        columns["x"] = np.nan_to_num(columns["x"]).astype(np.int64)
    if wrong == "unknown":
        columns["speed"] = columns["x"]
    if wrong == "missing":
        del columns["carrier"]
    if wrong == "short":
        columns["x"] = columns["x"][1:]
    if wrong == "deep":
        columns["x"] = columns["x"].reshape(rows, 1)
    if wrong == "object":
        columns["x"] = columns["x"].astype(object)
    return PredictionRequest(columns, at=HOUR)


@pytest.fixture
def predictor(world: World) -> EndpointPredictor:
    """A stable model that answers x / 100, a canary that fails over 20, and a shadow."""
    world.register(factor=0.01)
    world.create(label_key="flight_id")
    for formula in ({"constant": 5.0, "factor": 0.01, "nan_over": 20.0}, {"constant": -1.0}):
        world.call("endpoints.deploy", name="delay", version=world.register(**formula))
    world.traffic((1, 60, "stable"), (2, 40, "canary"), (3, 100, "shadow"))
    return world.predictor()


def logged(world: World) -> list[dict[str, object]]:
    reader = LogReader(world.platform.resources.home, "default", "delay")
    return [row for batch in reader.since()[0] for row in batch.to_pylist()]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(requests(), min_size=1, max_size=8))
def test_together_is_as_alone(world: World, predictor: EndpointPredictor, asked: list[PredictionRequest]) -> None:
    before = len(logged(world))
    together = predictor.predict_all(asked)
    between = len(logged(world))
    alone = [predictor.predict_all([request])[0] for request in asked]
    assert [_seen(answer) for answer in together] == [_seen(answer) for answer in alone]
    after = logged(world)
    assert _rows(after[before:between]) == _rows(after[between:])


def _seen(answer: Answer | EverloopError) -> object:
    if isinstance(answer, EverloopError):
        return type(answer), str(answer)
    return [repr(value) for value in answer.outputs.tolist()], len(set(answer.prediction_ids)), len(answer.deployments)


def _rows(rows: Sequence[dict[str, object]]) -> list[str]:
    """What is logged of the rows, whatever their order and but for what differs each time and units without a name."""
    ignored = {"prediction_id", "request_id", "latency_us", "key"}
    known = [row for row in rows if len(str(row["key"])) < 32]
    return sorted(str({name: value for name, value in row.items() if name not in ignored}) for row in known)


def test_half_a_character_is_refused_and_its_neighbours_are_answered(
    world: World, predictor: EndpointPredictor
) -> None:
    good = plain(1.0) | {"flight_id": np.array(["a"], dtype=object)}
    bad = good | {"carrier": np.array(["\ud800"], dtype=object)}
    first, wrong, last = predictor.predict_all([PredictionRequest(columns) for columns in (good, bad, good)])
    assert isinstance(wrong, InvalidInput)
    assert isinstance(first, Answer)
    assert isinstance(last, Answer)


def test_a_matrix_and_columns_give_the_same(world: World) -> None:
    world.register(factor=0.01, inputs=(Field("x", "float64"), Field("y", "float64")))
    world.create()
    values = np.array([[1.0, 2.0], [3.0, np.nan]])
    whole = PredictionRequest(MatrixColumns(("x", "y"), values))
    parts = PredictionRequest({"x": values[:, 0], "y": values[:, 1]})
    one, other, again = world.predictor().predict_all([whole, parts, whole])
    assert one.outputs.tolist() == other.outputs.tolist() == again.outputs.tolist() == [0.01, 0.03]
    assert [row["feature:y"] for row in logged(world)][0::2] == [2.0] * 3


def test_a_request_that_comes_again_on_its_way_waits_for_the_same_commit(world: World, slow: Slow) -> None:
    world.register()
    world.create()
    predictor, told = world.predictor(), list[str]()
    first = predictor.compute([PredictionRequest(plain(1.0), "r1")])
    again = predictor.compute([PredictionRequest(plain(1.0), "r1")])
    first.commit(lambda _: told.append("first"))
    again.commit(lambda _: told.append("again"))
    assert told == []
    slow.go.set()
    predictor.close()
    assert told == ["first", "again"]
    assert again.answers[0].prediction_ids == first.answers[0].prediction_ids  # type: ignore[union-attr]  # Both are answers.
    assert len(logged(world)) == 1


def test_what_is_on_its_way_conflicts_with_another_content(world: World, slow: Slow) -> None:
    world.register()
    world.create()
    predictor = world.predictor()
    predictor.compute([PredictionRequest(plain(1.0), "r1")])
    assert isinstance(predictor.compute([PredictionRequest(plain(2.0), "r1")]).answers[0], Conflict)


def test_turns_that_wait_share_a_sync_and_are_told_in_order(world: World, slow: Slow) -> None:
    world.register()
    world.create()
    predictor, told = world.predictor(), list[int]()
    for number in range(20):
        turn = predictor.compute([PredictionRequest(plain(float(number)))])
        turn.commit(lambda _, number=number: told.append(number))  # type: ignore[misc]  # The number is bound here.
    slow.go.set()
    predictor.close()
    assert told == list(range(20))
    assert slow.writes <= 3


def test_a_failing_disk_fails_the_turns_concerned_and_no_others(world: World, slow: Slow) -> None:
    world.register()
    world.create()
    predictor, errors = world.predictor(), dict[str, EverloopError | None]()
    slow.fails, slow.go = True, threading.Event()
    slow.go.set()
    lost = predictor.compute([PredictionRequest(plain(1.0), "r1")])
    depends = predictor.compute([PredictionRequest(plain(1.0), "r1")])
    other = predictor.compute([PredictionRequest({})])
    for name, turn in {"lost": lost, "depends": depends, "other": other}.items():
        turn.commit(lambda error, name=name: errors.update({name: error}))  # type: ignore[misc]  # The name is bound here.
    predictor._committer.close()
    assert isinstance(errors["lost"], Unavailable)
    assert isinstance(errors["depends"], Unavailable)
    assert errors["other"] is None


def test_a_deadline_that_has_passed_is_not_computed(world: World, predictor: EndpointPredictor) -> None:
    columns = plain(1.0) | {"flight_id": np.array(["a"], dtype=object)}
    assert isinstance(predictor.predict_all([PredictionRequest(columns, deadline=1e-9)])[0], Unavailable)
    assert logged(world) == []


class Slow:
    """The log's disk: waits until it may go, then writes, or fails."""

    def __init__(self) -> None:
        self.go, self.fails, self.writes = threading.Event(), False, 0


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> Slow:
    """A disk that waits."""
    disk, append = Slow(), LogWriter.append_all

    def waiting(self: LogWriter, batches: Sequence[object]) -> object:
        disk.go.wait(10)
        disk.writes += 1
        if disk.fails:
            raise Unavailable("The disk is full.")
        return append(self, batches)  # type: ignore[arg-type]  # They are batches.

    monkeypatch.setattr(LogWriter, "append_all", waiting)
    return disk
