"""The search for runs: MLflow's filters and orders, put into ours."""

from __future__ import annotations

from datetime import datetime
from typing import cast

import msgspec
from sqlalchemy import select

from everloop.catalog.session import Session
from everloop.kernel.clock import from_micros
from everloop.kernel.errors import InvalidInput
from everloop.server.mlflow import experiments, filters, limits, runs
from everloop.server.mlflow.endpoint import Answer, Caller, endpoint
from everloop.server.mlflow.experiments import View
from everloop.tracking.index import expressions as language
from everloop.tracking.tables import runs as runs_table

_MOST = 50_000
_NUMBERS = {"start_time": "started", "created": "started", "Created": "started", "end_time": "ended"}
_TEXTS = {
    "run_id": "id",
    "run_name": "name",
    "run name": "name",
    "Run name": "name",
    "Run Name": "name",
    "status": "status",
    "user_id": "user",
}
_COLUMNS = _NUMBERS | _TEXTS
_DATASETS = ("name", "digest", "context")
_URI = "artifact_uri"


class Search(msgspec.Struct, frozen=True):
    """Which runs are wanted."""

    experiment_ids: list[str] = []
    filter: str = ""
    run_view_type: View = "ACTIVE_ONLY"
    max_results: int = 1000
    order_by: list[str] = []
    page_token: str = ""


@endpoint("POST runs/search")
def search(caller: Caller, request: Search) -> Answer:
    """The runs of some experiments that meet a filter, newest first unless another order is named."""
    from everloop.tracking.index import searching  # It brings NumPy, for which every start would pay.

    size = limits.size_of_page(request.max_results, _MOST)
    comparisons = filters.parse(request.filter)
    conditions = tuple(_condition(it) for it in comparisons if it.key != _URI or it.kind != "attribute")
    orders = tuple(_ordering(filters.parse_order(text)) for text in request.order_by)
    with caller.unit("tracking:read", write=False) as unit:
        names, seen = _seen(unit, request)
        if not names:
            return {"runs": []}
        deleted = None if seen is not None or request.run_view_type == "ALL" else request.run_view_type != "ACTIVE_ONLY"
        found = (*conditions, seen) if seen is not None else conditions
        found += tuple(_of_uri(unit, names, it) for it in comparisons if it.key == _URI and it.kind == "attribute")
        rows, page = searching.found(unit, language.Search(names, found, orders, deleted, size, request.page_token))
        return {"runs": runs.shown(unit, rows)} | ({"next_page_token": page.cursor} if page.cursor else {})


def _seen(session: Session, request: Search) -> tuple[tuple[str, ...], language.Expression | None]:
    """The experiments to look into, and what it takes to be seen: the runs of a deleted experiment are deleted."""
    groups = [experiments.first(session, id) for id in dict.fromkeys(request.experiment_ids)]
    known = [group for group in groups if group is not None]
    gone = tuple(group.name for group in known if group.deleted is not None)
    if request.run_view_type == "ACTIVE_ONLY":
        return tuple(group.name for group in known if group.deleted is None), None
    names = tuple(group.name for group in known)
    if request.run_view_type == "ALL" or not gone:
        return names, None
    deleted = language.Condition("attribute", "deleted", "is not null")
    return names, language.AnyOf((deleted, language.Condition("attribute", "experiment", "in", gone)))


def _condition(comparison: filters.Comparison) -> language.Condition:
    if comparison.kind == "metric":
        return _number(comparison)
    if comparison.kind == "attribute":
        return _attribute(comparison)
    if comparison.kind == "dataset" and comparison.key not in _DATASETS:
        raise InvalidInput(f"Invalid dataset key '{comparison.key}' specified. Valid keys are '{_DATASETS}'")
    return _text(comparison.kind, comparison.key, comparison)


def _of_uri(session: Session, names: tuple[str, ...], comparison: filters.Comparison) -> language.Condition:
    """The runs whose artifacts are at such a place, which nothing holds: it is made of each run's experiment and id."""
    value = comparison.value
    if isinstance(value, float) or comparison.operator in ("<", "<=", ">", ">="):
        raise InvalidInput(f"Expected a quoted string value for attributes. Got value {value!r}")
    groups = {name: experiments.named(session, name) for name in names}
    holds = filters.test_of(comparison.operator, value)
    query = select(runs_table.c.id, runs_table.c.experiment).where(
        runs_table.c.project == session.project, runs_table.c.experiment.in_(names)
    )
    there = session.connection.execute(query)
    ids = tuple(id for id, name in there if holds(experiments.below(groups[name], f"{id}/artifacts")))
    return language.Condition("attribute", "id", "in", ids)


def _attribute(comparison: filters.Comparison) -> language.Condition:
    column = _column(comparison.key)
    if comparison.key in _NUMBERS:
        return language.Condition("attribute", column, _plain(comparison), _time(comparison))
    found = _text("attribute", column, comparison)
    return msgspec.structs.replace(found, value=_lower(found.value)) if column == "status" else found


def _number(comparison: filters.Comparison) -> language.Condition:
    if not isinstance(comparison.value, float):
        raise InvalidInput(f"Expected numeric value type for metric. Found {comparison.value!r}")
    return language.Condition("metric", comparison.key, _plain(comparison), comparison.value)


def _text(kind: language.Kind, key: str, comparison: filters.Comparison) -> language.Condition:
    value = comparison.value
    if isinstance(value, float):
        raise InvalidInput(f"Expected a quoted string value for {kind} (e.g. 'my-value'). Got value {value:g}")
    if comparison.operator not in ("=", "!=", "in", "not in", "like", "ilike"):
        raise InvalidInput(f"Invalid comparator '{comparison.operator}' for {key!r}, which is a text.")
    return language.Condition(kind, key, cast(language.Operator, comparison.operator), value)


def _plain(comparison: filters.Comparison) -> language.Operator:
    if comparison.operator not in ("=", "!=", "<", "<=", ">", ">="):
        raise InvalidInput(f"{comparison.key!r} is a number, which {comparison.operator.upper()} does not compare.")
    return cast(language.Operator, comparison.operator)


def _time(comparison: filters.Comparison) -> datetime:
    value = comparison.value
    if not isinstance(value, float):
        raise InvalidInput(f"Expected numeric value type for numeric attribute: {comparison.key}. Found {value!r}")
    try:
        return from_micros(int(value * 1000))
    except (ValueError, OverflowError):
        raise InvalidInput(f"{comparison.key!r} is compared with {value!r}: milliseconds.") from None


def _lower(value: object) -> str | tuple[str, ...]:
    return tuple(part.lower() for part in value) if isinstance(value, tuple) else str(value).lower()


def _ordering(order: filters.Order) -> language.Ordering:
    if order.kind == "dataset":
        raise InvalidInput("Invalid order_by entity: dataset")
    key = _column(order.key) if order.kind == "attribute" else order.key
    return language.Ordering(order.kind, key, order.descending)


def _column(key: str) -> str:
    if key not in _COLUMNS:
        raise InvalidInput(f"Invalid attribute key '{key}' specified. Valid keys are '{tuple(_COLUMNS)}'")
    return _COLUMNS[key]
