"""The predictor: what is answered is in the log, and the log says all that the answer was made from."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from datetime import timedelta

import numpy as np
import pytest

from everloop.features import service as features
from everloop.kernel.errors import Conflict, EverloopError, InvalidInput, NotFound, Unavailable
from everloop.serving import predictor as predicting
from everloop.serving.inferencelog import LogReader, LogWriter
from everloop.serving.predictor import EndpointPredictor
from everloop.serving.request import PredictionRequest
from tests.serving.conftest import HOUR, World, column, plain


def logged(world: World) -> list[dict[str, object]]:
    reader = LogReader(world.platform.resources.home, "default", "delay")
    return [row for batch in reader.since()[0] for row in batch.to_pylist()]


def keyed(*keys: object) -> dict[str, np.ndarray]:
    return plain(*range(len(keys))) | {"flight_id": np.array(keys, dtype=object)}


@pytest.fixture
def predictor(world: World) -> EndpointPredictor:
    """An endpoint whose model answers 0.1 + 0.01 x."""
    world.register(constant=0.1, factor=0.01)
    world.create()
    return world.predictor()


def test_every_row_gets_an_answer_in_order(predictor: EndpointPredictor) -> None:
    answer = predictor.predict(plain(1.0, 5.0, 3.0))
    assert answer.outputs.tolist() == pytest.approx([0.11, 0.15, 0.13])
    assert len(set(answer.prediction_ids)) == 3
    assert (answer.deployments.tolist(), answer.model_versions.tolist()) == ([1, 1, 1], [1, 1, 1])


def test_what_was_answered_is_in_the_log_with_all_that_it_was_made_from(
    world: World, predictor: EndpointPredictor
) -> None:
    answer = predictor.predict(plain(5.0), "r1")
    row = logged(world)[0]
    assert row["prediction_id"] == answer.prediction_ids[0] == row["key"]
    assert (row["request_id"], row["role"], row["probability"]) == ("r1", "stable", 1.0)
    assert (row["output"], row["feature:x"], row["feature:carrier"]) == (pytest.approx(0.15), 5.0, "AA")
    assert row["at"] == HOUR.timestamp() * 1e6
    assert row["latency_us"] > 0


def test_missing_values_are_logged_as_missing(world: World, predictor: EndpointPredictor) -> None:
    predictor.predict({"x": column(float("nan")), "carrier": np.array([None], dtype=object)})
    record = world.call("endpoints.predictions", name="delay")[0]
    assert record.features == {"x": None, "carrier": None}


@pytest.mark.parametrize(
    ("request_", "why"),
    [
        ({"x": column(1.0)}, "Missing: carrier"),
        (plain(1.0) | {"speed": column(1.0)}, "Unknown: speed"),
        (plain(1.0) | {"x": column(1.0, 2.0)}, "x has 2, carrier has 1"),
        (plain(1.0) | {"x": np.array(["fast"], dtype=object)}, "x must be float64"),
        (plain(1.0) | {"carrier": column(7.0)}, "carrier must be string"),
        ({"x": column(), "carrier": np.array([], dtype=object)}, "no rows"),
        ({}, "Missing: x, carrier"),
    ],
)
def test_a_wrong_request_is_refused_by_name_and_not_logged(
    world: World, predictor: EndpointPredictor, request_: Mapping[str, np.ndarray], why: str
) -> None:
    with pytest.raises(InvalidInput, match=why):
        predictor.predict(request_)
    assert logged(world) == []


def test_a_wrong_request_does_not_harm_its_neighbours(world: World, predictor: EndpointPredictor) -> None:
    requests = [PredictionRequest(plain(1.0)), PredictionRequest({}), PredictionRequest(plain(2.0))]
    first, wrong, last = predictor.predict_all(requests)
    assert isinstance(wrong, InvalidInput)
    assert [first.outputs.tolist(), last.outputs.tolist()] == [[pytest.approx(0.11)], [pytest.approx(0.12)]]
    assert len(logged(world)) == 2


def test_requests_of_one_turn_are_synced_once(predictor: EndpointPredictor, monkeypatch: pytest.MonkeyPatch) -> None:
    predictor.predict(plain(0.0))
    syncs: list[int] = []
    monkeypatch.setattr(predicting.LogWriter.__module__ + ".SegmentWriter.append", _counted(syncs))
    predictor.predict_all([PredictionRequest(plain(float(n))) for n in range(10)])
    assert syncs == [1]


def _counted(syncs: list[int]):  # type: ignore[no-untyped-def]
    from everloop.serving.segments import SegmentWriter

    append = SegmentWriter.append

    def counting(self: SegmentWriter, batches: list[object], at: object) -> object:
        syncs.append(len(batches))
        return append(self, batches, at)  # type: ignore[arg-type]

    return counting


def test_nothing_is_answered_that_could_not_be_logged(
    predictor: EndpointPredictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: LogWriter, batches: object) -> None:
        raise Unavailable("The disk is full.")

    with monkeypatch.context() as broken:
        broken.setattr(LogWriter, "append_all", full)
        with pytest.raises(Unavailable, match="full"):
            predictor.predict(plain(1.0), "r1")
    assert not predictor.predict(plain(1.0), "r1").replayed


def test_a_retried_request_gets_the_logged_answer(world: World, predictor: EndpointPredictor) -> None:
    first = predictor.predict(plain(1.0, 2.0), "r1")
    again = predictor.predict(plain(1.0, 2.0), "r1")
    assert again.replayed
    assert again.prediction_ids == first.prediction_ids
    assert again.outputs.tolist() == first.outputs.tolist()
    assert len(logged(world)) == 2


def test_a_restarted_process_knows_what_was_answered(world: World, predictor: EndpointPredictor) -> None:
    first = predictor.predict(plain(1.0, 2.0), "r1")
    again = world.predictor().predict(plain(1.0, 2.0), "r1")
    assert (again.replayed, again.prediction_ids) == (True, first.prediction_ids)


def test_another_process_learns_at_its_refresh_what_was_answered(world: World, predictor: EndpointPredictor) -> None:
    other = world.predictor()
    first = predictor.predict(plain(1.0), "r1")
    other.refresh()
    assert other.predict(plain(1.0), "r1").prediction_ids == first.prediction_ids


def test_one_request_twice_in_a_turn_is_logged_once(world: World, predictor: EndpointPredictor) -> None:
    one, other = predictor.predict_all([PredictionRequest(plain(1.0), "r1")] * 2)
    assert one.prediction_ids == other.prediction_ids
    assert len(logged(world)) == 1


def test_another_request_with_the_same_id_is_a_conflict(world: World, predictor: EndpointPredictor) -> None:
    assert predictor.predict(plain(1.0), "1").outputs.tolist() == [pytest.approx(0.11)]
    for one in (predictor, world.predictor()):
        with pytest.raises(Conflict, match="Another request"):
            one.predict(plain(2.0), "1")
    assert len(logged(world)) == 1


def test_requests_without_an_id_are_each_a_request(world: World, predictor: EndpointPredictor) -> None:
    predictor.predict(plain(1.0))
    assert not predictor.predict(plain(1.0)).replayed
    assert len(logged(world)) == 2


def test_features_are_read_by_key_as_of_the_moment(world: World, service: str) -> None:
    world.register(service=service, input="airport_weather.wind", factor=0.01)
    world.create()
    predictor = world.predictor()
    assert [field.name for field in predictor.routing.inputs] == ["origin", "distance"]
    request = {"distance": column(1.0, 1.0, 1.0), "origin": np.array(["LGA", "JFK", "???"], dtype=object)}
    assert predictor.predict(request, at=HOUR).outputs.tolist() == pytest.approx([0.2, 0.1, 0.0])
    late = predictor.predict(request, at=HOUR + timedelta(hours=3, microseconds=1))
    assert late.outputs.tolist() == [0.0, 0.0, 0.0]


def test_the_log_has_the_features_that_were_read_and_the_keys(world: World, service: str) -> None:
    world.register(service=service, input="airport_weather.wind", factor=0.01)
    world.create()
    world.predictor().predict({"distance": column(7.0), "origin": np.array(["LGA"], dtype=object)}, at=HOUR)
    record = world.call("endpoints.predictions", name="delay")[0]
    assert record.features == {"airport_weather.wind": 20.0, "distance": 7.0, "origin": "LGA"}
    assert record.entities == {"origin": "LGA"}


def test_what_is_read_online_is_what_the_join_would_have_said(world: World, service: str) -> None:
    import pyarrow as pa

    from everloop.features.pointintime import join

    world.register(service=service, input="airport_weather.wind", factor=1.0)
    world.create()
    origins = ["JFK", "LGA", "JFK", "EWR"]
    request = {"distance": column(1.0, 2.0, 3.0, 4.0), "origin": np.array(origins, dtype=object)}
    online = world.predictor().predict(request, at=HOUR).outputs
    with world.platform.session().begin() as unit:
        pinned = features.pin(unit, service)
        rows = pa.table(
            {"origin": origins, "distance": [1.0] * 4, "at": pa.array([HOUR] * 4, pa.timestamp("us", "UTC"))}
        )
        offline = join(unit, rows, "at", pinned).column("airport_weather.wind").to_numpy()
    assert online.tolist() == np.nan_to_num(offline).tolist()


def test_labels_are_joined_by_the_label_key(world: World) -> None:
    world.register()
    world.create(label_key="flight_id")
    predictor = world.predictor()
    predictor.predict(keyed("UA1", "AA2"))
    predictor.feedback([_label("AA2")])
    records = world.call("endpoints.predictions", name="delay")
    found = {record.key: world.call("endpoints.prediction", name="delay", id=record.id).label for record in records}
    assert found == {"UA1": None, "AA2": 1.0}


def _label(key: str):  # type: ignore[no-untyped-def]
    from everloop.serving.entities import Label

    return Label(key, 1.0)


def test_a_row_without_a_key_is_known_by_its_predictions_id(world: World) -> None:
    world.register()
    world.create(label_key="flight_id")
    answer = world.predictor().predict(keyed("UA1", None, ""))
    assert [row["key"] for row in logged(world)] == ["UA1", *answer.prediction_ids[1:]]


def test_a_unit_stays_with_its_variant_while_the_canary_grows(world: World) -> None:
    world.register(constant=0.1)
    world.create(label_key="flight_id")
    world.canary(20, constant=0.9)
    keys = [f"flight {number}" for number in range(500)]
    predictor = world.predictor()
    first = predictor.predict(keyed(*keys)).deployments == 2
    world.traffic((1, 50, "stable"), (2, 50, "canary"))
    predictor.refresh()
    second = predictor.predict(keyed(*keys)).deployments == 2
    assert 60 < first.sum() < 140 < 200 < second.sum() < 300
    assert second[first].all()


def test_answers_of_several_variants_come_in_the_requests_order(world: World) -> None:
    world.register(constant=0.0, factor=1.0)
    world.create(label_key="flight_id")
    world.canary(40, constant=1000.0, factor=1.0)
    answer = world.predictor().predict(keyed(*map(str, range(200))))
    expected = np.arange(200) + np.where(answer.deployments == 2, 1000.0, 0.0)
    assert answer.outputs.tolist() == expected.tolist()
    assert set(answer.model_versions.tolist()) == {1, 2}


def test_the_chance_of_the_assignment_is_logged(world: World) -> None:
    world.register()
    world.create(label_key="flight_id")
    world.canary(25)
    world.predictor().predict(keyed(*map(str, range(100))))
    assert {(row["role"], row["probability"]) for row in logged(world)} == {("stable", 0.75), ("canary", 0.25)}


def test_a_shadow_sees_every_row_and_answers_none(world: World) -> None:
    world.register(constant=0.1)
    world.create()
    world.call("endpoints.deploy", name="delay", version=world.register(constant=0.9))
    world.traffic((1, 100, "stable"), (2, 100, "shadow"))
    answer = world.predictor().predict(plain(1.0, 2.0), "r1")
    assert answer.outputs.tolist() == [0.1, 0.1]
    rows = logged(world)
    assert [(row["role"], row["output"]) for row in rows] == [("stable", 0.1)] * 2 + [("shadow", 0.9)] * 2
    assert len({row["prediction_id"] for row in rows}) == 4
    assert world.predictor().predict(plain(1.0, 2.0), "r1").prediction_ids == answer.prediction_ids


@pytest.mark.parametrize("broken", [{"raises": True}, {"nan_over": -1e300}])
def test_a_canary_that_fails_costs_nobody_an_answer(world: World, broken: dict[str, object]) -> None:
    world.register(constant=0.1)
    world.create(label_key="flight_id")
    world.canary(50, **broken)
    keys = [str(number) for number in range(40)]
    answer = world.predictor().predict(keyed(*keys), "r1")
    assert answer.outputs.tolist() == [0.1] * 40
    failed = [row for row in logged(world) if row["role"] == "canary"]
    assert 0 < len(failed) < 40
    assert all(np.isnan(row["output"]) for row in failed)
    assert [row["key"] for row in logged(world)[:40]] == keys
    assert world.predictor().predict(keyed(*keys), "r1").prediction_ids == answer.prediction_ids


def test_a_canary_that_fails_on_some_rows_answers_the_others(world: World) -> None:
    world.register(constant=0.1)
    world.create(label_key="flight_id")
    world.canary(50, constant=0.9, nan_over=10.0)
    answer = world.predictor().predict(keyed(*map(str, range(40))))
    assert set(answer.outputs.tolist()) == {0.1, 0.9}
    assert set(answer.outputs[11:].tolist()) == {0.1}


def test_a_stable_model_that_raises_is_an_error_and_is_logged_as_one(world: World) -> None:
    world.register(raises=True)
    world.create()
    predictor = world.predictor()
    with pytest.raises(EverloopError, match="Version 1 of model 'delay' failed") as caught:
        predictor.predict(plain(1.0), "r1")
    assert caught.value.status == 500
    assert np.isnan(logged(world)[0]["output"])


def test_a_request_that_failed_is_tried_anew(world: World) -> None:
    world.register(raises=True)
    world.create()
    predictor = world.predictor()
    with pytest.raises(EverloopError):
        predictor.predict(plain(1.0), "r1")
    world.traffic(
        (world.call("endpoints.deploy", name="delay", version=world.register(constant=0.5)).revision, 100, "stable")
    )
    for one in (predictor, world.predictor()):
        one.refresh()
        assert one.predict(plain(1.0), "r1").outputs.tolist() == [0.5]


def test_a_refresh_swaps_the_traffic_in(world: World, predictor: EndpointPredictor) -> None:
    world.canary(100 - 1e-4, constant=0.9)
    assert predictor.predict(plain(1.0)).outputs.tolist() == [pytest.approx(0.11)]
    assert predictor.refresh() == 2
    assert predictor.predict(plain(1.0)).outputs.tolist() == [0.9]


def test_a_refresh_that_fails_leaves_the_old_traffic_in_force(
    world: World, predictor: EndpointPredictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(*arguments: object) -> None:
        raise NotFound("The store has nothing there.")

    monkeypatch.setattr(predicting, "load_routing", gone)
    with pytest.raises(NotFound):
        predictor.refresh()
    assert predictor.predict(plain(1.0)).outputs.tolist() == [pytest.approx(0.11)]


def test_the_traffic_is_refreshed_in_the_background(
    world: World, predictor: EndpointPredictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(predicting, "REFRESH_SECONDS", 0.01)
    predictor.start()
    world.canary(50)
    for _ in range(500):
        if predictor.routing.endpoint.revision == 2:
            break
        threading.Event().wait(0.01)
    predictor.close()
    assert predictor.routing.endpoint.revision == 2


def test_swaps_under_concurrent_requests_lose_none(world: World) -> None:
    world.register(constant=0.1)
    world.create(label_key="flight_id")
    world.call("endpoints.deploy", name="delay", version=world.register(constant=0.9))
    predictor = world.predictor()
    answers: dict[str, list[str]] = {}

    def ask(thread: int) -> None:
        for number in range(40):
            keys = [f"{thread}-{number}-{row}" for row in range(5)]
            answers[keys[0]] = predictor.predict(keyed(*keys), keys[0]).prediction_ids

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for percent in range(10, 90, 10):
        world.traffic((1, 100 - percent, "stable"), (2, percent, "canary"))
        predictor.refresh()
    for thread in threads:
        thread.join()
    ids = [row["prediction_id"] for row in logged(world)]
    assert len(ids) == len(set(ids)) == 4 * 40 * 5
    assert sorted(ids) == sorted(prediction for found in answers.values() for prediction in found)


def test_a_hundred_thousand_rows_are_one_request(world: World, predictor: EndpointPredictor) -> None:
    answer = predictor.predict({"x": np.arange(100_000.0), "carrier": np.array(["AA"] * 100_000, dtype=object)})
    assert answer.outputs[-1] == pytest.approx(0.1 + 999.99)
    assert world.call("endpoints.prediction", name="delay", id=answer.prediction_ids[77_777]).features["x"] == 77_777
