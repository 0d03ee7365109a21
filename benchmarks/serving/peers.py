"""Our server beside others: one model (LightGBM, 100 trees of 31 leaves, 30 numbers), one generator (`wrk`), one run.

Each server has one worker, as its documentation starts it, and is asked in turn with ours, over connections that are
kept. CPU is that of all of a server's processes for one request (or row); wall is the time between two answers, so one
over it is what is answered in a second. "Our engine" is the same server with our compiled trees as ONNX in float64.
`EVERLOOP_SERVING_PEERS=mlflow=PYTHON,bentoml=PYTHON,…` names Pythons that have the others; who is not named, or does
not come up, is left out and said. `EVERLOOP_BENCH_SECONDS` (5) is how long each measurement takes.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from statistics import median

import msgspec
import numpy as np

from benchmarks.harness import Cost, Figure
from benchmarks.report import say
from benchmarks.serving import model, processes
from benchmarks.serving.load import SECONDS, Measured, measured, missing
from benchmarks.serving.model import Body
from benchmarks.serving.processes import Server

SCRIPTS = Path(__file__).with_name("beside")
INFER = f"/v2/models/{model.NAME}/infer"
ENGINES = {"native": "", "onnx": " with our engine"}
TO_REACH = "to reach"
STARTS = 3


class Peer(msgspec.Struct, frozen=True):
    """Another server: where it is asked, and in which words; `binary` where it takes tensors as bytes."""

    name: str
    title: str
    path: str
    body: Callable[[np.ndarray], Body]
    binary: bool = False


class Seen(msgspec.Struct, frozen=True):
    """All that is measured of a server. Those with 64 rows are told by the row."""

    single: Measured
    alone: Measured
    many: Measured
    binary: Measured | None
    ready: Cost
    memory: float


PEERS = (
    Peer("mlflow", "MLflow", "/invocations", model.scoring),
    Peer("bentoml", "BentoML", "/predict", model.named_rows),
    Peer("mlserver", "MLServer", INFER, model.tensors),
    Peer("kserve", "KServe", INFER, model.tensors, binary=True),
    Peer("litserve", "LitServe", "/predict", model.named_rows),
    Peer("ray", "Ray Serve", "/", model.named_rows),
)


def run() -> Sequence[Figure]:
    """Ours beside what is to be reached, a bare echo, and each peer."""
    if missing():
        return []
    with processes.ours() as ours:
        own = _seen(ours, INFER, model.tensors, binary=True)
        figures = [*_reached(own), *_two_workers(ours), *_echo(ours)]
        for peer, python in installed():
            say(peer.title)
            figures += _beside(ours, peer, python)
    return figures


def installed() -> Iterator[tuple[Peer, str]]:
    """The peers that the environment names, each with its Python."""
    given = os.environ.get("EVERLOOP_SERVING_PEERS", "")
    pythons = dict(pair.split("=", 1) for pair in given.split(",") if pair)
    for peer in PEERS:
        if peer.name in pythons:
            yield peer, pythons[peer.name]
        else:
            say(f"{peer.title} is left out: EVERLOOP_SERVING_PEERS names no Python that has it")


def _beside(ours: Server, peer: Peer, python: str) -> Iterator[Figure]:
    """A peer with its own engine and with ours, and our server in the same minute."""
    own = _seen(ours, INFER, model.tensors, binary=peer.binary)
    for engine, title in ENGINES.items():
        if engine == "onnx" and not _has(python, "onnxruntime"):
            say(f"{peer.title}{title} is left out: its Python has no ONNX Runtime")
            continue
        try:
            with started(peer, python, engine) as server:
                theirs = _seen(server, peer.path, peer.body, binary=peer.binary)
        except (RuntimeError, subprocess.CalledProcessError) as error:
            say(f"{peer.title}{title} is left out: {error}")
            continue
        yield from _figures(own, f"{peer.title}{title}", theirs)


def _has(python: str, library: str) -> bool:
    looked = subprocess.run((python, "-c", f"import {library}"), capture_output=True, check=False)
    return looked.returncode == 0


@contextmanager
def started(peer: Peer, python: str, engine: str) -> Iterator[Server]:
    """A peer that serves the model; what it needs to be made before is made, and not counted."""
    trained = model.trained()
    script = str(SCRIPTS / f"with_{peer.name}.py")
    environment = _surroundings(engine, python)
    if peer.name == "mlflow":
        command = (python, script, "prepare")
        subprocess.run(command, env={**os.environ, **environment, "BENCH_PORT": "0"}, check=True, capture_output=True)
    right = trained.scores[0] if engine != "slow" else trained.rows[0].sum()
    one = peer.body(trained.rows[:1])
    with processes.running((python, script), environment, peer.path, one, right) as server:
        yield server


def _surroundings(engine: str, python: str) -> Mapping[str, str]:
    """What servers are told, and that nobody shall be called at home."""
    quiet = {"BENTOML_DO_NOT_TRACK": "True", "RAY_USAGE_STATS_ENABLED": "0", "MLFLOW_DISABLE_TELEMETRY": "true"}
    path = f"{Path(python).parent}:{os.environ.get('PATH', '')}"
    return quiet | {"BENCH_MODEL": str(model.trained().folder), "BENCH_ENGINE": engine, "PATH": path}


def _seen(server: Server, path: str, body: Callable[[np.ndarray], Body], *, binary: bool) -> Seen:
    rows = model.trained().rows
    single = measured([server], path, body(rows[:1]), 64)
    alone = measured([server], path, body(rows[:1]), 1, SECONDS / 2)
    many = _a_row(measured([server], path, body(rows[:64]), 16))
    bytes_ = _a_row(measured([server], path, model.binary(rows[:64]), 16)) if binary else None
    return Seen(single, alone, many, bytes_, server.ready, server.memory())


def _a_row(found: Measured) -> Measured:
    return msgspec.structs.replace(found, cpu=found.cpu / 64, wall=found.wall / 64)


def _figures(ours: Seen, title: str, theirs: Seen) -> Iterator[Figure]:
    yield cost("1 row, 64 connections: CPU a request", ours.single, title, theirs.single)
    yield said("1 row, 64 connections: p50", "ms", ours.single.p50 * 1e3, title, theirs.single.p50 * 1e3)
    yield said("1 row, 64 connections: p99", "ms", ours.single.p99 * 1e3, title, theirs.single.p99 * 1e3)
    yield said("1 row, 1 connection: p50", "ms", ours.alone.p50 * 1e3, title, theirs.alone.p50 * 1e3)
    yield cost("64 rows of JSON: CPU a row", ours.many, title, theirs.many)
    if ours.binary and theirs.binary:
        yield cost("64 rows as bytes: CPU a row", ours.binary, title, theirs.binary)
    yield _start(ours.ready, title, theirs.ready)
    yield said("resident memory after that load", "MB", ours.memory, title, theirs.memory)


def _reached(own: Seen) -> Iterator[Figure]:
    """The bars of the project, as costs."""
    assert own.binary is not None
    yield said("1 row, 64 connections: a request", "µs", own.single.wall * 1e6, TO_REACH, 1e6 / 25_000)
    yield said("1 row, 64 connections: CPU a request", "µs", own.single.cpu * 1e6, TO_REACH, 30.0)
    yield said("1 row, 1 connection: p50", "ms", own.alone.p50 * 1e3, TO_REACH, 0.2)
    yield said("64 rows as bytes: CPU a row", "µs", own.binary.cpu * 1e6, TO_REACH, 1e6 / 600_000)
    yield said("resident memory after that load", "MB", own.memory, TO_REACH, 80.0)
    for name, opened in (("", processes.ours), (" out of a package", processes.packed)):
        costs, memory = _starts(opened)
        yield said(f"from the start to the first right answer{name}", "s", costs.wall, TO_REACH, 0.5)
        yield said(f"CPU until the first right answer{name}", "s", costs.cpu, TO_REACH, 0.5)
        yield said(f"resident memory then{name}", "MB", memory, TO_REACH, 80.0)


def _starts(opened: Callable[[], AbstractContextManager[Server]]) -> tuple[Cost, float]:
    """What a start of ours costs, and the memory after it: medians."""
    seen = []
    for _ in range(STARTS):
        with opened() as server:
            seen.append((server.ready, server.memory()))
    wall, cpu = median(cost.wall for cost, _ in seen), median(cost.cpu for cost, _ in seen)
    return Cost(cpu, wall), median(memory for _, memory in seen)


def _two_workers(ours: Server) -> Iterator[Figure]:
    body = model.tensors(model.trained().rows[:64])
    with processes.ours() as another:
        both = _a_row(measured([ours, another], INFER, body, 8))
    yield said("64 rows of JSON, 2 workers: a row", "µs", both.wall * 1e6, TO_REACH, 1e6 / 250_000)


def _echo(ours: Server) -> Iterator[Figure]:
    """What a web server costs that parses a request and sends it back: no model, no checks."""
    command = (sys.executable, "-m", "benchmarks.echo", "--port", "{port}")
    rows = model.trained().rows
    one, many = model.tensors(rows[:1]), model.tensors(rows[:64])
    echoed = msgspec.json.encode({"scores": [0.0]})
    with processes.running(command, {}, "/", Body(echoed, dict(one.headers)), 0.0) as server:
        for what, body, count, connections in (("1 row", one, 1, 64), ("64 rows", many, 64, 16)):
            own, theirs = (measured([side], INFER, body, connections) for side in (ours, server))
            unit = "a request" if count == 1 else "a request of JSON"
            yield cost(f"{what}, {connections} connections: CPU {unit}", own, "bare Starlette echo", theirs)


def _start(ours: Cost, title: str, theirs: Cost) -> Figure:
    return Figure(
        what="from the start to the first right answer: CPU",
        unit="s",
        ours=ours.cpu,
        peer=title,
        theirs=theirs.cpu,
        our_wall=ours.wall,
        their_wall=theirs.wall,
    )


def cost(what: str, ours: Measured, peer: str, theirs: Measured) -> Figure:
    """The CPU of a request or a row in microseconds, with the time between two answers."""
    return Figure(
        what=what,
        unit="µs",
        ours=ours.cpu * 1e6,
        peer=peer,
        theirs=theirs.cpu * 1e6,
        our_wall=ours.wall * 1e6,
        their_wall=theirs.wall * 1e6,
    )


def said(what: str, unit: str, ours: float, peer: str, theirs: float) -> Figure:
    """A figure without a clock beside it."""
    return Figure(what=what, unit=unit, ours=ours, peer=peer, theirs=theirs)
