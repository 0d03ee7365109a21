"""Our own client and server: what a training loop feels, points over HTTP, and how soon and how lean a server is up."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from http.client import HTTPConnection
from statistics import median

import msgspec

from benchmarks import scratch
from benchmarks.harness import Figure, Side, compare, meter_of
from benchmarks.tracking.servers import Served, ours

CALLS = 100_000
STARTS = 3
CALLS_OVER_HTTP = 320
CONNECTIONS = 16
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
        meter, run = meter_of(server.process.pid), server.run()
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
        one = _one_by_one(server, run)
    return [native, _bound(native, 200, "5 M points/s"), door, _bound(door, 1_667, "600,000 points/s"), *one]


def _one_by_one(server: Served, run: str) -> list[Figure]:
    """MLflow's `log-metric` on one connection and on several at once, CPU of the server a call."""
    meter, kind = meter_of(server.process.pid), {"Content-Type": "application/json"}
    metric = {"run_id": run, "key": "loss", "value": 0.5, "timestamp": 1_760_000_000_000, "step": 1}
    body = msgspec.json.encode(metric)
    figures = []
    for connections in ([server.connection()], [server.connection() for _ in range(CONNECTIONS)]):

        def work(asked: Sequence[HTTPConnection] = connections) -> None:
            for _ in range(CALLS_OVER_HTTP // len(asked)):
                for connection in asked:
                    connection.request("POST", "/api/2.0/mlflow/runs/log-metric", body, kind)
                for connection in asked:
                    connection.getresponse().read()

        count = len(connections)
        cost = compare(
            f"MLflow's log-metric over HTTP until durable, {count} connection{'s' * (count > 1)}, CPU of the server",
            Side("server", work, meter=meter),
            Side("JSON of it, parsed", lambda: [msgspec.json.decode(body) for _ in range(CALLS_OVER_HTTP)]),
            each=CALLS_OVER_HTTP // count * count,
            rounds=3,
        )
        figures += [cost, _bound(cost, 120, "120 µs")]
    return figures


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
