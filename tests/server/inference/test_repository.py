"""The registry as a model repository: versions come and go in a process that serves."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.serving.processes import Process, furnish, open_home, tensors

pytestmark = pytest.mark.slow
LATE = "/v2/repository/models/late"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A furnished home: the model `late` in two versions, and the endpoint `delay`."""
    folder = tmp_path_factory.mktemp("repository") / "home"
    furnish(folder)
    return folder


@pytest.fixture
def process(home: Path) -> Iterator[Process]:
    """A process that serves the first version."""
    with Process(home, ["models:/late/1"]) as started:
        yield started


def states(process: Process, **wanted: object) -> list[tuple[str, str, str]]:
    response = process.http.post("/v2/repository/index", json=wanted)
    return [(one["name"], one["version"], one["state"]) for one in response.json()]


def asked(process: Process) -> str:
    """The version that answers where none is named."""
    weather = [{"name": f"airport.weather_{n}", "datatype": "FP64", "shape": [1], "data": [1.0]} for n in range(8)]
    rows = [one for one in tensors(1) if one["name"] != "flight_id"]
    response = process.http.post("/v2/models/late/infer", json={"inputs": [*weather, *rows]})
    return str(response.json().get("model_version", response.status_code))


def test_the_newest_version_takes_the_place_of_the_others(process: Process) -> None:
    assert states(process) == [("late", "1", "READY")]
    assert process.http.post(f"{LATE}/load").json() == {}
    assert states(process) == [("late", "2", "READY")]
    assert asked(process) == "2"


def test_a_version_by_its_number_comes_beside_the_others(process: Process) -> None:
    process.http.post(f"{LATE}/load", json={"parameters": {"version": "2"}})
    assert states(process) == [("late", "1", "READY"), ("late", "2", "READY")]
    assert asked(process) == "1"
    process.http.post(f"{LATE}/unload", json={"parameters": {"version": "1"}})
    assert asked(process) == "2"


def test_what_is_unloaded_is_in_the_index_and_not_served(process: Process) -> None:
    process.http.post(f"{LATE}/unload")
    assert states(process) == [("late", "2", "UNAVAILABLE")]
    assert states(process, ready=True) == []
    assert asked(process) == "404"
    assert process.http.get("/v2/health/ready").status_code == 200


@pytest.mark.parametrize(
    ("path", "body", "status", "why"),
    [
        ("load", {"parameters": {"version": "9"}}, 404, "no version 9"),
        ("load", {"parameters": {"version": "newest"}}, 400, "no version"),
        ("load", {"parameters": {"config": "{}"}}, 400, "config"),
        ("load", [], 400, "body"),
        ("unload", {"parameters": {"version": "2"}}, 404, "version 2"),
    ],
)
def test_what_cannot_be_is_refused_and_changes_nothing(
    process: Process, path: str, body: object, status: int, why: str
) -> None:
    response = process.http.post(f"{LATE}/{path}", json=body)
    assert response.status_code == status
    assert why in response.json()["error"]
    assert states(process) == [("late", "1", "READY")]


def test_a_model_that_nobody_registered_is_not_found(process: Process) -> None:
    assert process.http.post("/v2/repository/models/nothing/load").status_code == 404
    assert process.http.post("/v2/repository/models/nothing/unload").status_code == 404


def test_no_request_is_lost_while_versions_change(process: Process) -> None:
    answers: list[str] = []
    stop = threading.Event()

    def ask() -> None:
        while not stop.is_set():
            answers.append(asked(process))

    thread = threading.Thread(target=ask)
    thread.start()
    for number in range(6):
        process.http.post(f"{LATE}/load", json={"parameters": {"version": str(1 + (number + 1) % 2)}})
        process.http.post(f"{LATE}/unload", json={"parameters": {"version": str(1 + number % 2)}})
    stop.set()
    thread.join()
    assert set(answers) <= {"1", "2"}


def test_an_endpoint_stays_what_it_is(home: Path) -> None:
    with Process(home, ["delay"]) as endpoint:
        for path in ("delay/unload", "late/load"):
            response = endpoint.http.post(f"/v2/repository/models/{path}")
            assert response.status_code == 422
            assert "started with" in response.json()["error"]
        assert endpoint.infer(rows=1).status_code == 200


def test_who_may_only_read_may_not_load(home: Path) -> None:
    platform = open_home(home)
    platform.call("governance.grant", {"principal": "looker", "roles": ["reader"]})
    secret = platform.call("tokens.create", {"principal": "looker"}).secret
    platform.close()
    with Process(home, ["models:/late/1"], EVERLOOP_AUTHENTICATION="required") as guarded:
        guarded.http.headers["authorization"] = f"Bearer {secret}"
        assert guarded.http.post(f"{LATE}/load").status_code == 403
        assert guarded.http.post(f"{LATE}/unload").status_code == 403
        assert states(guarded) == [("late", "1", "READY")]


def test_statistics_count_requests_rows_and_failures(process: Process) -> None:
    asked(process)
    process.http.post("/v2/models/late/infer", json={"inputs": tensors(1)})
    [found] = process.http.get("/v2/models/late/stats").json()["model_stats"]
    assert (found["version"], found["inference_count"], found["execution_count"]) == ("1", 1, 1)
    stats = found["inference_stats"]
    assert (stats["success"]["count"], stats["fail"]["count"]) == (1, 1)
    assert stats["success"]["ns"] > 0
