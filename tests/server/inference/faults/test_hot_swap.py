"""Versions that come and go, and workers that are killed, while clients ask without a pause."""

from __future__ import annotations

import os
import random
import signal
import threading
from collections.abc import Mapping
from pathlib import Path

import pytest

from everloop.registry import service as models
from everloop.registry.save import load_model
from everloop.serving.inferencelog import LogReader
from tests.server.inference.faults.faulty import Faulty, Workers, move, open_faulty, register, until
from tests.server.inference.faults.load import Clients, Told
from tests.serving.processes import CARRIERS, ORIGINS, WEATHER, Process, furnish, open_home, tensors

pytestmark = pytest.mark.slow
PATH = "/v2/models/delay/infer"
ROWS = 2
PATIENT = {"EVERLOOP_SERVING_SLO_MS": "10000"}
"""On a machine that is busy with other tests nobody is to be refused for being late."""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with an endpoint and two deployments, and a model with an alias."""
    home = tmp_path_factory.mktemp("swap") / "home"
    furnish(home)
    platform = open_faulty(home)
    register(platform, "doubling", *(Faulty(float(version)) for version in range(1, 5)))
    move(platform, "doubling", "champion", 1)
    platform.close()
    return home


def asked(number: int) -> dict[str, object]:
    """A request with an id of its own."""
    return {"id": f"r{number}", "inputs": tensors(ROWS, number % 5000)}


def shares(percent: int) -> list[dict[str, object]]:
    """The traffic with so much of it on the second deployment."""
    if percent in (0, 100):
        return [{"deployment": 2 if percent else 1, "percent": 100}]
    return [{"deployment": 1, "percent": 100 - percent}, {"deployment": 2, "percent": percent, "role": "canary"}]


def expected(home: Path, told: list[Told]) -> dict[tuple[int, int], float]:
    """What each version gives for each row that was asked, in a process of its own."""
    import numpy as np

    platform = open_home(home)
    numbers = sorted({one.number % 5000 + row for one in told for row in range(ROWS)})
    columns: Mapping[str, np.ndarray] = {
        **{f"airport.{name}": np.array([1.0 + n % 3 for n in numbers]) for name in WEATHER},
        "origin": np.array([ORIGINS[n % 3] for n in numbers], dtype=object),
        "carrier": np.array([CARRIERS[n % 4] for n in numbers], dtype=object),
        "distance": np.array([500.0 + n for n in numbers]),
        "hour": np.array([n % 24 for n in numbers]),
    }
    found: dict[tuple[int, int], float] = {}
    for version in (1, 2):
        with platform.session().begin(write=False) as unit:
            predictor = load_model(unit, models.version(unit, "late", version).trained)
        scores = predictor.predict(columns)
        found |= {(version, number): float(score) for number, score in zip(numbers, scores, strict=True)}
    platform.close()
    return found


def check(home: Path, told: list[Told]) -> None:
    """Every answer is, bit for bit, what the version gives that it names."""
    right = expected(home, told)
    for one in told:
        assert one.status == 200, one.text
        versions, scores = one.outputs["model_version"], next(iter(one.outputs.values()))
        for row in range(ROWS):
            assert scores[row] == right[int(str(versions[row])), one.number % 5000 + row]


def logged(home: Path, prefix: str = "r") -> list[str]:
    """The ids of the predictions in the log."""
    batches = LogReader(home, "default", "delay").since()[0]
    return [one for batch in batches for one in batch.column("prediction_id").to_pylist()]


def ids(told: list[Told]) -> set[str]:
    """The ids of the predictions that were acknowledged."""
    return {str(one) for answer in told for one in answer.outputs.get("prediction_id", [])}


def test_traffic_that_moves_and_moves_back_loses_and_changes_no_answer(home: Path) -> None:
    platform = open_home(home)
    platform.call("endpoints.set_traffic", {"name": "delay", "shares": shares(0)})
    with (
        Process(home, ["delay", "--workers", "2"], **PATIENT) as process,
        Clients(process.address, PATH, asked) as clients,
    ):
        for percent in (5, 50, 100, 50, 0):
            clients.wait(40)
            moved = platform.call("endpoints.set_traffic", {"name": "delay", "shares": shares(percent)})
            assert process.http.post("/refresh").json() == {"revision": moved.revision}
            in_force = len(clients.told)
        clients.wait(40)
        rolled_back = clients.told[in_force + 4 :]
    platform.close()
    assert not clients.broken
    check(home, clients.told)
    assert {version for one in rolled_back for version in one.outputs["model_version"]} == {1}
    assert {version for one in clients.told for version in one.outputs["model_version"]} == {1, 2}


def test_an_alias_that_moves_is_followed_without_a_lost_or_wrong_answer(home: Path) -> None:
    platform = open_faulty(home)

    def make(number: int) -> dict[str, object]:
        return {"inputs": [{"name": "x", "datatype": "FP64", "shape": [1], "data": [number % 997 + 1]}]}

    with (
        Workers(home, "models:/doubling@champion") as workers,
        Clients(workers.address, "/v2/models/doubling/infer", make) as clients,
    ):
        for version in (2, 3, 4, 1, 4):
            clients.wait(100)
            move(platform, "doubling", "champion", version)
            until(lambda version=version: clients.told[-1].version == str(version))
    platform.close()
    assert not clients.broken
    assert not clients.refused
    assert {told.version for told in clients.told} == {"1", "2", "3", "4"}
    assert all(told.outputs["y"] == [int(told.version) * (told.number % 997 + 1.0)] for told in clients.told)


def test_workers_that_are_killed_cost_what_was_under_way_and_the_log_has_each_answer_once(home: Path) -> None:
    before, chance = set(logged(home)), random.Random(11)

    def fresh(number: int) -> dict[str, object]:
        return asked(number) | {"id": f"killed-{number}"}  # No answer may be an earlier test's, out of the log.

    with (
        Process(home, ["delay", "--workers", "2"], **PATIENT) as process,
        Clients(process.address, PATH, fresh, count=6) as clients,
    ):
        for _ in range(5):
            clients.wait(60)
            os.kill(chance.choice(children(process.process.pid)), signal.SIGKILL)
            until(lambda: "2 of 2" in process.http.get("/readyz").text)
        clients.wait(60)
    assert len(clients.broken) <= 5 * 6
    check(home, clients.told)
    found = [one for one in logged(home) if one not in before]
    assert len(found) == len(set(found))
    assert ids(clients.told) <= set(found)


def test_a_supervisor_that_is_told_to_end_answers_what_was_asked(home: Path) -> None:
    with (
        Process(home, ["delay", "--workers", "2"], **PATIENT) as process,
        Clients(process.address, PATH, asked) as clients,
    ):
        clients.wait(60)
        process.process.send_signal(signal.SIGTERM)
        process.process.wait(20)
        threading.Event().wait(0.1)
        answered = len(clients.told)
    assert process.process.returncode == 0
    assert answered == len(clients.told)
    check(home, clients.told)


def test_workers_end_with_a_supervisor_that_is_killed(home: Path) -> None:
    with Process(home, ["delay", "--workers", "2"], **PATIENT) as process:
        pids = children(process.process.pid)
        process.kill()
        until(lambda: not any(Path(f"/proc/{pid}").exists() and is_running(pid) for pid in pids))


def children(pid: int) -> list[int]:
    """The processes that a process has started."""
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def is_running(pid: int) -> bool:
    """Whether it is no zombie."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
