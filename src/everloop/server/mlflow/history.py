"""Every value of a metric, as MLflow's clients and pages ask for it: of one run, of many, or some steps of many."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from everloop.catalog.session import Session
from everloop.kernel.errors import InvalidInput
from everloop.kernel.usecase import Json
from everloop.server.mlflow import limits, runs
from everloop.server.mlflow.endpoint import Answer, Caller, endpoint
from everloop.tracking.series import read

if TYPE_CHECKING:
    from everloop.tracking.points import Columns

_MOST_POINTS = 25_000
_MOST_RUNS = 100
_MOST_STEPS = 2500


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
        run = runs.row_of(unit, runs.id_of(request)).id
        try:
            page = read.history(unit, run, request.metric_key, after=request.page_token, limit=size, distinct=True)
        except InvalidInput as error:
            raise InvalidInput(f"Invalid page token {request.page_token[:40]!r}.", hint=error.hint) from None
    return {"metrics": _shown(request.metric_key, page.columns)} | (
        {"next_page_token": page.cursor} if page.cursor else {}
    )


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
                limit = most - len(found)
                page = read.history(unit, run, request.metric_key, limit=limit, distinct=True)
                found += _shown(request.metric_key, page.columns, run)
    return {"metrics": found}


@endpoint("GET metrics/get-history-bulk-interval")
def interval(caller: Caller, request: Interval) -> Answer:
    """Values of a metric in some runs: of steps as far apart as it takes, with the first and last of each run."""
    import numpy as np

    low, high = _steps(request)
    with caller.unit("tracking:read", write=False) as unit:
        found = {run: _of_steps(unit, run, request.metric_key, low, high) for run in dict.fromkeys(request.run_ids)}
    there = {run: columns for run, columns in found.items() if len(columns[0])}
    chosen = _spread(sorted({step for step, _, _ in there.values() for step in step.tolist()}), request.max_results)
    chosen |= {int(end) for step, _, _ in there.values() for end in (step[0], step[-1])}
    metrics: list[Json] = []
    for run in sorted(there):
        step, at, value = there[run]
        shown = np.isin(step, list(chosen)).nonzero()[0][:_MOST_STEPS]
        metrics += _shown(request.metric_key, (step[shown], at[shown], value[shown]), run)
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


def _of_steps(session: Session, run: str, key: str, low: int, high: int) -> Columns:
    """The values of a metric in a run between two steps, by step; none where there is no such run."""
    import numpy as np

    step, at, value = read.history(session, run, key, distinct=True).columns
    order = np.lexsort((value, at, step))
    order = order[(step[order] >= low) & (step[order] <= high)]
    return step[order], at[order], value[order]


def _shown(key: str, columns: Columns, run: str = "") -> list[Json]:
    named: Answer = {"run_id": run} if run else {}
    step, at, value = (column.tolist() for column in columns)
    return [
        {"key": key, "value": runs.number(number), "timestamp": micros // 1000, "step": step} | named
        for step, micros, number in zip(step, at, value, strict=True)
    ]
