"""The search for runs: MLflow's filters and orders, put into ours."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import cast

import msgspec

from everloop.catalog.session import Session
from everloop.kernel.clock import from_micros
from everloop.kernel.errors import InvalidInput
from everloop.server.mlflow import experiments, filters, paging, runs
from everloop.server.mlflow.endpoint import Answer, Caller, endpoint
from everloop.server.mlflow.experiments import View
from everloop.tracking.index import expressions as language
from everloop.tracking.index import searching

_MOST = 50_000
_COLUMNS = {
    "run_id": "id",
    "run_name": "name",
    "run name": "name",
    "Run name": "name",
    "Run Name": "name",
    "status": "status",
    "start_time": "started",
    "created": "started",
    "Created": "started",
    "end_time": "ended",
}
_USERS = ("user_id", "user", "User")
_DELETED: dict[View, bool | None] = {"ACTIVE_ONLY": False, "DELETED_ONLY": True, "ALL": None}


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
    size = paging.check_size(request.max_results, _MOST)
    conditions = tuple(_condition(comparison) for comparison in filters.parse(request.filter))
    orders = tuple(_ordering(filters.parse_order(text)) for text in request.order_by)
    with caller.unit("tracking:read", write=False) as unit:
        names = _names(unit, request.experiment_ids)
        wanted = language.Search(names, conditions, orders, _DELETED[request.run_view_type], size, request.page_token)
        if not names:
            return {"runs": []}
        rows, page = searching.found(unit, wanted)
        return {"runs": runs.shown(unit, rows)} | ({"next_page_token": page.cursor} if page.cursor else {})


def _names(session: Session, ids: Sequence[str]) -> tuple[str, ...]:
    wanted = set(ids)
    return tuple(known.name for known in experiments.everything(session) if experiments.id_of(known.name) in wanted)


def _condition(comparison: filters.Comparison) -> language.Condition:
    if comparison.kind == "metric":
        return _number(comparison)
    if comparison.kind == "attribute":
        return _attribute(comparison)
    return _text(comparison.kind, comparison.key, comparison)


def _attribute(comparison: filters.Comparison) -> language.Condition:
    if comparison.key in _USERS:
        return _text("tag", "mlflow.user", comparison)
    column = _column(comparison.key)
    if column in ("started", "ended"):
        return language.Condition("attribute", column, _plain(comparison), _time(comparison))
    found = _text("attribute", column, comparison)
    if column == "status" and found.operator in ("=", "!=", "in", "not in"):
        return msgspec.structs.replace(found, value=_lower(found.value))
    return found


def _number(comparison: filters.Comparison) -> language.Condition:
    if not isinstance(comparison.value, float):
        raise InvalidInput(f"Metric {comparison.key!r} is compared with {comparison.value!r}, which is no number.")
    return language.Condition("metric", comparison.key, _plain(comparison), comparison.value)


def _text(kind: language.Kind, key: str, comparison: filters.Comparison) -> language.Condition:
    value = comparison.value
    if isinstance(value, float):
        raise InvalidInput(f"{key!r} is a text and is compared with the number {value:g}.", hint="Put it in quotes.")
    if comparison.operator not in ("=", "!=", "in", "not in", "like", "ilike"):
        raise InvalidInput(f"{key!r} is a text, which {comparison.operator} does not compare.")
    return language.Condition(kind, key, cast(language.Operator, comparison.operator), value)


def _plain(comparison: filters.Comparison) -> language.Operator:
    if comparison.operator not in ("=", "!=", "<", "<=", ">", ">="):
        raise InvalidInput(f"{comparison.key!r} is a number, which {comparison.operator.upper()} does not compare.")
    return cast(language.Operator, comparison.operator)


def _time(comparison: filters.Comparison) -> datetime:
    try:
        return from_micros(int(float(str(comparison.value))) * 1000)
    except (ValueError, OverflowError):
        raise InvalidInput(f"{comparison.key!r} is compared with {comparison.value!r}: milliseconds.") from None


def _lower(value: object) -> str | tuple[str, ...]:
    return tuple(part.lower() for part in value) if isinstance(value, tuple) else str(value).lower()


def _ordering(order: filters.Order) -> language.Ordering:
    if order.kind != "attribute":
        return language.Ordering(order.kind, order.key, order.descending)
    if order.key in _USERS:
        return language.Ordering("tag", "mlflow.user", order.descending)
    return language.Ordering("attribute", _column(order.key), order.descending)


def _column(key: str) -> str:
    if key not in _COLUMNS:
        raise InvalidInput(f"Invalid attribute key {key!r} specified.", hint=f"There are {', '.join(_COLUMNS)}.")
    return _COLUMNS[key]
