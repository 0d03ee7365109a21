"""`up`, `controller` and `serve` as processes."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import httpx
import msgspec
import pytest

from everloop.app import processes
from everloop.app.platform import Platform
from tests.app.test_doctor import free_port
from tests.cli.conftest import Everloop
from tests.sdk.scenario import model, objects

QUIET = {name: value for name, value in os.environ.items() if not name.startswith("EVERLOOP_")}
PATIENCE = 40.0
T = TypeVar("T")


class Process:
    """A command that runs for long, and what it has printed on a file."""

    def __init__(self, home: Path, *words: str) -> None:
        self.log = home.parent / f"{words[0]}.log"
        command = [sys.executable, "-m", "everloop", *words, "--home", str(home)]
        with self.log.open("wb") as log:
            self.running = subprocess.Popen(command, stdout=log, stderr=log, env=QUIET)

    def stop(self) -> int:
        """Ask it to stop; its exit code."""
        self.running.send_signal(signal.SIGTERM)
        return self.running.wait(PATIENCE)

    def address_of(self, what: str) -> str:
        """Where something says in the output that it listens."""
        return until(lambda: next((line.split()[-1] for line in self.lines() if f"{what}: http" in line), ""))

    def lines(self) -> list[str]:
        """What it has printed."""
        return self.log.read_text().splitlines()


Start = Callable[..., Process]


@pytest.fixture
def start(home: Path) -> Iterator[Start]:
    """`start(*words)`: an `everloop …` that runs until the end of the test."""
    started: list[Process] = []

    def begin(*words: str) -> Process:
        started.append(Process(home, *words))
        return started[-1]

    yield begin
    for process in started:
        process.running.kill()
        process.running.wait()


def until(look: Callable[[], T]) -> T:
    """What `look` gives as soon as it gives something."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if found := look():
            return found
        time.sleep(0.05)
    raise AssertionError("it did not happen")


def alive(url: str) -> bool:
    """Whether a process answers."""
    try:
        return httpx.get(f"{url}/healthz").is_success
    except httpx.TransportError:
        return False


def children_of(process: Process) -> list[int]:
    """The processes that a process started."""
    return [
        int(word)
        for word in Path(f"/proc/{process.running.pid}/task/{process.running.pid}/children").read_text().split()
    ]


def command_of(process: int) -> list[str]:
    """The words that a process was started with."""
    return Path(f"/proc/{process}/cmdline").read_text().split("\0")


@pytest.fixture
def endpoint(platform: Platform) -> str:
    """The name of an endpoint of the home."""
    for data in objects():
        platform.resources.store.put(data)
    platform.call("models.register", {"name": "late", "trained": model()[0]})
    platform.call("models.set_alias", {"name": "late", "alias": "champion", "version": 1})
    return str(platform.call("endpoints.create", {"name": "late", "model": "late"}).name)


@pytest.mark.slow
class TestUp:
    def test_everything_runs_and_everything_stops(self, start: Start, endpoint: str) -> None:
        port = free_port()
        up = start("up", "--port", str(port))
        for what in ("server", "controller", f"serving {endpoint}"):
            assert alive(up.address_of(what))
        assert up.address_of("server") == f"http://127.0.0.1:{port}"
        children = children_of(up)
        assert up.stop() == 0
        assert not any(Path(f"/proc/{child}").exists() for child in children)

    def test_it_does_not_start_where_it_cannot_listen(self, start: Start) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            up = start("up", "--port", str(taken.getsockname()[1]), "--json")
            assert up.running.wait(PATIENCE) == 9
        assert "Address already in use" in msgspec.json.decode(up.log.read_bytes())["error"]["message"]

    def test_an_endpoint_has_as_many_workers_as_its_deployment_has_replicas(
        self, start: Start, endpoint: str, platform: Platform, everloop: Everloop
    ) -> None:
        made = platform.call("endpoints.deploy", {"name": endpoint, "resources": {"replicas": 2}})
        shares = [{"deployment": made.revision, "percent": 100}]
        platform.call("endpoints.set_traffic", {"name": endpoint, "shares": shares})
        up = start("up", "--port", "0")
        url = up.address_of(f"serving {endpoint}")
        until(lambda: "2 of 2 take requests" in everloop("status").out)
        assert httpx.get(f"{url}/v2/health/ready").status_code == 200
        (found,) = everloop("status", "--json").json["serving"]
        assert (found["what"], found["wanted"], len(found["workers"])) == (endpoint, 2, 2)

    def test_everything_takes_a_free_port_for_0(self, start: Start, endpoint: str) -> None:
        up = start("up", "--port", "0")
        assert all(alive(up.address_of(what)) for what in ("server", f"serving {endpoint}"))

    def test_the_endpoint_that_is_killed_comes_back_where_it_was_and_knows_its_answers(
        self, start: Start, endpoint: str
    ) -> None:
        up = start("up", "--port", "0")
        url = up.address_of(f"serving {endpoint}")
        columns = {"wind": [0.9, 0.1], "hour": [0.5, 0.5]}
        inputs = [{"name": n, "shape": [2], "datatype": "FP64", "data": values} for n, values in columns.items()]
        asked = {"id": "request-1", "inputs": inputs}
        before = httpx.post(f"{url}/v2/models/{endpoint}/infer", json=asked)
        assert before.status_code == 200, before.text
        os.kill(next(child for child in children_of(up) if "serve" in command_of(child)), signal.SIGKILL)
        until(lambda: not alive(url))
        until(lambda: alive(url))
        assert httpx.post(f"{url}/v2/models/{endpoint}/infer", json=asked).json() == before.json()

    def test_the_controller_that_is_killed_comes_back(self, start: Start, platform: Platform) -> None:
        up = start("up", "--port", "0")
        up.address_of("controller")
        os.kill(next(child for child in children_of(up) if "controller" in command_of(child)), signal.SIGKILL)
        until(lambda: sum("controller: http" in line for line in up.lines()) == 2)

    def test_a_process_that_is_killed_comes_back(self, start: Start, platform: Platform) -> None:
        up = start("up", "--port", str(free_port()))
        url = up.address_of("server")
        os.kill(children_of(up)[0], signal.SIGKILL)
        until(lambda: any("starting it again" in line for line in up.lines()))
        until(lambda: alive(url))

    def test_nothing_is_left_when_it_is_killed_itself(self, start: Start, platform: Platform) -> None:
        up = start("up", "--port", str(free_port()))
        url = up.address_of("server")
        up.running.kill()
        until(lambda: not alive(url))

    def test_an_endpoint_that_is_made_later_is_served_too(
        self, start: Start, platform: Platform, request: pytest.FixtureRequest
    ) -> None:
        up = start("up", "--port", str(free_port()))
        up.address_of("server")
        name = request.getfixturevalue("endpoint")
        assert alive(up.address_of(f"serving {name}"))


@pytest.mark.slow
class TestServe:
    def test_a_model_is_served_by_its_alias(self, start: Start, endpoint: str) -> None:
        serve = start("serve", "models:/late@champion", "--port", "0")
        url = serve.address_of("models:/late@champion")
        asked = {"inputs": {"wind": [0.9, 0.1], "hour": [0.5, 0.5]}}
        found = httpx.post(f"{url}/invocations", json=asked)
        assert len(found.json()["predictions"]) == 2, found.text
        assert serve.stop() == 0

    def test_an_endpoint_that_is_not_there_is_not_found(self, start: Start, platform: Platform) -> None:
        serve = start("serve", "nothing", "--port", "0", "--json")
        assert serve.running.wait(PATIENCE) == 3
        assert msgspec.json.decode(serve.log.read_bytes())["error"]["code"] == "not_found"

    def test_two_endpoints_are_too_many(self, everloop: Everloop) -> None:
        ran = everloop("serve", "one", "two")
        assert ran.code == 2
        assert "one endpoint" in ran.err


@pytest.mark.slow
class TestController:
    def test_it_answers_and_stops_cleanly(self, start: Start, platform: Platform) -> None:
        controller = start("controller", "--interval", "0.1")
        assert httpx.get(f"{controller.address_of('controller')}/readyz").json()["ready"]
        assert controller.stop() == 0


@pytest.mark.parametrize("name", processes.ENTRIES)
def test_every_process_has_something_that_runs_it(name: str) -> None:
    assert callable(processes.entry(name))
