"""An endpoint's process that is killed again and again: nothing acknowledged is lost, nothing retried is doubled."""

from __future__ import annotations

import random
import threading
from pathlib import Path

import httpx
import pytest

from everloop.serving.inferencelog import LogReader
from everloop.serving.labellog import LabelReader
from tests.serving.processes import Process, furnish, open_home, tensors

pytestmark = pytest.mark.slow
ROWS = 5


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A furnished home."""
    furnish(tmp_path / "home")
    return tmp_path / "home"


def rows(home: Path) -> list[dict[str, object]]:
    return [row for batch in LogReader(home, "default", "delay").since()[0] for row in batch.to_pylist()]


def ask(process: Process, number: int) -> list[str]:
    """Ask about a request's own flights; the ids of the predictions."""
    body = {"id": f"request {number}", "inputs": tensors(ROWS, number * ROWS)}
    response = process.http.post("/v2/models/delay/infer", json=body)
    response.raise_for_status()
    return list(response.json()["outputs"][1]["data"])


def test_retries_after_kills_get_the_logged_answers_and_double_nothing(home: Path) -> None:
    answered: dict[int, list[str]] = {}
    number, chance = 0, random.Random(3)
    for _ in range(6):
        with Process(home, ["delay"]) as process:
            for known in list(answered)[-5:]:
                assert ask(process, known) == answered[known]
            process.infer()
            killer = threading.Timer(chance.uniform(0.05, 0.4), process.process.kill)
            killer.start()
            try:
                while True:
                    answered[number] = ask(process, number)
                    number += 1
            except httpx.TransportError:
                killer.join()
    with Process(home, ["delay"]) as process:
        answered[number] = ask(process, number)
        for known, ids in answered.items():
            assert ask(process, known) == ids
    logged = [row["prediction_id"] for row in rows(home) if str(row["request_id"]).startswith("request ")]
    assert number > 20
    assert logged == [one for ids in answered.values() for one in ids]


def test_labels_that_were_acknowledged_survive_and_retries_double_nothing(home: Path) -> None:
    sent, chance = 0, random.Random(4)
    for _ in range(4):
        with Process(home, ["delay"]) as process:
            process.infer()
            killer = threading.Timer(chance.uniform(0.05, 0.4), process.process.kill)
            killer.start()
            try:
                while True:
                    labels = [{"key": f"flight {sent}", "value": 1.0}]
                    process.http.post("/feedback", json={"labels": labels}).raise_for_status()
                    sent += 1
            except httpx.TransportError:
                killer.join()
    found = [
        key for batch in LabelReader(home, "default", "delay").since()[0] for key in batch.column("key").to_pylist()
    ]
    assert found[:sent] == [f"flight {number}" for number in range(sent)]
    assert len(found) == len(set(found)) <= sent + 1


def test_traffic_that_moves_under_load_loses_no_request(home: Path) -> None:
    platform = open_home(home)
    with Process(home, ["delay"]) as process:
        answers: dict[int, list[str]] = {}
        stop = threading.Event()

        def keep_asking(start: int) -> None:
            number = start
            with httpx.Client(base_url=process.address, timeout=30) as http:
                while not stop.is_set():
                    body = {"id": f"request {number}", "inputs": tensors(ROWS, number * ROWS)}
                    response = http.post("/v2/models/delay/infer", json=body)
                    answers[number] = response.json()["outputs"][1]["data"] if response.is_success else [response.text]
                    number += 1

        threads = [threading.Thread(target=keep_asking, args=(start,)) for start in (0, 100_000, 200_000)]
        for thread in threads:
            thread.start()
        for percent in (5, 25, 50, 75):
            shares = [
                {"deployment": 1, "percent": 100 - percent},
                {"deployment": 2, "percent": percent, "role": "canary"},
            ]
            moved = platform.call("endpoints.set_traffic", {"name": "delay", "shares": shares})
            assert process.http.post("/refresh").json() == {"revision": moved.revision}
        stop.set()
        for thread in threads:
            thread.join()
    platform.close()
    logged = rows(home)
    assert sorted(str(row["prediction_id"]) for row in logged) == sorted(one for ids in answers.values() for one in ids)
    assert {row["deployment"] for row in logged} == {1, 2}


def test_two_processes_of_one_endpoint_write_side_by_side(home: Path) -> None:
    with Process(home, ["delay"]) as one, Process(home, ["delay"]) as other:
        ids = [
            ask(process, number) for number in range(5) for process in (one, other) if number % 2 == (process is one)
        ]
        ids += [ask(other, 100)]
        assert other.http.post("/refresh").is_success
    found = {str(row["prediction_id"]) for row in rows(home)}
    assert found == {one for answer in ids for one in answer}
