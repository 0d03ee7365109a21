"""Servers as processes: started, asked until the answer is right, and what their whole trees use."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from benchmarks import scratch
from benchmarks.children import ROOT
from benchmarks.harness import Cost
from benchmarks.serving import model
from benchmarks.serving.model import Body
from everloop.cli.demo.children import free_port
from everloop.packaging.entities import Package

READY_SECONDS = 120.0
GRACE_SECONDS = 10.0
TOLERANCE = 1e-6
_TICK = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGESIZE")


class Server:
    """A running server; `ready` is what it cost from its start to its first right answer."""

    def __init__(self, process: subprocess.Popen[bytes], port: int) -> None:
        self.process = process
        self.port = port
        self.ready = Cost(0.0, 0.0)

    def cpu(self) -> float:
        """The CPU seconds that its processes have used."""
        return sum(sum(map(int, fields[11:13])) for fields in self._tree()) / _TICK

    def memory(self) -> float:
        """The resident megabytes of its processes."""
        return sum(int(fields[21]) for fields in self._tree()) * _PAGE / 1e6

    def ask(self, path: str, body: Body, timeout: float = 10.0) -> tuple[int, bytes]:
        """The answer to one request on a connection of its own: status and body."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            connection.request("POST", path, body.content, body.headers)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def _tree(self) -> list[list[str]]:
        """What the kernel says of the process and all below it."""
        states: dict[int, list[str]] = {}
        for path in Path("/proc").glob("[0-9]*/stat"):
            try:
                states[int(path.parent.name)] = path.read_text().rpartition(")")[2].split()
            except OSError:
                continue  # It has ended since.
        family = {self.process.pid}
        while grown := {pid for pid, fields in states.items() if int(fields[1]) in family} - family:
            family |= grown
        return [states[pid] for pid in family if pid in states]


@contextmanager
def running(
    command: Sequence[str], environment: Mapping[str, str], path: str, body: Body, right: float
) -> Iterator[Server]:
    """A server that has given its first right answer. `{port}` in the command and BENCH_PORT are its port."""
    port = free_port()
    words = [word.format(port=port) for word in command]
    surroundings = os.environ | {"OMP_NUM_THREADS": "1", "BENCH_PORT": str(port)} | environment
    surroundings.pop("PYTHONDONTWRITEBYTECODE", None)  # Nobody compiles a server anew at each of its starts.
    started = time.perf_counter()
    process = subprocess.Popen(
        words, cwd=ROOT, env=surroundings, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    server = Server(process, port)
    try:
        _wait(server, path, body, right)
        server.ready = Cost(server.cpu(), time.perf_counter() - started)
        yield server
    finally:
        _stop(server)


def everloop(*references: str, home: Path) -> tuple[Sequence[str], Mapping[str, str]]:
    """How our server is started with models of a home, or an endpoint, and its environment.

    Others refuse nothing, however late they are; ours must not either where only its speed is measured.
    """
    place = str(Path(sys.executable).with_name("everloop"))
    return (place, "serve", *references, "--port", "{port}"), {
        "EVERLOOP_HOME": str(home),
        "EVERLOOP_SERVING_SLO_MS": "1000",
    }


@contextmanager
def ours() -> Iterator[Server]:
    """Our server of the model that all serve."""
    command, environment = everloop(f"models:/{model.NAME}/1", home=model.home())
    one, right = model.trained().rows[:1], model.trained().scores[0]
    with running(command, environment, f"/v2/models/{model.NAME}/infer", model.tensors(one), right) as server:
        yield server


@contextmanager
def packed() -> Iterator[Server]:
    """Our server of the same model out of a package: it has no catalog."""
    one, right = model.trained().rows[:1], model.trained().scores[0]
    command = (sys.executable, "-m", "everloop.server.inference.standalone", str(_package()), "--port", "{port}")
    with running(command, {}, f"/v2/models/{model.NAME}/infer", model.tensors(one), right) as server:
        yield server


@cache
def _package() -> Path:
    platform = scratch.platform()
    model.registered(platform, 0)
    made = platform.call("packages.build", {"model": model.NAME, "form": "archive"})
    assert isinstance(made, Package)
    path = scratch.folder() / "bench.pyz"
    path.write_bytes(platform.session().store.get(made.digest))
    return path


def _wait(server: Server, path: str, body: Body, right: float) -> None:
    end = time.monotonic() + READY_SECONDS
    said = b"nothing"
    while time.monotonic() < end and server.process.poll() is None:
        try:
            status, said = server.ask(path, body)
            if status == 200 and abs(model.scores_in(said)[0] - right) < TOLERANCE:
                return
        except (OSError, HTTPException, ValueError):
            pass
        time.sleep(0.005)
    raise RuntimeError(f"{server.process.args!r} did not answer rightly: {said[:500]!r}")


def _stop(server: Server) -> None:
    """End the process and whatever it leaves behind in its session."""
    server.process.terminate()
    try:
        server.process.wait(GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        server.process.kill()
        server.process.wait()
    try:
        os.killpg(server.process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return
