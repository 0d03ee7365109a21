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
from contextlib import contextmanager
from pathlib import Path
from urllib.request import urlopen

import msgspec

from benchmarks import scratch
from benchmarks.harness import Figure
from benchmarks.report import say
from benchmarks.tracking import native
from everloop.cli.demo.children import free_port

SCRIPTS = Path(__file__).with_name("beside")
READY_SECONDS = 120.0
SECONDS = 300.0
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
    folder = scratch.folder()
    with native.ours() as server:
        ours = _script(python, "mlflow", server.address)
    embedded = _script(python, "mlflow", f"sqlite:///{folder / 'in_process.db'}")
    with _mlflow_server(python, folder) as (address, ready, memory):
        served = _script(python, "mlflow", address)
    yield _figure(
        "log_metric, what the caller feels", "µs", own["log_metric"], "MLflow in process", embedded["log_metric"]
    )
    for call, (what, unit, scale) in _CALLS.items():
        for title, theirs in (("MLflow in process", embedded), ("its own server", served)):
            yield Figure(
                what=f"MLflow's client with our server: {what}",
                unit=unit,
                ours=ours[call] * scale,
                peer=title,
                theirs=theirs[call] * scale,
            )
    yield from _up("MLflow's server", ready, memory)


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
    with native.ours(home):
        pass
    begun = time.perf_counter()
    with native.ours(home) as server:
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


@contextmanager
def _mlflow_server(python: str, folder: Path) -> Iterator[tuple[str, float, float]]:
    """MLflow's server on SQLite with one worker: its address, seconds until it answered, megabytes of its processes."""
    port, begun = free_port(), time.perf_counter()
    store = ("--backend-store-uri", f"sqlite:///{folder / 'served.db'}", "--artifacts-destination", str(folder))
    command = [python, "-m", "mlflow", "server", "--port", str(port), "--workers", "1", *store]
    with (folder / "log").open("w") as log:
        environment = os.environ | {"MLFLOW_DISABLE_TELEMETRY": "true", "PATH": f"{Path(python).parent}:/usr/bin:/bin"}
        running = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log, start_new_session=True)
        try:
            _wait(f"http://127.0.0.1:{port}/health", running, folder / "log")
            yield f"http://127.0.0.1:{port}", time.perf_counter() - begun, _held(running.pid)
        finally:
            os.killpg(running.pid, 15)
            running.wait()


def _held(group: int) -> float:
    """The megabytes that the processes of a group hold."""
    size = 0
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if os.getpgid(int(process.name)) == group:
                lines = (process / "smaps_rollup").read_text().splitlines()
                size += next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
        except (OSError, ProcessLookupError):
            continue
    return size / 1024


def _wait(url: str, running: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + READY_SECONDS
    while time.monotonic() < end and running.poll() is None:
        try:
            with urlopen(url, timeout=5):
                return
        except OSError:
            time.sleep(0.1)
    raise RuntimeError(f"MLflow's server did not come up: {log.read_text()[-300:]}")
