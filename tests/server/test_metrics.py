"""What Prometheus scrapes."""

from __future__ import annotations

import re

import pytest
from starlette.testclient import TestClient

from everloop.server.metrics import BUCKETS, Metrics, door_of

LINE = re.compile(r'^[a-z_]+(\{([a-z_]+="(\\.|[^"\\])*",?)+\})? ([0-9.e+-]+|\+Inf|NaN)$')


def samples(text: str) -> dict[str, float]:
    """The samples in a text, by their names and labels."""
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines}


def test_a_counter_grows_by_label() -> None:
    metrics = Metrics()
    counter = metrics.counter("asked_total", "How often.")
    counter.add(door="rest")
    counter.add(2, door="rest")
    counter.add(door="pages")
    assert samples(metrics.text()) == {'asked_total{door="pages"}': 1, 'asked_total{door="rest"}': 3}


def test_a_histogram_counts_what_is_below_each_edge() -> None:
    metrics = Metrics()
    histogram = metrics.histogram("took_seconds", "How long.")
    for seconds in (0.0005, 0.001, 0.3, 99.0):
        histogram.observe(seconds)
    found = samples(metrics.text())
    assert found['took_seconds_bucket{le="0.001"}'] == 2
    assert found['took_seconds_bucket{le="0.5"}'] == 3
    assert found['took_seconds_bucket{le="+Inf"}'] == found["took_seconds_count"] == 4
    assert found["took_seconds_sum"] == pytest.approx(99.3015)
    assert len(found) == len(BUCKETS) + 3


def test_a_gauge_is_read_when_it_is_scraped() -> None:
    metrics, values = Metrics(), iter([1.0, 2.0])
    metrics.gauge("level", "How high.", lambda: next(values))
    assert samples(metrics.text()) == {"level": 1}
    assert samples(metrics.text()) == {"level": 2}


def test_strange_labels_are_escaped() -> None:
    metrics = Metrics()
    metrics.counter("asked_total", "How often.").add(path='a"b\\c\nd')
    assert metrics.text().splitlines()[-1] == r'asked_total{path="a\"b\\c\nd"} 1'


def test_every_line_is_in_prometheus_format(http: TestClient) -> None:
    http.get("/api/v1/experiments")
    answer = http.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert all(LINE.match(line) for line in answer.text.splitlines() if not line.startswith("#"))


def test_requests_are_counted_by_door_and_status(http: TestClient) -> None:
    http.get("/api/v1/experiments")
    http.get("/api/v1/nothing")
    found = samples(http.get("/metrics").text)
    assert found['everloop_http_requests_total{method="GET",door="/api/v1",status="200"}'] == 1
    assert found['everloop_http_requests_total{method="GET",door="/api/v1",status="404"}'] == 1


def test_refused_requests_are_counted_too(http: TestClient) -> None:
    http.get("/healthz", headers={"host": "evil.example"})
    found = samples(http.get("/metrics").text)
    assert found['everloop_http_requests_total{method="GET",door="/healthz",status="403"}'] == 1


@pytest.mark.parametrize(
    ("path", "door"),
    [
        ("/api/v1/x/y", "/api/v1"),
        ("/api/v1", "/api/v1"),
        ("/api/v10", "pages"),
        ("/", "pages"),
        ("/metrics", "/metrics"),
    ],
)
def test_a_path_belongs_to_a_door(path: str, door: str) -> None:
    assert door_of(path) == door
