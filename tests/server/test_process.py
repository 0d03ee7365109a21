"""The server as a process: it starts, says where, stops when told, and loses nothing when killed."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import msgspec
import pytest

from everloop.app.platform import Platform
from everloop.kernel.errors import Unavailable
from everloop.server.process import address_of, listen

QUIET = {name: value for name, value in os.environ.items() if not name.startswith("EVERLOOP_")}


@contextmanager
def process(home: Path, *words: str) -> Iterator[subprocess.Popen[str]]:
    """`everloop …` on a home folder; it is killed at the end of the block if it still runs."""
    command = [sys.executable, "-m", "everloop", *words, "--home", str(home), "--json"]
    running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=QUIET)
    try:
        yield running
    finally:
        running.kill()
        running.communicate()


def address(running: subprocess.Popen[str]) -> str:
    """Where a process says that it listens."""
    assert running.stdout is not None
    return str(msgspec.json.decode(running.stdout.readline())["address"])


def test_a_port_that_is_taken_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(Unavailable, match="Cannot listen") as caught:
        listen("127.0.0.1", taken.getsockname()[1])
    assert "--port" in caught.value.hint


@pytest.mark.parametrize(("host", "port"), [("256.1.1.1", 0), ("127.0.0.1", 70_000), ("192.0.2.1", 0)])
def test_an_address_that_is_not_ours_is_named(host: str, port: int) -> None:
    with pytest.raises(Unavailable, match="Cannot listen"):
        listen(host, port)


def test_port_zero_takes_a_free_one_and_says_which() -> None:
    with listen("127.0.0.1", 0) as listening:
        assert address_of(listening) == f"http://127.0.0.1:{listening.getsockname()[1]}"


@pytest.mark.slow
class TestServer:
    def test_it_answers_and_stops_cleanly_on_sigterm(self, home: Path) -> None:
        with process(home, "server", "--port", "0") as server:
            url = address(server)
            assert httpx.get(f"{url}/readyz").json()["ready"]
            server.send_signal(signal.SIGTERM)
            assert server.wait(10) == 0
            assert server.stderr is not None
            assert server.stderr.read() == ""

    def test_it_answers_without_numpy_which_only_searches_and_charts_need(self, home: Path) -> None:
        with process(home, "server", "--port", "0") as server:
            assert httpx.get(f"{address(server)}/readyz").json()["ready"]
            assert "/numpy/" not in Path(f"/proc/{server.pid}/maps").read_text()

    def test_what_it_acknowledged_survives_kill_9(self, home: Path) -> None:
        with process(home, "server", "--port", "0") as server:
            httpx.post(f"{address(server)}/api/v1/experiments", json={"name": "delay"}).raise_for_status()
            server.kill()
            server.wait()
        with process(home, "server", "--port", "0") as server:
            assert httpx.get(f"{address(server)}/api/v1/experiments/delay").status_code == 200

    def test_many_at_once_are_all_answered_and_the_chain_holds(self, home: Path) -> None:
        with process(home, "server", "--port", "0") as server, ThreadPoolExecutor(32) as many:
            url = f"{address(server)}/api/v1"
            http = httpx.Client(timeout=60)
            answers = many.map(lambda n: http.post(f"{url}/experiments", json={"name": f"e{n}"}), range(100))
            assert {answer.status_code for answer in answers} == {200}
            assert http.get(f"{url}/audit/verification").json() | {"head": ""} == {
                "entries": 100,
                "intact": True,
                "head": "",
                "first_broken": None,
                "reason": "",
            }

    def test_beyond_this_machine_it_does_not_start_without_authentication(self, home: Path) -> None:
        with process(home, "server", "--port", "0", "--host", "0.0.0.0") as server:
            _, errors = server.communicate(timeout=30)
            assert server.returncode == 10
            assert msgspec.json.decode(errors)["error"]["code"] == "misconfigured"

    def test_on_a_port_that_is_taken_it_does_not_start(self, home: Path) -> None:
        taken = listen("127.0.0.1", 0)
        with taken, process(home, "server", "--port", str(taken.getsockname()[1])) as server:
            server.communicate(timeout=30)
            assert server.returncode == 9

    def test_it_works_beside_a_platform_in_another_process(self, platform: Platform, home: Path) -> None:
        with process(home, "server", "--port", "0") as server:
            url = address(server)
            platform.call("experiments.create", {"name": "here"})
            httpx.post(f"{url}/api/v1/experiments", json={"name": "there"}).raise_for_status()
            assert [found["name"] for found in httpx.get(f"{url}/api/v1/experiments").json()] == ["here", "there"]
        assert len(platform.call("experiments.list", {})) == 2
