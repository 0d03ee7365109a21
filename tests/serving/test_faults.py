"""Faults of the log's disk and of its process: what was acknowledged is there once, what was not may come again."""

from __future__ import annotations

import random
import resource
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import numpy as np
import pytest

from everloop.kernel.errors import Unavailable
from everloop.serving.entities import LogPolicy
from everloop.serving.inferencelog import LogReader
from tests.serving.conftest import World, plain
from tests.serving.processes import Process, furnish, tensors


def many(rows: int) -> dict[str, np.ndarray]:
    return {"x": np.arange(float(rows)), "carrier": np.array(["AA"] * rows, dtype=object)}


def logged(home: Path) -> list[str]:
    reader = LogReader(home, "default", "delay")
    return [one for batch in reader.since()[0] for one in batch.column("prediction_id").to_pylist()]


@contextmanager
def files_up_to(size: int) -> Iterator[None]:
    """No file of this process may grow over a size: the disk is full for whoever tries."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_disk_that_is_full_costs_what_did_not_fit_and_nothing_else(world: World) -> None:
    world.register(constant=0.1)
    world.create()
    predictor, home = world.predictor(), world.platform.resources.home
    answered = predictor.predict(plain(1.0)).prediction_ids[:]
    with files_up_to(1 << 20):
        with pytest.raises(Unavailable, match="too large"):
            predictor.predict(many(20_000), "r1")
        answered = [*answered, *predictor.predict(plain(2.0)).prediction_ids]
    assert logged(home) == answered
    after = predictor.predict(many(20_000), "r1")
    assert not after.replayed
    assert logged(home) == [*answered, *after.prediction_ids]


def test_a_policy_may_answer_what_no_disk_takes(world: World) -> None:
    world.register(constant=0.1)
    world.create()
    world.call("endpoints.set_log_policy", name="delay", policy=LogPolicy(failure="answer"))
    predictor = world.predictor()
    with files_up_to(1 << 16):
        assert predictor.predict(plain(1.0, 2.0)).outputs.tolist() == [0.1, 0.1]
    assert logged(world.platform.resources.home) == []
    predictor.predict(plain(1.0))
    assert len(logged(world.platform.resources.home)) == 1


@pytest.mark.slow
def test_what_many_clients_were_told_before_a_kill_is_logged_once(tmp_path: Path) -> None:
    home = tmp_path / "home"
    furnish(home)
    chance, told = random.Random(5), list[str]()
    for round_ in range(3):
        with Process(home, ["delay"]) as process:
            process.infer()
            clients = [threading.Thread(target=_ask, args=(process.address, round_, n, told)) for n in range(8)]
            for client in clients:
                client.start()
            before = len(told)
            while len(told) < before + 40 and process.process.poll() is None:
                threading.Event().wait(chance.uniform(0.01, 0.05))
            process.kill()
            for client in clients:
                client.join()
    found = logged(home)
    assert len(told) > 100
    assert len(found) == len(set(found))
    assert set(told) <= set(found)


def _ask(address: str, round_: int, client: int, told: list[str]) -> None:
    """Ask until nobody answers, and note what was acknowledged."""
    with httpx.Client(base_url=address, timeout=30) as http:
        for number in range(100_000):
            body = {"id": f"{round_}-{client}-{number}", "inputs": tensors(2, number)}
            try:
                response = http.post("/v2/models/delay/infer", json=body)
            except httpx.TransportError:
                return
            if response.is_success:
                told += response.json()["outputs"][1]["data"]
