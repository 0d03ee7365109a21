"""What Prometheus scrapes: counts and times of requests, in its text format 0.0.4."""

from __future__ import annotations

import bisect
import threading
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

from starlette.types import ASGIApp, Message, Receive, Scope, Send

BUCKETS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper edges of the histograms, in seconds."""
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
Labels = tuple[tuple[str, str], ...]
"""Names and values, in a fixed order."""


class Series:
    """One combination of a counter's labels, for a thread that adds often: `value += 1` is all there is to it."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = 0.0


class Counter:
    """A number that only grows, for each combination of labels. Adding costs about 1 µs."""

    kind = "counter"

    def __init__(self, name: str, help: str) -> None:
        self.name, self.help = name, help
        self._series: dict[Labels, Series] = {}
        self._lock = threading.Lock()

    def series(self, **labels: str) -> Series:
        """The series of a combination of labels; only one thread may add to it."""
        with self._lock:
            return self._series.setdefault(tuple(labels.items()), Series())

    def add(self, amount: float = 1.0, **labels: str) -> None:
        """Grow by an amount."""
        key = tuple(labels.items())
        with self._lock:
            self._series.setdefault(key, Series()).value += amount

    def samples(self) -> Iterator[str]:
        """The lines that Prometheus reads."""
        with self._lock:
            values = sorted((labels, series.value) for labels, series in self._series.items())
        for labels, value in values:
            yield _sample(self.name, labels, value)


class Gauge:
    """A number that is asked for at each scrape."""

    kind = "gauge"

    def __init__(self, name: str, help: str, read: Callable[[], float]) -> None:
        self.name, self.help = name, help
        self._read = read

    def samples(self) -> Iterator[str]:
        """The line that Prometheus reads."""
        yield _sample(self.name, (), self._read())


class Times:
    """One combination of a histogram's labels, for a thread that observes often: about 0.3 µs a time."""

    __slots__ = ("counts", "total")

    def __init__(self) -> None:
        self.counts = [0] * (len(BUCKETS) + 1)
        self.total = 0.0

    def observe(self, seconds: float) -> None:
        """Count a time."""
        self.counts[bisect.bisect_left(BUCKETS, seconds)] += 1
        self.total += seconds


class Histogram:
    """How often a time fell into each of the buckets, for each combination of labels."""

    kind = "histogram"

    def __init__(self, name: str, help: str) -> None:
        self.name, self.help = name, help
        self._times: dict[Labels, Times] = {}
        self._lock = threading.Lock()

    def times(self, **labels: str) -> Times:
        """The times of a combination of labels; only one thread may observe them."""
        with self._lock:
            return self._times.setdefault(tuple(labels.items()), Times())

    def observe(self, seconds: float, **labels: str) -> None:
        """Count a time."""
        key = tuple(labels.items())
        with self._lock:
            self._times.setdefault(key, Times()).observe(seconds)

    def samples(self) -> Iterator[str]:
        """The lines that Prometheus reads: cumulative buckets, sum and count."""
        with self._lock:
            found = sorted((labels, list(times.counts), times.total) for labels, times in self._times.items())
        for labels, counts, total in found:
            below = 0
            for edge, count in zip((*BUCKETS, float("inf")), counts, strict=True):
                below += count
                yield _sample(f"{self.name}_bucket", (*labels, ("le", _number(edge))), below)
            yield _sample(f"{self.name}_sum", labels, total)
            yield _sample(f"{self.name}_count", labels, below)


Metric = Counter | Gauge | Histogram
M = TypeVar("M", bound=Metric)


class Metrics:
    """The metrics of a process."""

    def __init__(self) -> None:
        self._metrics: list[Metric] = []

    def counter(self, name: str, help: str) -> Counter:
        """The counter of this name, a new one if there is none yet."""
        known = next((one for one in self._metrics if one.name == name and isinstance(one, Counter)), None)
        return known or self._added(Counter(name, help))

    def gauge(self, name: str, help: str, read: Callable[[], float]) -> Gauge:
        """A new gauge, read at each scrape."""
        return self._added(Gauge(name, help, read))

    def histogram(self, name: str, help: str) -> Histogram:
        """The histogram of seconds of this name, a new one if there is none yet."""
        known = next((one for one in self._metrics if one.name == name and isinstance(one, Histogram)), None)
        return known or self._added(Histogram(name, help))

    def text(self) -> str:
        """Everything, as Prometheus reads it."""
        lines: list[str] = []
        for metric in self._metrics:
            lines += [f"# HELP {metric.name} {metric.help}", f"# TYPE {metric.name} {metric.kind}"]
            lines += metric.samples()
        return "\n".join(lines) + "\n"

    def _added(self, metric: M) -> M:
        self._metrics.append(metric)
        return metric


class Measured:
    """An app whose requests are counted and timed, by method, first part of the path, and status."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._requests = metrics.counter("everloop_http_requests_total", "Requests answered.")
        self._seconds = metrics.histogram("everloop_http_request_seconds", "Time to the end of the answer.")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, as ASGI has it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status = "500"

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = str(message["status"])
            await send(message)

        started = time.perf_counter()
        try:
            await self._app(scope, receive, watched)
        finally:
            door = door_of(scope["path"])
            self._requests.add(method=scope["method"], door=door, status=status)
            self._seconds.observe(time.perf_counter() - started, door=door)


DOORS = (
    "/api/v1",
    "/api/2.0",
    "/ajax-api",
    "/v2",
    "/invocations",
    "/models",
    "/score",
    "/feedback",
    "/healthz",
    "/readyz",
    "/ping",
    "/metrics",
)


def door_of(path: str) -> str:
    """The door that a path leads to: a closed set, so that strange paths make no new series."""
    return next((door for door in DOORS if path == door or path.startswith(f"{door}/")), "pages")


def _sample(name: str, labels: Labels, value: float) -> str:
    inside = ",".join(f'{key}="{_escaped(text)}"' for key, text in labels)
    return f"{name}{{{inside}}} {_number(value)}" if inside else f"{name} {_number(value)}"


def _number(value: float) -> str:
    if value == float("inf"):
        return "+Inf"
    return str(int(value)) if value == int(value) else repr(value)


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
