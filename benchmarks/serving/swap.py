"""Versions that are swapped and rolled back under load: how many requests get no answer, or a wrong one.

Two versions of a model take turns as an endpoint's stable one while four clients ask all the time; each answer must
be the score of the version that it names. A figure is a count: there should be none.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection, HTTPException
from threading import Event

import numpy as np

from benchmarks import scratch
from benchmarks.harness import Figure
from benchmarks.serving import model, processes
from benchmarks.serving.load import SECONDS
from benchmarks.serving.peers import said
from everloop.app.platform import Platform
from everloop.serving import service as endpoints

ENDPOINT = "swapped"
CLIENTS = 4
EVERY_SECONDS = 0.3
PATH = f"/v2/models/{ENDPOINT}/infer"


def run() -> Sequence[Figure]:
    """As many swaps as there is time for."""
    platform, rows = scratch.platform(), model.rows_of(0)
    right: dict[str, float] = {}
    for seed in (0, 1):
        version = model.registered(platform, seed)
        right[str(version)] = float(model.booster_of(rows, seed).predict(rows[:1], num_threads=1)[0])
    with platform.session().begin() as unit, unit.activate():
        endpoints.create(unit, ENDPOINT, model.NAME, version=1)
        endpoints.deploy(unit, ENDPOINT, 2)
    command, environment = processes.everloop(ENDPOINT, home=platform.resources.home)
    with processes.running(command, environment, PATH, model.named_tensors(rows[:1]), right["1"]) as server:
        over = Event()
        with ThreadPoolExecutor(CLIENTS) as threads:
            asking = [threads.submit(_asked, server.port, rows[:1], right, over) for _ in range(CLIENTS)]
            swaps = _swapped(platform)
            over.set()
            seen = sum((one.result() for one in asking), Counter[str]())
    what = f"{swaps} swaps, {seen.total():,} requests ({seen['1']:,} and {seen['2']:,} by each version)"
    return [said(f"{what}: {kind}", "requests", seen[kind], "to reach", 0.0) for kind in ("lost", "wrong")]


def _swapped(platform: Platform) -> int:
    """Give the traffic to each version in turn; how often that was done."""
    end, swaps = time.monotonic() + SECONDS, 0
    while time.monotonic() < end:
        shares = [{"deployment": 2 - swaps % 2, "percent": 100.0, "role": "stable"}]
        platform.call("endpoints.set_traffic", {"name": ENDPOINT, "shares": shares})
        swaps += 1
        time.sleep(EVERY_SECONDS)
    return swaps


def _asked(port: int, row: np.ndarray, right: dict[str, float], over: Event) -> Counter[str]:
    seen: Counter[str] = Counter()
    connection, body = HTTPConnection("127.0.0.1", port, timeout=10.0), model.named_tensors(row)
    while not over.is_set():
        try:
            connection.request("POST", PATH, body.content, body.headers)
            answer = connection.getresponse()
            told = json.loads(answer.read())
        except (OSError, HTTPException, ValueError):
            connection.close()
            seen["lost"] += 1
            continue
        seen[_judged(answer.status, told, right)] += 1
    return seen


def _judged(status: int, told: dict[str, object], right: dict[str, float]) -> str:
    """The version that answered rightly; else what is the matter."""
    if status != 200:
        return "lost"
    version = str(told["model_version"])
    score = told["outputs"][0]["data"][0]  # type: ignore[index]  # The protocol's form.
    return version if abs(right[version] - score) < processes.TOLERANCE else "wrong"
