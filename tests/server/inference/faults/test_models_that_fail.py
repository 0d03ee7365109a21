"""A model that raises, hangs, leaks or ends the process: a worker is lost at most, and nothing else suffers."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.server.inference.faults.faulty import Faulty, Workers, move, open_faulty, register, until
from tests.server.inference.faults.load import Clients

pytestmark = pytest.mark.slow
FAULTS = ("raise", "sleep", "hold", "leak", "exit", "segfault")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with a sound model, and one for each fault."""
    home = tmp_path_factory.mktemp("faults") / "home"
    platform = open_faulty(home)
    register(platform, "sound", Faulty(2.0))
    for fault in FAULTS:
        register(platform, fault, Faulty(3.0, fault))
    register(platform, "moved", Faulty(3.0, "exit"), Faulty(4.0))
    move(platform, "moved", "champion", 1)
    platform.close()
    return home


def body(number: int) -> dict[str, object]:
    return {"inputs": [{"name": "x", "datatype": "FP64", "shape": [1], "data": [number % 997]}]}


@pytest.mark.parametrize("fault", ["sleep", "hold", "exit", "segfault"])
def test_a_model_that_ends_or_holds_a_worker_costs_no_more_than_what_was_under_way_there(
    home: Path, fault: str
) -> None:
    with Workers(home, "models:/sound/1", f"models:/{fault}/1") as workers:
        with Clients(workers.address, "/v2/models/sound/infer", body, 3) as clients:
            clients.wait(50)
            assert workers.poison(fault) is None
            until(lambda: workers.restarts() == 1)
            clients.wait(50)
        assert workers.ask(fault, 5.0).json()["outputs"][0]["data"] == [15.0]
        until(lambda: len(workers.pids()) == 2)
    assert not clients.refused
    assert len(clients.broken) <= 3
    assert all(told.outputs["y"] == [2.0 * (told.number % 997)] for told in clients.told)


def test_a_model_that_raises_costs_its_own_request(home: Path) -> None:
    with Workers(home, "models:/raise/1") as workers:
        refused = workers.poison("raise", timeout=10)
        assert refused is not None
        assert refused.status_code == 500
        assert workers.ask("raise", 5.0).json()["outputs"][0]["data"] == [15.0]
        assert workers.restarts() == 0


def test_a_model_that_crashes_again_and_again_is_not_run_any_more(home: Path) -> None:
    with Workers(home, "models:/sound/1", "models:/segfault/1", crashes=3) as workers:
        for crash in range(1, 4):
            until(lambda: workers.poison("segfault") is None)
            until(lambda crash=crash: workers.restarts() == crash)
        until(lambda: workers.ask("segfault", 5.0).status_code == 503)
        assert "is in quarantine: it ended 3 workers in 60 s" in workers.ask("segfault", 5.0).json()["error"]
        assert workers.ask("sound", 5.0).json()["outputs"][0]["data"] == [10.0]
        readiness = workers.get("/readyz")
        assert readiness.status_code == 503
        assert "is in quarantine" in readiness.text
        assert workers.get("/v2/health/ready").status_code == 503
        workers.process.send_signal(signal.SIGHUP)
        until(lambda: workers.ask("segfault", 5.0).status_code == 200)
        assert workers.get("/readyz").status_code == 200
        assert workers.get("/v2/health/ready").status_code == 200


def test_another_version_answers_in_the_place_of_one_in_quarantine(home: Path) -> None:
    platform = open_faulty(home)
    with Workers(home, "models:/moved@champion", crashes=1) as workers:
        workers.poison("moved")
        until(lambda: workers.ask("moved", 5.0).status_code == 503)
        move(platform, "moved", "champion", 2)
        until(lambda: all(workers.ask("moved", 5.0).status_code == 200 for _ in range(10)))
        assert workers.ask("moved", 5.0).json()["outputs"][0]["data"] == [20.0]
    platform.close()


def test_a_worker_that_leaks_is_replaced_without_a_lost_request(home: Path) -> None:
    with Workers(home, "models:/sound/1", "models:/leak/1", memory_mb=200, hang_seconds=10) as workers:
        before = set(workers.pids())
        with Clients(workers.address, "/v2/models/sound/infer", body, 4) as clients:
            clients.wait(50)
            until(lambda: workers.ask("leak", 1000.0) and workers.restarts() >= 1)
            until(lambda: len(workers.pids()) == 2 and set(workers.pids()) != before)
            clients.wait(50)
    assert not clients.refused
    assert not clients.broken, workers.errors.read_text()


def test_what_cannot_begin_says_why_and_ends(home: Path) -> None:
    with pytest.raises(AssertionError) as caught:
        Workers(home, "models:/nobody/1")
    assert "nobody" in str(caught.value)
