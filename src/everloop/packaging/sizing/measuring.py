"""Measuring: rising loads on one worker on one core, until the answers come too late."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Sequence

import msgspec

from everloop.catalog.session import Session
from everloop.kernel.errors import Refused, Unavailable
from everloop.kernel.progress import Progress
from everloop.packaging.sizing.entities import Limit, LoadPoint, ModelProfile
from everloop.packaging.sizing.generator import Load, Result
from everloop.packaging.sizing.machine import Others, machine, peak_mib, process_seconds
from everloop.packaging.sizing.recommendation import holds, sustained
from everloop.packaging.sizing.requests import infer_requests
from everloop.packaging.sizing.serverport import ModelServers, Started
from everloop.registry.entities import ModelVersion

CONNECTIONS = 64
_RISING = (0.1, 0.25, 0.5, 0.7, 0.8, 0.9, 1.0)
"""Parts of what the server did when it was asked as fast as it answers."""
_REFINED = 3
_TIMEOUT_SECONDS = 60
_LEAST_REQUESTS = 200
"""A p99 of fewer requests is the second-worst of them, or the worst."""


class _Plan(msgspec.Struct, frozen=True):
    """How long each load lasts, in seconds, and how many times the edge is looked for more closely."""

    alone: float
    full: float
    each: float
    refined: int


_QUICK, _WHOLE = _Plan(0.3, 0.5, 0.6, 1), _Plan(1.0, 1.5, 2.0, _REFINED)


class Probe:
    """A server under load: each `point` is one load, with what the server's process used for it."""

    def __init__(
        self, server: Started, requests: Sequence[bytes], cores: Sequence[int], told: Callable[[], None]
    ) -> None:
        self._server = server
        self._requests = tuple(requests)
        self._cores = tuple(cores)
        self._told = told
        self._seed = 0

    def point(self, rate: float, seconds: float, connections: int = CONNECTIONS) -> LoadPoint:
        """What the server does under a load; a rate of 0 asks as fast as it answers.

        Raises:
            Unavailable: the server ended, or refused every request.
        """
        self._seed += 1
        lasting = max(seconds, _LEAST_REQUESTS / rate) if rate else seconds
        load = Load(
            self._server.host, self._server.port, self._requests, rate, lasting, connections, self._seed, self._cores
        )
        before = process_seconds(self._server.pid)
        result = _generated(load)
        used = process_seconds(self._server.pid) - before
        self._told()
        return _point(rate, result, used, lasting)

    def twice(self, rate: float, seconds: float, latency_ms: float) -> LoadPoint:
        """A load that counts as missed only when it is missed again: other work on the machine is not the server's."""
        first = self.point(rate, seconds)
        return first if holds(first, latency_ms) else min(first, self.point(rate, seconds), key=lambda one: one.p99_ms)


def measured(session: Session, version: ModelVersion, latency_ms: float, *, quick: bool) -> ModelProfile:
    """What one worker does for a version.

    Raises:
        Unavailable: the server did not start, or ended.
        Refused: the model answers its own example with an error.
    """
    plan = _QUICK if quick else _WHOLE
    theirs, ours = _cores()
    progress = session.ports.get(Progress)
    requests = infer_requests(version.model, version.trained.signature)
    servers = session.ports.get(ModelServers)
    others = Others()
    with servers.started(session.project, version.model, version.version, theirs) as server:
        probe = Probe(server, requests, ours, _counter(progress, 3 + len(_RISING) + plan.refined))
        probe.point(0, plan.alone / 2)  # Caches fill and code is compiled: nobody sizes by the first second.
        alone = probe.point(0, plan.alone, connections=1)
        if alone.errors:
            raise Refused(
                f"{version.model}@{version.version} answers {alone.errors} of its own examples with an error.",
                hint=f"everloop serve models:/{version.model}/{version.version} and ask it to see why.",
            )
        full = probe.point(0, plan.full)
        points = _searched(probe, full.achieved, latency_ms, plan)
        memory = peak_mib(server.pid)
        others.ended(server.pid)
    best = sustained(points, latency_ms)
    return ModelProfile(
        version.model,
        version.version,
        version.trained.digest,
        latency_ms,
        1,
        CONNECTIONS,
        quick,
        alone,
        points,
        round(best, 1),
        _limit(points, latency_ms),
        max((point for point in points if holds(point, latency_ms)), key=_load_of, default=alone).cpu_us,
        memory,
        round(server.start_seconds, 3),
        machine(others.share),
        session.clock.now(),
    )


def _searched(probe: Probe, most: float, latency_ms: float, plan: _Plan) -> tuple[LoadPoint, ...]:
    """Rising loads up to the first that is not served, then the middle between the last served and the first not."""
    points: list[LoadPoint] = []
    low, high = 0.0, 0.0
    for part in _RISING:
        points.append(probe.twice(most * part, plan.each, latency_ms))
        if not holds(points[-1], latency_ms):
            high = points[-1].offered
            break
        low = points[-1].offered
    for _ in range(plan.refined if low and high else 0):
        points.append(probe.twice((low + high) / 2, plan.each, latency_ms))
        low, high = (points[-1].offered, high) if holds(points[-1], latency_ms) else (low, points[-1].offered)
    return tuple(sorted(points, key=_load_of))


def _load_of(point: LoadPoint) -> float:
    return point.offered


def _limit(points: Sequence[LoadPoint], latency_ms: float) -> Limit:
    broken = next((point for point in points if not holds(point, latency_ms)), points[-1])
    if broken.late_ms > latency_ms / 2:
        return "generator"
    return "errors" if broken.errors else "latency"


def _generated(load: Load) -> Result:
    module = "everloop.packaging.sizing.generator"
    try:
        ran = subprocess.run(
            [sys.executable, "-m", module],
            input=msgspec.msgpack.encode(load),
            capture_output=True,
            timeout=load.seconds + _TIMEOUT_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise Unavailable("The server under load gave no answers any more.", hint="See what it logged.") from None
    if ran.returncode != 0:
        last = ran.stderr.decode(errors="replace").strip().rpartition("\n")[2][-300:]
        raise Unavailable(f"The server under load could not be asked ({last}).", hint="See what it logged.")
    return msgspec.msgpack.decode(ran.stdout, type=Result)


def _point(rate: float, result: Result, used: float, lasting: float) -> LoadPoint:
    answered = sorted(result.latencies)
    count = len(answered)
    if not count:
        raise Unavailable(
            f"The server answered none of {result.errors} requests.", hint=f"It said: {result.said or 'nothing'}"
        )
    achieved = count / (result.seconds if not rate else max(result.seconds, lasting))
    return LoadPoint(
        offered=round(rate or achieved, 1),
        achieved=round(achieved, 1),
        p50_ms=_milliseconds(answered, 0.5),
        p90_ms=_milliseconds(answered, 0.9),
        p99_ms=_milliseconds(answered, 0.99),
        longest_ms=round(answered[-1] * 1000, 3),
        errors=result.errors,
        cpu_us=round(used / count * 1e6, 1),
        late_ms=round(result.late * 1000, 3),
    )


def _milliseconds(ordered: Sequence[float], share: float) -> float:
    return round(ordered[min(len(ordered) - 1, int(len(ordered) * share))] * 1000, 3)


def _cores() -> tuple[list[int], list[int]]:
    """A core for the server and the others for the load; the same one where there is only one."""
    mine = sorted(os.sched_getaffinity(0))
    return mine[:1], mine[1:] or mine


def _counter(progress: Progress, total: int) -> Callable[[], None]:
    done = 0

    def told() -> None:
        nonlocal done
        done += 1
        progress.advance(min(done, total), total, "loads", "loads")

    return told
