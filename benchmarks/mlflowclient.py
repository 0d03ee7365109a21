"""MLflow's unmodified client: calls a second against a server that answers at once, ours, and MLflow's own.

The server that answers at once reads each request and sends a fixed answer: what is left is the client. MLflow's own is
measured where `EVERLOOP_BENCH_MLFLOW` names its executable (`…/bin/mlflow` of a virtual environment that has it).
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING
from urllib.request import urlopen

import msgspec

from benchmarks import scratch
from benchmarks.harness import Figure
from everloop.cli.demo.children import free_port

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Metric

ROUNDS = 5
CALLS = {"log_metric": 200, "log_batch of 1,000": 10, "get_run": 200}
READY_SECONDS = 120.0
_NULL = """
import asyncio, json
info = {"run_id": "0" * 32, "run_uuid": "0" * 32, "experiment_id": "0", "status": "RUNNING", "start_time": 1,
        "artifact_uri": "mlflow-artifacts:/0", "lifecycle_stage": "active", "run_name": "x", "user_id": "x"}
run = json.dumps({"run": {"info": info, "data": {}, "inputs": {}}}).encode()
def answer(body):
    return b"HTTP/1.1 200 OK\\r\\ncontent-type: application/json\\r\\ncontent-length: %d\\r\\n\\r\\n" % len(body) + body
RUN, EMPTY = answer(run), answer(b"{}")
class Null(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport, self.missing, self.data = transport, 0, b""
    def data_received(self, data):
        self.data += data
        head, found, body = self.data.partition(b"\\r\\n\\r\\n")
        if not found:
            return
        at = head.lower().find(b"content-length:")
        length = int(head[at + 15 :].split(b"\\r\\n")[0]) if at >= 0 else 0
        if len(body) < length:
            return
        self.data = body[length:]
        self.transport.write(RUN if b"/runs/create" in head or b"/runs/get" in head else EMPTY)
async def main():
    server = await asyncio.get_running_loop().create_server(Null, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()
try:
    import uvloop
    uvloop.run(main())
except ImportError:
    asyncio.run(main())
"""


def run() -> Sequence[Figure]:
    """Milliseconds a call; `theirs` is the server that answers at once, and MLflow's own where there is one."""
    with _null() as null, _ours() as ours:
        servers = {"ours": ours, "a server that answers at once": null}
        mlflow = os.environ.get("EVERLOOP_BENCH_MLFLOW")
        if mlflow:
            with _mlflow(mlflow) as theirs:
                return _figures(measure(servers | {"MLflow 3.17.2": theirs}))
        return _figures(measure(servers))


def measure(servers: dict[str, str], rounds: int = ROUNDS) -> dict[str, dict[str, float]]:
    """Seconds of each call with each server, in turns; the median over the rounds."""
    os.environ |= {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"}
    from mlflow import MlflowClient

    clients = {name: MlflowClient(url) for name, url in servers.items()}
    runs = {name: client.create_run("0").info.run_id for name, client in clients.items()}
    taken: dict[str, dict[str, list[float]]] = {name: {call: [] for call in CALLS} for name in servers}
    for number in range(rounds):
        for name, client in clients.items():
            for call, work in _calls(client, runs[name], number).items():
                started = time.perf_counter()
                for step in range(CALLS[call]):
                    work(step)
                taken[name][call].append((time.perf_counter() - started) / CALLS[call])
    return {name: {call: median(all) for call, all in calls.items()} for name, calls in taken.items()}


def _calls(client: MlflowClient, run: str, number: int) -> dict[str, Callable[[int], object]]:
    return {
        "log_metric": lambda step: client.log_metric(run, "loss", 0.5, step=number * 1000 + step),
        "log_batch of 1,000": lambda step: client.log_batch(run, _batch(number * 1000 + step)),
        "get_run": lambda _: client.get_run(run),
    }


def _batch(start: int) -> list[Metric]:
    from mlflow.entities import Metric

    now = int(time.time() * 1000)
    return [Metric(f"m{number % 10}", number / 7, now, start * 1000 + number) for number in range(1000)]


def _figures(taken: dict[str, dict[str, float]]) -> list[Figure]:
    return [
        Figure(what=f"MLflow's client: {call}", unit="ms", ours=cost * 1e3, peer=peer, theirs=taken[peer][call] * 1e3)
        for call, cost in taken["ours"].items()
        for peer in taken
        if peer != "ours"
    ]


@contextmanager
def _null() -> Iterator[str]:
    with _process([sys.executable, "-c", _NULL]) as line:
        yield f"http://127.0.0.1:{int(line)}"


@contextmanager
def _ours() -> Iterator[str]:
    words = ["server", "--port", "0", "--home", str(scratch.folder() / "home"), "--json"]
    with _process([sys.executable, "-m", "everloop", *words]) as line:
        yield str(msgspec.json.decode(line)["address"])


@contextmanager
def _mlflow(executable: str) -> Iterator[str]:
    folder, port = scratch.folder(), free_port()
    words = [
        "server",
        "--port",
        str(port),
        "--backend-store-uri",
        f"sqlite:///{folder / 'mlflow.db'}",
        "--workers",
        "1",
    ]
    environment = os.environ | {"MLFLOW_DISABLE_TELEMETRY": "true"}
    log = (folder / "log").open("w")
    command = [executable, *words, "--artifacts-destination", str(folder / "artifacts")]
    running = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log, start_new_session=True)
    try:
        _wait(f"http://127.0.0.1:{port}/health", running, folder / "log")
        yield f"http://127.0.0.1:{port}"
    finally:
        os.killpg(running.pid, 15)
        running.wait()
        log.close()


def _wait(url: str, running: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + READY_SECONDS
    while time.monotonic() < end and running.poll() is None:
        try:
            with urlopen(url, timeout=5):
                return
        except OSError:
            time.sleep(0.2)
    raise RuntimeError(f"MLflow's server did not come up: {log.read_text()[-500:]}")


@contextmanager
def _process(command: Sequence[str]) -> Iterator[str]:
    running = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert running.stdout is not None
    try:
        yield running.stdout.readline()
    finally:
        running.kill()
        running.communicate()
