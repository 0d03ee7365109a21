"""Metrics of several workers are read as one."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from everloop.server.metrics import Metrics
from everloop.server.replicas.summing import summed


def metrics(rows: float, model: str = "m") -> Metrics:
    made = Metrics()
    made.counter("rows_total", "Rows.").add(rows, model=model)
    made.histogram("seconds", "Time.").observe(rows / 1000, model=model)
    made.gauge("revision", "The revision.", lambda: rows)
    return made


@given(st.lists(st.integers(0, 10**9), min_size=1, max_size=5))
def test_counts_are_added_up(counts: list[int]) -> None:
    text = summed((str(number), metrics(count).text()) for number, count in enumerate(counts, 1))
    assert f'rows_total{{model="m"}} {sum(counts)}' in text.splitlines()
    assert f'seconds_count{{model="m"}} {len(counts)}' in text.splitlines()


def test_a_gauge_is_shown_for_each_worker_that_is_there() -> None:
    lines = summed([("", metrics(1).text()), ("1", metrics(2).text()), ("2", metrics(3).text())]).splitlines()
    assert [line for line in lines if line.startswith("revision")] == [
        'revision{worker="1"} 2',
        'revision{worker="2"} 3',
    ]


def test_metrics_with_different_labels_stay_apart_under_one_heading() -> None:
    text = summed([("1", metrics(1, "a").text()), ("2", metrics(2, "b").text())])
    assert text.count("# TYPE rows_total counter") == 1
    assert 'rows_total{model="a"} 1' in text
    assert 'rows_total{model="b"} 2' in text


def test_a_sum_can_be_summed_again() -> None:
    once = summed([("", metrics(4).text())])
    assert 'rows_total{model="m"} 8' in summed([("", once), ("", once)])
