"""A server and its database die in the middle of everything, while clients try again: all is there, and once."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from everloop.tracking.entities import MetricPoint
from everloop.tracking.points import pack, points_of
from tests.server.test_process import address, process
from tests.servers import crash, free_port, postgresql

pytestmark = pytest.mark.slow
API = "/api/2.0/mlflow"
CLIENTS, STEPS = 3, 12


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def home(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    """A home for servers, and the URL of its database server if it has one."""
    folder, url = tmp_path_factory.mktemp("faults") / "home", ""
    folder.mkdir()
    with ExitStack() as stack:
        if request.param == "postgresql":
            url = stack.enter_context(postgresql())
            with psycopg.connect(f"{url}/postgres", autocommit=True) as connection:
                connection.execute("CREATE DATABASE everloop")
            (folder / "everloop.toml").write_text(f'database_url = "{url}/everloop"')
        yield folder, url


class Client:
    """Sends each write until it is acknowledged, as our clients and MLflow's do."""

    def __init__(self, url: str, number: int) -> None:
        self.http = httpx.Client(base_url=url, timeout=20)
        self.number = number
        self.run = self.sent("POST", "/api/v1/runs", json={"experiment": "e", "id": f"{number:032x}"}).json()["id"]
        self.done = 0

    def sent(self, method: str, path: str, **content: Any) -> httpx.Response:
        """The answer, sooner or later: 503 and a lost connection are for trying again, nothing else is."""
        while True:
            try:
                answer = self.http.request(method, path, **content)
            except httpx.TransportError:
                time.sleep(0.05)
                continue
            if answer.status_code != 503:
                assert answer.is_success, answer.text
                return answer
            time.sleep(0.05)

    def work(self) -> None:
        """Write something of each kind, step by step."""
        for step in range(1, STEPS + 1):
            point = pack(points_of([MetricPoint("native", float(step), step, None)], 1_700_000_000_000_000))
            counted = {"x-everloop-writer": "w", "x-everloop-sequence": str(step)}
            self.sent("POST", f"/api/v1/runs/{self.run}/points", content=point, headers=counted)
            metric = {"run_id": self.run, "key": "mlflow", "value": step, "timestamp": step, "step": step}
            self.sent("POST", f"{API}/runs/log-metric", json=metric)
            self.sent("POST", f"{API}/runs/log-parameter", json={"run_id": self.run, "key": f"p{step}", "value": "x"})
            key = {"idempotency-key": f"{self.number}-{step}"}
            self.sent("POST", "/api/v1/experiments", json={"name": f"x{self.number}-{step}"}, headers=key)
            self.done = step

    def steps(self, key: str) -> list[int]:
        """The steps that the server has of a metric."""
        found = self.sent("GET", f"{API}/metrics/get-history", params={"run_id": self.run, "metric_key": key})
        return [int(point["step"]) for point in found.json()["metrics"]]


def work_through(clients: list[Client], faults: Sequence[int], happen: Callable[[], None]) -> None:
    """Let clients work, and faults happen when all have come to certain steps."""
    with ThreadPoolExecutor(len(clients)) as threads:
        working = [threads.submit(client.work) for client in clients]
        for step in faults:
            while min(client.done for client in clients) < step and not any(it.done() for it in working):
                time.sleep(0.01)
            happen()
        for future in working:
            future.result()


def check(clients: list[Client]) -> None:
    """What was acknowledged is there, once."""
    for client in clients:
        for key in ("native", "mlflow"):
            assert client.steps(key) == list(range(1, STEPS + 1)), key
        run = client.sent("GET", f"/api/v1/runs/{client.run}").json()
        assert set(run["parameters"]) == {f"p{step}" for step in range(1, STEPS + 1)}
    events = clients[0].sent("GET", "/api/v1/audit/entries", params={"kind": "experiments.created", "limit": 1000})
    made = [entry["subject"] for entry in events.json() if "/x" in entry["subject"]]
    assert len(made) == len(set(made))
    assert clients[0].sent("GET", "/api/v1/audit/verification").json()["intact"]


def test_a_server_that_is_killed_again_and_again_loses_nothing_and_does_nothing_twice(home: tuple[Path, str]) -> None:
    port = str(free_port())
    with ExitStack() as stack:
        servers = [stack.enter_context(process(home[0], "server", "--port", port))]
        url = address(servers[0])
        clients = [Client(url, number) for number in range(1, CLIENTS + 1)]

        def kill() -> None:
            servers[-1].kill()
            servers[-1].wait()
            servers.append(stack.enter_context(process(home[0], "server", "--port", port)))
            address(servers[-1])

        work_through(clients, (2, 6), kill)
        check(clients)


def test_a_database_that_crashes_is_found_again_by_a_server_that_goes_on(home: tuple[Path, str]) -> None:
    if not home[1]:
        pytest.skip("SQLite has no server that could crash")
    with process(home[0], "server", "--port", "0") as server:
        url = address(server)
        clients = [Client(url, number) for number in range(11, 11 + CLIENTS)]

        work_through(clients, (2, 6), lambda: crash(home[1]))
        check(clients)
        server.terminate()
        assert server.wait(20) == 0
        assert server.stderr is not None
        assert "Traceback" not in server.stderr.read()
