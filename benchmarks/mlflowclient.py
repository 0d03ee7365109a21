"""MLflow's unmodified client and the calls of its working day: with our server, MLflow's own, and one that answers at
once.

The server that answers at once repeats what ours said, byte for byte: what is left is the client. All are asked call by
call in turns; the figures are what a call takes, the median over the rounds. MLflow's own servers are measured, on
SQLite and on PostgreSQL, where `EVERLOOP_TRACKING_PEERS=mlflow=PYTHON` names a Python that has MLflow (or
`EVERLOOP_BENCH_MLFLOW` its executable); PostgreSQL is started where it is installed.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from benchmarks.harness import Figure, Meter, meter_of
from benchmarks.report import say
from benchmarks.tracking import servers

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Metric

ROUNDS = 5
TIMES = {"log_batch of 1,000": 5, "get_metric_history of 10,000": 1, "create_run": 20, "search_runs, 10 of them": 10}
OFTEN = 50
OURS, AT_ONCE, OURS_ON_POSTGRESQL = "our server", "a server that answers at once", "our server on PostgreSQL"
BESIDE = {OURS: (AT_ONCE, "MLflow on SQLite"), OURS_ON_POSTGRESQL: ("MLflow on PostgreSQL",)}
Taken = dict[str, dict[str, float]]


class Asked:
    """A server that is asked by a client of its own, about runs of its own or those of the one that it repeats."""

    def __init__(self, url: str, repeated: Asked | None = None) -> None:
        from mlflow import MlflowClient

        self.client: MlflowClient = MlflowClient(url)
        self.runs: list[str] = repeated.runs if repeated else self._begun()

    def _begun(self) -> list[str]:
        """Three runs, the last with 10,000 points."""
        runs = [self.client.create_run("0").info.run_id for _ in range(3)]
        for start in range(0, 10_000, 1000):
            self.client.log_batch(runs[2], [_metric("loss", number) for number in range(start, start + 1000)])
        return runs

    def calls(self) -> dict[str, Callable[[int], object]]:
        """The calls of a working day, each with a number that it has not been called with."""
        client, (run, texts, long) = self.client, self.runs
        return {
            "log_metric": lambda number: client.log_metric(run, "loss", 0.5, step=number),
            "log_batch of 1,000": lambda number: client.log_batch(run, _batch(number)),
            "log_param": lambda number: client.log_param(texts, f"p{number}", "0.1"),
            "set_tag": lambda number: client.set_tag(texts, "stage", str(number)),
            "get_run": lambda _: client.get_run(run),
            "create_run": lambda _: client.create_run("0"),
            "set_terminated": lambda _: client.set_terminated(texts),
            "search_runs, 10 of them": lambda _: client.search_runs(["0"], "metrics.loss < 1", max_results=10),
            "get_metric_history of 10,000": lambda _: client.get_metric_history(long, "loss"),
            "get_experiment_by_name": lambda _: client.get_experiment_by_name("Default"),
        }


def run() -> Sequence[Figure]:
    """Milliseconds a call, and the processor time of our server."""
    os.environ |= {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"}
    os.environ["MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT"] = "true"  # Else each end of a run is a line about it.
    with ExitStack() as up:
        urls, meters = _servers(up)
        own = Asked(urls.pop(OURS))
        asked = {OURS: own, AT_ONCE: Asked(urls.pop(AT_ONCE), own)}
        taken, cpu = measure(asked | {name: Asked(url) for name, url in urls.items()}, meters)
    return list(_figures(taken, cpu))


def measure(asked: dict[str, Asked], meters: dict[str, Meter], rounds: int = ROUNDS) -> tuple[Taken, Taken]:
    """Seconds of each call by server: those that passed, and of servers with a meter those of the processor."""
    calls = {name: one.calls() for name, one in asked.items()}
    taken: dict[str, dict[str, list[tuple[float, float]]]] = {name: {} for name in calls}
    for turn in range(rounds + 1):  # What happens in the first turn is not counted.
        for call in calls[OURS]:
            for name, works in calls.items():
                cost = _timed(works[call], turn * OFTEN, TIMES.get(call, OFTEN), meters.get(name))
                if turn:
                    taken[name].setdefault(call, []).append(cost)
    both = [
        {name: {call: median(cost[at] for cost in costs) for call, costs in of.items()} for name, of in taken.items()}
        for at in (0, 1)
    ]
    return both[0], both[1]


def _timed(work: Callable[[int], object], first: int, times: int, meter: Meter | None) -> tuple[float, float]:
    cpu, begun = meter() if meter else 0.0, time.perf_counter()
    for number in range(first, first + times):
        work(number)
    passed = time.perf_counter() - begun
    return passed / times, (meter() - cpu if meter else 0.0) / times


def _servers(up: ExitStack) -> tuple[dict[str, str], dict[str, Meter]]:
    """The servers that come up, by what they are called, and the meters of ours."""
    python = _python()
    own = up.enter_context(servers.ours())
    urls = {OURS: own.address, AT_ONCE: up.enter_context(servers.at_once(own.address))}
    meters = {OURS: meter_of(own.process.pid)}
    urls |= _theirs(up, python, "MLflow on SQLite")
    try:
        mine, theirs = up.enter_context(servers.postgresql("ours", "theirs"))
    except RuntimeError as error:
        say(f"PostgreSQL is left out: {error}")
        return urls, meters
    shared = up.enter_context(servers.ours(database=mine))
    urls[OURS_ON_POSTGRESQL], meters[OURS_ON_POSTGRESQL] = shared.address, meter_of(shared.process.pid)
    return urls | _theirs(up, python, "MLflow on PostgreSQL", servers.by_psycopg2(theirs)), meters


def _theirs(up: ExitStack, python: str, name: str, database: str = "") -> dict[str, str]:
    """MLflow's own server by its name, if it comes up."""
    if not python:
        say(f"{name} is left out: EVERLOOP_TRACKING_PEERS names no Python that has it")
        return {}
    try:
        return {name: up.enter_context(servers.mlflow(python, database)).address}
    except RuntimeError as error:
        say(f"{name} is left out: {error}")
        return {}


def _python() -> str:
    """A Python that has MLflow whole."""
    pairs = (pair.split("=", 1) for pair in os.environ.get("EVERLOOP_TRACKING_PEERS", "").split(",") if pair)
    executable = os.environ.get("EVERLOOP_BENCH_MLFLOW", "")
    return dict(pairs).get("mlflow", str(Path(executable).with_name("python")) if executable else "")


def _figures(taken: Taken, cpu: Taken) -> Iterator[Figure]:
    for own, beside in BESIDE.items():
        for peer in (peer for peer in beside if peer in taken and own in taken):
            for call, cost in taken[own].items():
                what = f"MLflow's client with {own}: {call}"
                yield Figure(what=what, unit="ms", ours=cost * 1e3, peer=peer, theirs=taken[peer][call] * 1e3)
    for call, cost in taken[OURS].items():
        reached = Figure(
            what=f"of what it reaches when it is answered at once, what is missing: {call}",
            unit="%",
            ours=100 * (1 - taken[AT_ONCE][call] / cost),
            peer="to reach",
            theirs=10,
        )
        yield reached
    for own in (name for name in BESIDE if name in taken):
        for call, cost in cpu[own].items():
            what = f"CPU of {own}: {call}"
            yield Figure(what=what, unit="ms", ours=cost * 1e3, peer="the whole call", theirs=taken[own][call] * 1e3)


def _metric(key: str, number: int) -> Metric:
    from mlflow.entities import Metric

    return Metric(key, number / 7, 1_760_000_000_000 + number, number)


def _batch(start: int) -> list[Metric]:
    return [_metric(f"m{number % 10}", start * 1000 + number) for number in range(1000)]
