"""Every value of a metric, as MLflow's clients and pages ask for it: of one run, of many, or some steps of many."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import msgspec

from everloop.catalog.session import Session
from everloop.kernel.clock import micros
from everloop.kernel.errors import InvalidInput
from everloop.kernel.usecase import Json
from everloop.server.mlflow import limits, paging, runs
from everloop.server.mlflow.endpoint import Answer, Caller, endpoint
from everloop.tracking import runs as written
from everloop.tracking import service as tracking
from everloop.tracking.points import number_of

_MOST_POINTS = 25_000
_MOST_RUNS = 100
_MOST_STEPS = 2500


class Value(NamedTuple):
    """A value of a metric; they are listed by time (ms), step, and then value, where NaN is the least."""

    at: int
    step: int
    rank: float
    known: bool


class History(runs.ById, frozen=True, kw_only=True):
    """Every value of a metric."""

    metric_key: str
    max_results: int = 0
    page_token: str = ""


class Bulk(msgspec.Struct, frozen=True):
    """Every value of a metric in some runs."""

    run_id: list[str] = []
    metric_key: str | None = None
    max_results: int = _MOST_POINTS


class Interval(msgspec.Struct, frozen=True):
    """Values of a metric in some runs, of so many steps at most."""

    run_ids: list[str] = []
    metric_key: str = ""
    start_step: int | None = None
    end_step: int | None = None
    max_results: int = _MOST_STEPS


@endpoint("GET metrics/get-history")
def history(caller: Caller, request: History) -> Answer:
    """Every value of a metric, by time; the very same value logged twice is there once."""
    size = min(request.max_results or _MOST_POINTS, _MOST_POINTS)
    limits.size_of_page(size, _MOST_POINTS)
    with caller.unit("tracking:read", write=False) as unit:
        values = _values(unit, runs.row_of(unit, runs.id_of(request)).id, request.metric_key)
    page, token = paging.after(values, request.page_token, size, Value)
    return {"metrics": _shown(request.metric_key, page)} | ({"next_page_token": token} if token else {})


@endpoint("GET metrics/get-history-bulk")
def bulk(caller: Caller, request: Bulk) -> Answer:
    """Every value of a metric in some runs, run by run."""
    name = "GetMetricHistoryBulk request"
    if not request.run_id:
        raise InvalidInput(f"{name} must specify at least one run_id.")
    if len(request.run_id) > _MOST_RUNS:
        count = len(request.run_id)
        raise InvalidInput(f"{name} cannot specify more than {_MOST_RUNS} run_ids. Received {count} run_ids.")
    if request.metric_key is None:
        raise InvalidInput(f"{name} must specify a metric_key.")
    most = limits.size_of_page(min(request.max_results, _MOST_POINTS), _MOST_POINTS)
    found: list[Json] = []
    with caller.unit("tracking:read", write=False) as unit:
        for run in sorted(set(request.run_id)):
            if len(found) < most:
                found += _shown(request.metric_key, _values(unit, run, request.metric_key), run)
    return {"metrics": found[:most]}


@endpoint("GET metrics/get-history-bulk-interval")
def interval(caller: Caller, request: Interval) -> Answer:
    """Values of a metric in some runs: of steps as far apart as it takes, with the first and last of each run."""
    low, high = _steps(request)
    with caller.unit("tracking:read", write=False) as unit:
        found = {run: _values(unit, run, request.metric_key) for run in dict.fromkeys(request.run_ids)}
    steps = {
        run: sorted({value.step for value in values if low <= value.step <= high}) for run, values in found.items()
    }
    chosen = _spread(sorted({step for known in steps.values() for step in known}), request.max_results)
    ends = {run: {known[0], known[-1]} for run, known in steps.items() if known}
    metrics: list[Json] = []
    for run in sorted(ends):
        there = [value for value in found[run] if value.step in chosen or value.step in ends[run]]
        there.sort(key=lambda value: (value.step, value))
        metrics += _shown(request.metric_key, there[:_MOST_STEPS], run)
    return {"metrics": metrics}


def _steps(request: Interval) -> tuple[int, int]:
    """The first and the last step that are wanted."""
    if not request.run_ids:
        raise limits.missing("run_ids")
    if len(request.run_ids) > _MOST_RUNS:
        raise InvalidInput(
            f"GetMetricHistoryBulkInterval request must specify at most {_MOST_RUNS} run_ids. "
            f"Received {len(request.run_ids)} run_ids."
        )
    limits.required("metric_key", request.metric_key)
    if not 1 <= request.max_results <= _MOST_STEPS:
        raise InvalidInput(f"max_results must be between 1 and {_MOST_STEPS}.")
    low, high = request.start_step, request.end_step
    if low is None and high is None:
        return -limits.INT64, limits.INT64
    if low is None or high is None:
        raise InvalidInput("If either start step or end step are specified, both must be specified.")
    if low > high:
        raise InvalidInput(f"end_step must be greater than start_step. Found start_step={low} and end_step={high}.")
    return low, high


def _spread(steps: Sequence[int], most: int) -> set[int]:
    """So many of the steps, as evenly apart as they come, and the last one."""
    if len(steps) <= most:
        return set(steps)
    return {steps[place * len(steps) // most] for place in range(most)} | {steps[-1]}


def _values(session: Session, run: str, key: str) -> list[Value]:
    """The values of a metric in a run, each once, in their order; none where there is no such run."""
    found = set()
    for point in tracking.history(session, run, key) if written.first(session, run) else ():
        number = number_of(point)
        known = not math.isnan(number)
        found.add(Value(micros(point.at) // 1000 if point.at else 0, point.step, number if known else -math.inf, known))
    return sorted(found)


def _shown(key: str, values: Iterable[Value], run: str = "") -> list[Json]:
    named: Answer = {"run_id": run} if run else {}
    return [
        {"key": key, "value": runs.number(it.rank if it.known else math.nan), "timestamp": it.at, "step": it.step}
        | named
        for it in values
    ]
