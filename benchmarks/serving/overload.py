"""More requests than can be answered: a model of 5 ms a row, and 3 and 10 times as many requests as it has time for.

The generator sends on time and counts each latency from when a request was due. An answer within 1.25 × 50 ms is good;
the first figure is how many good ones are lacking of what the model alone gets done, one row after another.
Refusals count where they say when to come back; recovery is the time from the last request of the flood until a single
one is answered in time again. Servers have `EVERLOOP_BENCH_SECONDS` (5) of each flood.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from http.client import HTTPException

import msgspec
import numpy as np

from benchmarks.children import ROOT
from benchmarks.harness import Figure
from benchmarks.report import say
from benchmarks.serving import model, peers, processes
from benchmarks.serving.beside.predicting import SLOW_SECONDS
from benchmarks.serving.load import SECONDS
from benchmarks.serving.model import Body
from benchmarks.serving.openloop import Flood, Outcome
from benchmarks.serving.processes import Server

TIMES = (3, 10)
SLO_SECONDS = 0.05
GOOD_SECONDS = 1.25 * SLO_SECONDS
CONNECTIONS = 256
WARM_SHARE = 0.2
PROBES = 100
GIVEN_UP_SECONDS = 20.0
REFUSED = (429, 503)


class Flooded(msgspec.Struct, frozen=True):
    """What a server did under a flood. `lost` is the share of its capacity, `unsaid` of refusals without a time."""

    lost: float
    answered_p99: float
    refused_p99: float
    unsaid: float
    recovered: float
    grown: float


def run() -> Sequence[Figure]:
    """Ours beside what is to be reached and the peers that are installed."""
    ours = _ours()
    figures = [figure for times in TIMES for figure in _reached(times, ours[times])]
    for peer, python in peers.installed():
        say(peer.title)
        try:
            with peers.started(peer, python, "slow") as server:
                theirs = _flooded(server, peer.path, peer.body, TIMES[0])
        except (RuntimeError, subprocess.CalledProcessError) as error:
            say(f"{peer.title} is left out: {error}")
            continue
        figures += _beside(TIMES[0], ours[TIMES[0]], peer.title, theirs)
    return figures


def _ours() -> dict[int, Flooded]:
    command = (sys.executable, "-m", "benchmarks.serving.slow", "--port", "{port}")
    rows = model.trained().rows[:1]
    with processes.running(command, {}, peers.INFER, model.tensors(rows), float(rows.sum())) as server:
        return {times: _flooded(server, peers.INFER, model.tensors, times) for times in TIMES}


def _flooded(server: Server, path: str, make: Callable[[np.ndarray], Body], times: int) -> Flooded:
    body = make(model.trained().rows[:1])
    capacity = _capacity()
    before = server.memory()
    found = _sent(Flood(server.port, _raw(path, body), times / SLOW_SECONDS, SECONDS, CONNECTIONS))
    recovered = _recovery(server, path, body)
    return _judged(found, capacity, recovered, server.memory() - before)


def _capacity() -> float:
    """How many rows a second the model itself gets done here, one after another: sleeps are longer than they say."""
    started = time.perf_counter()
    for _ in range(PROBES):
        time.sleep(SLOW_SECONDS)
    return PROBES / (time.perf_counter() - started)


def _judged(found: Sequence[Outcome], capacity: float, recovered: float, grown: float) -> Flooded:
    """What counts is the time after the first fifth, when every queue is as long as it gets."""
    start = SECONDS * WARM_SHARE
    kept = [one for one in found if one.at > start and (one.status or one.seconds > GOOD_SECONDS)]
    answered = [one.seconds for one in kept if one.status == 200]
    refused = [one for one in kept if one.status in REFUSED]
    good = sum(seconds <= GOOD_SECONDS for seconds in answered)
    unsaid = 1 - sum(one.retry_after for one in refused) / max(len(kept) - len(answered), 1)
    return Flooded(
        1 - good / (capacity * (SECONDS - start)),
        _p99(answered),
        _p99([one.seconds for one in refused]),
        unsaid,
        recovered,
        grown,
    )


def _sent(flood: Flood) -> list[Outcome]:
    ran = subprocess.run(
        [sys.executable, "-m", "benchmarks.serving.openloop"],
        input=msgspec.msgpack.encode(flood),
        capture_output=True,
        cwd=ROOT,
        check=True,
    )
    return msgspec.msgpack.decode(ran.stdout, type=list[Outcome])


def _raw(path: str, body: Body) -> bytes:
    headers = {"Host": "127.0.0.1", **body.headers, "Content-Length": str(len(body.content))}
    lines = [f"POST {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
    return "\r\n".join(lines).encode() + body.content


def _recovery(server: Server, path: str, body: Body) -> float:
    """Seconds until a request that comes alone is answered in time."""
    started = time.perf_counter()
    while (began := time.perf_counter()) < started + GIVEN_UP_SECONDS:
        try:
            status, _ = server.ask(path, body, timeout=GIVEN_UP_SECONDS)
        except (OSError, HTTPException):
            continue
        if status == 200 and time.perf_counter() - began <= GOOD_SECONDS:
            return began - started
        time.sleep(0.005)
    return GIVEN_UP_SECONDS


def _p99(seconds: Sequence[float]) -> float:
    return float(np.percentile(seconds, 99)) if len(seconds) else float("nan")


def _reached(times: int, ours: Flooded) -> Iterator[Figure]:
    bars = ((0.05, ours.lost), (GOOD_SECONDS * 1e3, ours.answered_p99 * 1e3), (5.0, ours.refused_p99 * 1e3))
    for (what, unit), (bar, own) in zip(_words(times), bars, strict=False):
        yield Figure(what=what, unit=unit, ours=own, peer=peers.TO_REACH, theirs=bar)
    yield _said(times, "share of refusals that does not say when to return", "", ours.unsaid, 0.0)
    yield _said(times, "from the end until it answers in time", "s", ours.recovered, 0.1)
    yield _said(times, "memory that it grew by", "MB", ours.grown, 8.0)


def _said(times: int, what: str, unit: str, ours: float, bar: float) -> Figure:
    return Figure(what=f"{times}×: {what}", unit=unit, ours=ours, peer=peers.TO_REACH, theirs=bar)


def _words(times: int) -> Sequence[tuple[str, str]]:
    return (
        (f"{times}×: capacity lost", "share"),
        (f"{times}×: p99 of what is answered", "ms"),
        (f"{times}×: p99 of a refusal", "ms"),
    )


def _beside(times: int, ours: Flooded, title: str, theirs: Flooded) -> Iterator[Figure]:
    lost, answered, _ = _words(times)
    yield Figure(what=lost[0], unit=lost[1], ours=ours.lost, peer=title, theirs=theirs.lost)
    both = (ours.answered_p99 * 1e3, theirs.answered_p99 * 1e3)
    yield Figure(what=answered[0], unit=answered[1], ours=both[0], peer=title, theirs=both[1])
    recovery = f"{times}×: from the end until it answers in time"
    yield Figure(what=recovery, unit="s", ours=ours.recovered, peer=title, theirs=theirs.recovered)
    grown = f"{times}×: memory that it grew by"
    yield Figure(what=grown, unit="MB", ours=ours.grown, peer=title, theirs=theirs.grown)
