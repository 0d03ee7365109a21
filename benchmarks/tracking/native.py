"""Our own client and server: what a training loop feels, points over HTTP, and how soon and how lean a server is up."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from statistics import median

import msgspec

from benchmarks import scratch
from benchmarks.harness import Figure, Side, compare, meter_of

CALLS = 100_000
STARTS = 3
_LOOP = """
import json, os, sys, time
from pathlib import Path
import everloop
calls = int(sys.argv[1])
with everloop.run("bench") as run:
    best = None
    for _ in range(5):
        log, begun = run.log_metric, time.thread_time()
        for step in range(calls):
            log("loss", 0.5, step)
        cpu = (time.thread_time() - begun) / calls
        run.flush()
        best = cpu if best is None else min(best, cpu)
    begun = time.perf_counter()
    run.sync()
    rest = time.perf_counter() - begun
print(json.dumps({"log_metric": best, "sync": rest}))
"""


class Served:
    """A server of ours in a process of its own, asked over one connection that is kept."""

    def __init__(self, process: subprocess.Popen[str], address: str) -> None:
        host, port = address.removeprefix("http://").split(":")
        self.process = process
        self.address = address
        self._connection = HTTPConnection(host, int(port), timeout=60.0)

    def ask(self, method: str, path: str, body: bytes | None = None) -> bytes:
        """The body of an answer."""
        kind = {} if body is None else {"Content-Type": "application/json"}
        self._connection.request(method, path, body, kind)
        answer = self._connection.getresponse()
        text = answer.read()
        if answer.status >= 300:
            raise RuntimeError(f"{path} was answered with {answer.status}: {text[:300]!r}")
        return text

    def resident(self) -> float:
        """The megabytes that its processes hold, each shared page counted by its share."""
        lines = Path(f"/proc/{self.process.pid}/smaps_rollup").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024


@contextmanager
def ours(home: Path | None = None) -> Iterator[Served]:
    """A running `everloop server` with a home of its own."""
    words = ["server", "--port", "0", "--home", str(home or scratch.folder() / "home"), "--json"]
    command = [sys.executable, "-m", "everloop", *words]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert process.stdout is not None
    try:
        yield Served(process, str(msgspec.json.decode(process.stdout.readline())["address"]))
    finally:
        process.terminate()
        process.communicate()


def logged(environment: dict[str, str]) -> dict[str, float]:
    """Seconds of one `log_metric` and of the last `sync`, as a training in a process of its own feels them."""
    command = [sys.executable, "-c", _LOOP, str(CALLS)]
    ended = subprocess.run(command, env=os.environ | environment, capture_output=True, text=True, check=True)
    return msgspec.json.decode(ended.stdout.splitlines()[-1], type=dict[str, float])


def served() -> Sequence[Figure]:
    """What only processes of their own can show."""
    return [*_caller(), *_over_http(), *_up()]


def _caller() -> list[Figure]:
    cost = logged({"EVERLOOP_HOME": str(scratch.folder() / "home")})["log_metric"]
    points: list[object] = []
    begun = time.thread_time()
    for step in range(CALLS):
        points.append(("loss", 0.5, step))
    bare = (time.thread_time() - begun) / CALLS
    what = "log_metric of a run, CPU of the caller"
    return [
        Figure(what=what, unit="µs", ours=cost * 1e6, peer="list.append of a tuple", theirs=bare * 1e6),
        Figure(what=what, unit="µs", ours=cost * 1e6, peer="to reach", theirs=0.5),
    ]


def _over_http() -> list[Figure]:
    """Points over HTTP: our packed segments, and what MLflow's `log-batch` sends, CPU of the server a point."""
    from benchmarks.tracking.paths import SEGMENT, segment
    from everloop.tracking.points import pack

    with ours() as server:
        meter = meter_of(server.process.pid)
        created = server.ask("POST", "/api/2.0/mlflow/runs/create", b'{"experiment_id": "0"}')
        run = msgspec.json.decode(created)["run"]["info"]["run_id"]
        packed = [pack(segment(SEGMENT, number)) for number in reversed(range(4))]
        small, batch = packed[0], _batch(run)
        body = Side("JSON of the batch, parsed", lambda: [msgspec.json.decode(batch) for _ in range(20)])
        native = compare(
            "100,000 points as a packed segment over HTTP until durable, CPU of the server a point",
            Side("server", lambda: server.ask("POST", f"/api/v1/runs/{run}/points", packed.pop()), meter=meter),
            Side("copy of the segment", lambda: bytearray(small)),
            each=SEGMENT,
            unit="ns",
            rounds=3,
        )
        door = compare(
            "1,000 points in MLflow's log-batch over HTTP until durable, CPU of the server a point",
            Side(
                "server",
                lambda: [server.ask("POST", "/api/2.0/mlflow/runs/log-batch", batch) for _ in range(20)],
                meter=meter,
            ),
            body,
            each=20_000,
            unit="ns",
            rounds=3,
        )
    return [native, _bound(native, 200, "5 M points/s"), door, _bound(door, 1_667, "600,000 points/s")]


def _bound(figure: Figure, bound: float, said: str) -> Figure:
    return Figure(what=f"the same beside {said}", unit=figure.unit, ours=figure.ours, peer="to reach", theirs=bound)


def _batch(run: str) -> bytes:
    metrics = [
        {"key": f"m{n % 10}", "value": n / 7, "timestamp": 1_760_000_000_000 + n, "step": n // 10} for n in range(1_000)
    ]
    return msgspec.json.encode({"run_id": run, "metrics": metrics})


def _up() -> list[Figure]:
    """How soon a server on a home that is there answers, and what it holds when nobody asks."""
    home, taken, held = scratch.folder() / "home", [], 0.0
    for _ in range(STARTS + 1):  # The first makes the home, which is not counted.
        begun = time.perf_counter()
        with ours(home) as server:
            server.ask("GET", "/readyz")
            taken.append(time.perf_counter() - begun)
            held = server.resident()
    return [
        Figure(what="server: start to first answer", unit="s", ours=median(taken[1:]), peer="to reach", theirs=0.6),
        Figure(what="server: memory when idle", unit="MB", ours=held, peer="to reach", theirs=100.0),
    ]
