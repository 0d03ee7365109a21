"""Our tracking beside MLflow (SQLite, in process and behind its own server), W&B offline and Aim, one after the other.

`EVERLOOP_TRACKING_PEERS=mlflow=PYTHON,wandb=PYTHON,aim=PYTHON` names Pythons that have them; who is not named, or
fails, is left out and said. MLflow's unmodified client does the same work with each store; of `log_metric` W&B, Aim
and we are told by the CPU of the caller, MLflow by the time that it blocks.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from benchmarks import scratch
from benchmarks.harness import Figure
from benchmarks.report import say
from benchmarks.tracking import native, paths, servers

SCRIPTS = Path(__file__).with_name("beside")
SECONDS = 300.0
IN_PROCESS = "MLflow in process"
Seconds = dict[str, float]
_CALLS = {
    "log_metric": ("log_metric", "ms", 1e3),
    "log_batch": ("log_batch of 1,000, a point", "µs", 1e6),
    "create_run": ("create_run", "ms", 1e3),
    "history": ("get_metric_history of 20,000, a point", "µs", 1e6),
}


def run() -> Sequence[Figure]:
    """What the same work takes with each of them."""
    pythons = dict(pair.split("=", 1) for pair in os.environ.get("EVERLOOP_TRACKING_PEERS", "").split(",") if pair)
    own = native.logged({"EVERLOOP_HOME": str(scratch.folder() / "home")})
    figures: list[Figure] = []
    for name, beside in (("mlflow", _mlflow), ("wandb", _wandb), ("aim", _aim)):
        if name not in pythons:
            say(f"{name} is left out: EVERLOOP_TRACKING_PEERS names no Python that has it")
            continue
        try:
            figures += beside(pythons[name], own)
        except (RuntimeError, subprocess.SubprocessError) as error:
            say(f"{name} is left out: {error}")
    return figures


def _mlflow(python: str, own: Seconds) -> Iterator[Figure]:
    database = f"sqlite:///{scratch.folder() / 'in_process.db'}"
    with servers.ours() as server:
        ours = _script(python, "mlflow", server.address)
    embedded = _script(python, "mlflow", database)
    with servers.mlflow(python) as running:
        served = _script(python, "mlflow", running.address)
    yield _figure("log_metric, what the caller feels", "µs", own["log_metric"], IN_PROCESS, embedded["log_metric"])
    yield _figure(
        "log_metric, CPU of the caller", "µs", own["log_metric"], "MLflow in process, async", embedded["log_async"]
    )
    yield from _calls("our server", ours, {IN_PROCESS: embedded, "its own server": served})
    yield from _on_postgresql(python)
    size = paths.filled(paths.LONG)[2] / paths.LONG
    yield Figure(what="a stored point", unit="bytes", ours=size, peer=IN_PROCESS, theirs=embedded["bytes"])
    yield from _up("MLflow's server", running.ready, running.megabytes)


def _on_postgresql(python: str) -> Iterator[Figure]:
    """The same on PostgreSQL, where that is installed."""
    try:
        with servers.postgresql("ours", "theirs") as (mine, theirs):
            with servers.ours(database=mine) as server:
                ours = _script(python, "mlflow", server.address)
            embedded = _script(python, "mlflow", servers.by_psycopg2(theirs))
    except RuntimeError as error:
        say(f"PostgreSQL is left out: {error}")
        return
    yield from _calls("our server on PostgreSQL", ours, {"MLflow in process on PostgreSQL": embedded})


def _calls(server: str, ours: Seconds, beside: dict[str, Seconds]) -> Iterator[Figure]:
    for call, (what, unit, scale) in _CALLS.items():
        for title, theirs in beside.items():
            yield Figure(
                what=f"MLflow's client with {server}: {what}",
                unit=unit,
                ours=ours[call] * scale,
                peer=title,
                theirs=theirs[call] * scale,
            )


def _wandb(python: str, own: Seconds) -> Iterator[Figure]:
    theirs = _script(python, "wandb", str(scratch.folder()))
    yield _figure("log_metric, CPU of the caller", "µs", own["log_metric"], "W&B offline", theirs["log_metric"])
    platform = scratch.platform()
    begun = time.perf_counter()
    for _ in range(20):
        platform.call("runs.start", {"experiment": "bench"})
    started = (time.perf_counter() - begun) / 20
    yield _figure("a run is started, in process", "ms", started, "W&B offline", theirs["create_run"])


def _aim(python: str, own: Seconds) -> Iterator[Figure]:
    theirs = _script(python, "aim", str(scratch.folder()))
    yield _figure("log_metric, CPU of the caller", "µs", own["log_metric"], "Aim", theirs["log_metric"])


def _up(title: str, ready: float, memory: float) -> Iterator[Figure]:
    home = scratch.folder() / "home"
    with servers.ours(home):
        pass
    begun = time.perf_counter()
    with servers.ours(home) as server:
        server.ask("GET", "/readyz")
        taken = time.perf_counter() - begun
        held = server.resident()
    yield Figure(what="server: start to first answer", unit="s", ours=taken, peer=title, theirs=ready)
    yield Figure(what="server: memory when idle", unit="MB", ours=held, peer=title, theirs=memory)


def _figure(what: str, unit: str, ours: float, peer: str, theirs: float) -> Figure:
    scale = {"µs": 1e6, "ms": 1e3}[unit]
    return Figure(what=what, unit=unit, ours=ours * scale, peer=peer, theirs=theirs * scale)


def _script(python: str, name: str, *arguments: str) -> Seconds:
    """What a script says that runs in a peer's Python."""
    command = [python, str(SCRIPTS / f"with_{name}.py"), *arguments]
    ended = subprocess.run(command, cwd=scratch.folder(), capture_output=True, text=True, timeout=SECONDS, check=False)
    if ended.returncode:
        raise RuntimeError(ended.stderr[-500:])
    return msgspec.json.decode(ended.stdout.splitlines()[-1], type=Seconds)
