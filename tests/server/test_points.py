"""Packed points over HTTP: durable when they are answered, refused whole, counted by their writer."""

from __future__ import annotations

import pytest
from starlette.testclient import TestClient

from everloop.app.platform import Platform
from everloop.server import points
from everloop.tracking.entities import MetricPoint
from everloop.tracking.points import pack, points_of


@pytest.fixture
def run(platform: Platform) -> str:
    found: str = platform.call("runs.start", {"experiment": "trial"}).id
    return found


def segment(*steps: int, key: str = "loss") -> bytes:
    return pack(points_of([MetricPoint(key, step / 3, step) for step in steps]))


def steps(platform: Platform, run: str, key: str = "loss") -> list[int]:
    return [point.step for point in platform.call("runs.history", {"id": run, "key": key})]


def test_segments_are_there_when_they_are_answered(http: TestClient, platform: Platform, run: str) -> None:
    answer = http.post(f"/api/v1/runs/{run}/points", content=segment(1, 2) + segment(3, key="auc") + segment(4))
    assert (answer.status_code, answer.content) == (204, b"")
    assert (steps(platform, run), steps(platform, run, "auc")) == ([1, 2, 4], [3])


def test_a_write_that_is_sent_again_counts_once(http: TestClient, platform: Platform, run: str) -> None:
    for sequence in ("1", "1", "2"):
        told = {"x-everloop-writer": "laptop", "x-everloop-sequence": sequence}
        assert http.post(f"/api/v1/runs/{run}/points", content=segment(int(sequence)), headers=told).status_code == 204
    assert steps(platform, run) == [1, 2]
    assert http.get(f"/api/v1/runs/{run}/writers/laptop").json() == 2


@pytest.mark.parametrize(
    "body",
    [b"x", segment(1)[:-1], segment(1) + b"x", segment(1)[:30] + b"\0" + segment(1)[31:]],
    ids=["short", "cut", "followed", "changed"],
)
def test_a_damaged_body_is_refused_whole(http: TestClient, platform: Platform, run: str, body: bytes) -> None:
    answer = http.post(f"/api/v1/runs/{run}/points", content=segment(7) + body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_input")
    assert steps(platform, run) == []


def test_an_unknown_or_ended_run_takes_nothing(http: TestClient, platform: Platform, run: str) -> None:
    assert http.post(f"/api/v1/runs/{'0' * 32}/points", content=segment(1)).status_code == 404
    platform.call("runs.finish", {"id": run})
    assert http.post(f"/api/v1/runs/{run}/points", content=segment(1)).status_code == 409


@pytest.mark.parametrize("sequence", ["x", "-1", "1.5", "9" * 20, "²"])
def test_a_sequence_that_is_no_number_is_refused(http: TestClient, run: str, sequence: str) -> None:
    told = {"x-everloop-writer": "laptop", "x-everloop-sequence": sequence.encode()}
    assert http.post(f"/api/v1/runs/{run}/points", content=segment(1), headers=told).status_code == 400


def test_a_body_without_end_is_refused_on_the_way(http: TestClient, run: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(points, "LARGEST", 1_000)
    answer = http.post(f"/api/v1/runs/{run}/points", content=iter([b"x" * 600] * 3))
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "too_large")


def test_few_bytes_that_claim_very_many_points_are_refused_while_they_are_unpacked(
    http: TestClient, platform: Platform, run: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(points, "MOST", 5)
    answer = http.post(f"/api/v1/runs/{run}/points", content=segment(1, 2, 3) * 2 + b"never reached")
    assert (answer.status_code, answer.json()["error"]["message"]) == (400, "The segments hold more than 5 points.")
    assert steps(platform, run) == []
