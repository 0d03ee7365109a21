"""What answers when a model does not, what the log says of it, and that circuits open and close."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import cast

import numpy as np
import pytest

from everloop.kernel.clock import SimulatedClock
from everloop.kernel.errors import EverloopError, InvalidInput, Refused, Unavailable
from everloop.registry.entities import Field
from everloop.registry.flavor import Predictor
from everloop.registry.watch import ModelWatch
from everloop.serving.predictor import EndpointPredictor
from everloop.serving.request import Answer, PredictionRequest
from tests.server.conftest import client_of
from tests.serving.conftest import Formula, World, plain

CONSTANT = {"kind": "constant", "value": 0.2}
QUICK = {"rate": 0.5, "calls": 2, "least": 2, "open_seconds": 60, "probes": 1}


def serve(world: World, configuration: dict[str, object], **formula: object) -> EndpointPredictor:
    """An endpoint whose version 2 is the stable one; version 1 gives 0.1."""
    world.register(constant=0.1)
    world.create()
    version = world.register(**formula)
    made = world.call("endpoints.deploy", name="delay", version=version, configuration=configuration)
    world.traffic((made.revision, 100, "stable"))
    return world.predictor()


def logged(world: World) -> list[tuple[int, str, float | None]]:
    found = world.call("endpoints.predictions", name="delay")
    return [(one.deployment, one.role, one.output) for one in reversed(found)]


@pytest.mark.parametrize(
    ("fallback", "expected", "version"),
    [
        (CONSTANT, 0.2, 0),
        ({"kind": "rule", "expression": "0.9 if carrier == 'AA' and x > 1 else 0.3"}, 0.9, 0),
        ({"kind": "version"}, 0.1, 1),
    ],
)
def test_a_fallback_answers_what_the_model_fails_on(
    world: World, fallback: dict[str, object], expected: float, version: int
) -> None:
    answer = serve(world, {"fallback": fallback}, raises=True).predict(plain(3.0))
    assert answer.outputs.tolist() == [expected]
    assert answer.model_versions.tolist() == [version]
    assert answer.roles == ["fallback"]


def test_another_endpoint_may_be_the_fallback(world: World) -> None:
    world.register(constant=0.7)
    world.create("other")
    answer = serve(world, {"fallback": {"kind": "endpoint", "endpoint": "other"}}, raises=True).predict(plain(3.0))
    assert answer.outputs.tolist() == [0.7]


def test_only_the_rows_that_failed_are_answered_by_the_fallback(world: World) -> None:
    answer = serve(world, {"fallback": CONSTANT}, factor=0.1, nan_over=5).predict(plain(1.0, 9.0, 2.0))
    assert answer.outputs.tolist() == [0.1, 0.2, 0.2]
    assert answer.roles == ["stable", "fallback", "stable"]
    assert answer.deployments.tolist() == [2, 0, 2]


def test_nobody_hears_of_roles_while_the_model_answers(world: World) -> None:
    assert serve(world, {"fallback": CONSTANT}, constant=0.5).predict(plain(1.0)).roles is None


def test_the_log_keeps_the_fallbacks_answer_and_the_failure(world: World) -> None:
    serve(world, {"fallback": CONSTANT}, raises=True).predict(plain(1.0))
    assert sorted(logged(world)) == [(0, "fallback", 0.2), (2, "stable", None)]


def test_a_replayed_answer_says_again_that_a_fallback_gave_it(world: World) -> None:
    predictor = serve(world, {"fallback": CONSTANT}, raises=True)
    first, second = predictor.predict(plain(1.0), "one"), predictor.predict(plain(1.0), "one")
    assert second.replayed
    assert (second.outputs.tolist(), second.roles) == (first.outputs.tolist(), ["fallback"])


def test_a_circuit_leaves_a_failing_model_alone_and_tries_it_again(
    world: World, clock: SimulatedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    broken = [True]

    def predict(self: Formula, columns: dict[str, np.ndarray]) -> np.ndarray:
        asked.append(1)
        if broken[0]:
            raise RuntimeError("broken")
        return np.full(len(columns["x"]), 0.6)

    predictor = serve(world, {"fallback": CONSTANT, "circuit": QUICK}, constant=0.6)
    monkeypatch.setattr(Formula, "predict", predict)
    for _ in range(5):
        assert predictor.predict(plain(1.0)).outputs.tolist() == [0.2]
    assert len(asked) == 2
    broken[0] = False
    clock.advance(clock.now() + timedelta(seconds=61))
    assert predictor.predict(plain(1.0)).outputs.tolist() == [0.6]


def test_while_a_circuit_is_open_the_log_has_no_failures_that_were_none(world: World) -> None:
    predictor = serve(world, {"fallback": CONSTANT, "circuit": QUICK}, raises=True)
    for _ in range(4):
        predictor.predict(plain(1.0))
    assert [role for _, role, _ in logged(world)].count("fallback") == 4
    assert [role for _, role, _ in logged(world)].count("stable") == 2


def test_a_circuit_without_a_fallback_refuses_at_once(world: World) -> None:
    predictor = serve(world, {"circuit": QUICK}, raises=True)
    for _ in range(3):
        with pytest.raises(EverloopError, match="failed"):
            predictor.predict(plain(1.0))


def test_a_canary_that_is_left_alone_costs_nobody_an_answer(world: World) -> None:
    world.register(constant=0.1)
    world.create(label_key="carrier")
    made = world.call(
        "endpoints.deploy", name="delay", version=world.register(raises=True), configuration={"circuit": QUICK}
    )
    world.traffic((1, 1, "stable"), (made.revision, 99, "canary"))
    predictor = world.predictor()
    for _ in range(4):
        assert predictor.predict(plain(1.0)).outputs.tolist() == [0.1]
    assert [output for deployment, _, output in logged(world) if deployment == made.revision] == [None, None]


def test_a_move_of_the_traffic_closes_no_circuit(world: World) -> None:
    predictor = serve(world, {"fallback": CONSTANT, "circuit": QUICK}, raises=True)
    for _ in range(2):
        predictor.predict(plain(1.0))
    world.traffic((2, 99, "stable"), (1, 1, "canary"))
    predictor.refresh()
    guard = predictor.routing.stable.guard
    assert guard is not None
    assert guard.state == "open"


def test_a_model_that_hangs_is_answered_for_in_time_and_counted(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    from threading import Event

    go = Event()
    predictor = serve(world, {"fallback": CONSTANT, "timeout_ms": 30}, constant=0.6)
    assert predictor.predict(plain(1.0)).outputs.tolist() == [0.6]
    monkeypatch.setattr(Formula, "predict", lambda self, columns: go.wait(30))
    assert predictor.predict(plain(1.0)).outputs.tolist() == [0.2]
    assert predictor.hung == 1
    go.set()


def test_a_deployment_that_fails_on_its_warm_up_rows_is_not_swapped_in(world: World) -> None:
    world.register(constant=0.1)
    world.create()
    predictor = world.predictor()
    version = world.register(factor=1.0, nan_over=5)
    made = world.call(
        "endpoints.deploy", name="delay", version=version, configuration={"warm_up": [{"x": 9.0, "carrier": "AA"}]}
    )
    world.traffic((made.revision, 100, "stable"))
    with pytest.raises(Refused, match="warm-up"):
        predictor.refresh()
    assert predictor.predict(plain(1.0)).outputs.tolist() == [0.1]


def test_a_new_version_is_warm_before_it_meets_a_request(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[float] = []
    predictor = serve(world, {"warm_up": [{"x": 7.0}, {"x": 8.0}]}, constant=0.6)
    monkeypatch.setattr(Formula, "predict", lambda self, columns: seen.extend(columns["x"].tolist()) or columns["x"])
    world.predictor()
    assert seen == [7.0, 8.0]
    assert predictor.routing.stable.version == 2


def test_a_graph_answers_as_one_model_and_is_logged_with_its_inputs(world: World) -> None:
    world.register("other", input="y", factor=1.0, inputs=(Field("y", "float64"),))
    graph = {"kind": "ensemble", "members": [{"kind": "member"}, {"kind": "member", "model": "other"}]}
    predictor = serve(world, {"graph": graph}, factor=0.5)
    request = PredictionRequest(plain(1.0) | {"y": np.array([0.25])}, parameters={"trace": True})
    (answer,) = predictor.predict_all([request])
    assert isinstance(answer, Answer)
    assert answer.outputs.tolist() == [pytest.approx(0.375)]
    assert answer.traces == [{"0.self@2": 0.5, "1.other@1": 0.25}]
    record = world.call("endpoints.predictions", name="delay")[0]
    assert record.features == {"x": 1.0, "carrier": "AA", "y": 0.25}


def test_more_rows_than_are_explained_are_refused(world: World) -> None:
    predictor = serve(world, {"explain_rows": 1}, factor=0.5)
    refused, told = predictor.predict_all(
        [PredictionRequest(plain(1.0, 2.0), explain=True), PredictionRequest(plain(1.0), explain=True)]
    )
    assert isinstance(refused, InvalidInput)
    assert isinstance(told, Answer)
    assert told.explanations is not None
    assert {name: values.tolist() for name, values in told.explanations.items()} == {"x": [0.0], "carrier": [0.0]}


def test_what_a_fallback_answered_is_traced_and_shown_like_any_other(world: World) -> None:
    answer = serve(world, {"fallback": CONSTANT}, raises=True).predict(plain(1.0))
    trace = world.call("loops.trace", what=answer.prediction_ids[0])
    assert trace.steps[0].facts["met"].startswith("the fallback variant")


def test_its_page_is_shown_too(world: World) -> None:
    answer = serve(world, {"fallback": CONSTANT}, raises=True).predict(plain(1.0))
    page = client_of(world.platform).get(f"/endpoints/delay/predictions/{answer.prediction_ids[0]}")
    assert page.status_code == 200
    assert "fallback" in page.text


class Quarantine:
    """A watch that has every model in quarantine."""

    def admit(self, digest: str, load: Callable[[], Predictor]) -> Predictor:
        inner = load()

        class Refusing:
            inputs = inner.inputs

            def predict(self, columns: object) -> np.ndarray:
                raise Unavailable("It is in quarantine: it ended 3 workers in 60 s.")

        return cast(Predictor, Refusing())


def test_a_stable_version_in_quarantine_is_unavailable_and_says_why(world: World) -> None:
    world.register(constant=0.1)
    world.create()
    world.platform.resources.ports.provide(ModelWatch, Quarantine)
    with pytest.raises(Unavailable, match="ended 3 workers"):
        world.predictor().predict(plain(1.0))


def test_a_fallback_answers_for_a_version_in_quarantine(world: World) -> None:
    world.platform.resources.ports.provide(ModelWatch, Quarantine)
    assert serve(world, {"fallback": CONSTANT}).predict(plain(3.0)).outputs.tolist() == [0.2]
