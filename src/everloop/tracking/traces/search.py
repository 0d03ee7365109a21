"""The search for traces: by columns in the database, then by their spans, page by page in an order that stays."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import BigInteger, ColumnElement, and_, exists, false, func, or_, select, true, type_coerce

from everloop.catalog.like import like, matcher
from everloop.catalog.regular import occurs, regular
from everloop.catalog.session import Session
from everloop.kernel.clock import micros
from everloop.kernel.errors import InvalidInput
from everloop.tracking.traces import links, parts, rows
from everloop.tracking.traces.entities import Span
from everloop.tracking.traces.language import Condition, Ordering
from everloop.tracking.traces.rows import Row
from everloop.tracking.traces.summary import text
from everloop.tracking.traces.tables import assessments, traces

CHUNK = 200
"""So many traces are looked into at once where spans are searched."""
_FAR = 2**62
_STATES = {"state_unspecified": "unspecified"}
_NEWEST = (Ordering("attribute", "started", descending=True), Ordering("attribute", "id"))
Test = Callable[[Span], bool]


class Search(msgspec.Struct, frozen=True):
    """Which traces are wanted: of some experiments, or of all; `after` is the token of a page."""

    experiments: tuple[str, ...] | None = None
    conditions: tuple[Condition, ...] = ()
    orders: tuple[Ordering, ...] = ()
    limit: int = 100
    after: str = ""


class Page(msgspec.Struct, frozen=True):
    """Some rows in order, and the token of the next page; empty after the last."""

    rows: tuple[Row, ...]
    next: str = ""


def page(session: Session, wanted: Search) -> Page:
    """A page of the traces that are wanted, newest first unless another order is named.

    A page begins after the last trace of the one before, whatever has come or gone meanwhile.

    Raises:
        InvalidInput: no page had that token, or a pattern is none.
    """
    orders = _complete(wanted.orders)
    found: list[tuple[Row, list[Any]]] = []
    for row, key in _candidates(session, wanted, orders):
        if len(found) == wanted.limit:
            return Page(tuple(kept for kept, _ in found), _token(found[-1][1]))
        found.append((row, key))
    return Page(tuple(kept for kept, _ in found))


def count(session: Session, experiments: Sequence[str], conditions: Sequence[Condition]) -> int:
    """How many traces of some experiments meet conditions."""
    if not any(condition.kind == "span" for condition in conditions):
        query = select(func.count()).select_from(traces).where(*_where(session, tuple(experiments), conditions))
        return int(session.connection.execute(query).scalar_one())
    wanted = Search(tuple(experiments), tuple(conditions))
    return sum(1 for _ in _candidates(session, wanted, _complete(())))


def _candidates(session: Session, wanted: Search, orders: Sequence[Ordering]) -> Iterator[tuple[Row, list[Any]]]:
    """The traces that are wanted, in order, with the key that each is ordered by."""
    tests = [_test(condition) for condition in wanted.conditions if condition.kind == "span"]
    where = _where(session, wanted.experiments, wanted.conditions)
    columns = [_column(order) for order in orders]
    keys = [column.label(f"key_{n}") for n, column in enumerate(columns)]
    query = select(traces, *keys).where(*where).order_by(*_clauses(orders, columns))
    size = CHUNK if tests else wanted.limit + 1
    after = _key_of(wanted.after, len(orders))
    while True:
        chunk = query if after is None else query.where(_past(orders, columns, after))
        mappings = session.connection.execute(chunk.limit(size)).mappings().all()
        spans = parts.of(session, [mapping["id"] for mapping in mappings]) if tests else {}
        for row, mapping in zip(rows.read(mappings), mappings, strict=True):
            after = [mapping[f"key_{n}"] for n in range(len(orders))]
            if not tests or any(all(test(span) for test in tests) for span in spans.get(row.id, [])):
                yield row, after
        if len(mappings) < size:
            return


def _where(
    session: Session, experiments: tuple[str, ...] | None, conditions: Sequence[Condition]
) -> list[ColumnElement[bool]]:
    where = [rows.mine(session)]
    if experiments is not None:
        where.append(traces.c.experiment.in_(experiments) if experiments else false())
    return where + [_holds(condition) for condition in conditions if condition.kind != "span"]


def _holds(condition: Condition) -> ColumnElement[bool]:
    """A condition as SQL on `traces`; its values are bound, never spliced."""
    match condition.kind:
        case "tag" | "metadata":
            return _compare(traces.c[_json(condition.kind)][condition.key].as_string(), condition)
        case "feedback" | "expectation":
            return _assessed(condition)
        case "issue":
            mine = and_(assessments.c.kind == "issue", assessments.c.name == str(condition.value))
            return _said(mine)
        case "prompt":
            return links.to("prompt", str(condition.value))
        case _:
            return _of_column(condition)


def _of_column(condition: Condition) -> ColumnElement[bool]:
    if condition.key == "run" and condition.operator == "=":
        return or_(traces.c.run == str(condition.value), links.to("run", str(condition.value)))
    if condition.key == "state" and condition.operator in ("=", "!=", "in", "not in"):
        return _compare(traces.c.state, msgspec.structs.replace(condition, value=_lower(condition.value)))
    if condition.key == "state":
        return _compare(func.upper(traces.c.state), condition)
    if condition.key in ("started", "ended"):
        return _compare_moment(condition)
    return _compare(traces.c[condition.key], condition)


def _compare_moment(condition: Condition) -> ColumnElement[bool]:
    """Times are compared in milliseconds since 1970."""
    value = condition.value if isinstance(condition.value, (int, float)) else 0
    there = max(-_FAR, min(_FAR, int(value * 1000)))
    column = _ended() if condition.key == "ended" else type_coerce(traces.c.started, BigInteger)
    return _compare(column, msgspec.structs.replace(condition, value=there))


def _ended() -> ColumnElement[int]:
    return type_coerce(traces.c.started, BigInteger) + func.coalesce(traces.c.milliseconds, 0) * 1000


def _compare(column: ColumnElement[Any], condition: Condition) -> ColumnElement[bool]:
    value = condition.value
    match condition.operator:
        case "is null":
            return column.is_(None)
        case "is not null":
            return column.is_not(None)
        case "=":
            return column == value
        case "!=":
            return column != value
        case "in" | "not in" if isinstance(value, tuple):
            return column.in_(value) if condition.operator == "in" else column.not_in(value)
        case "like" | "ilike":
            return like(column, str(value), ignoring_case=condition.operator == "ilike")
        case "rlike":
            return regular(column, str(value))
        case _:
            return column.op(condition.operator, is_comparison=True)(_within(value))


def _within(value: Any) -> Any:
    """A number that the database can hold."""
    return max(-_FAR, min(_FAR, value)) if isinstance(value, int) else value


def _assessed(condition: Condition) -> ColumnElement[bool]:
    mine = and_(
        assessments.c.kind == condition.kind, assessments.c.name == condition.key, assessments.c.valid == true()
    )
    if condition.operator == "is null":
        return ~_said(mine)
    if condition.operator == "is not null":
        return _said(mine)
    column = assessments.c.number if condition.operator in ("<", "<=", ">", ">=") else assessments.c.text
    return _said(and_(mine, _compare(column, condition)))


def _said(what: ColumnElement[bool]) -> ColumnElement[bool]:
    here = and_(assessments.c.project == traces.c.project, assessments.c.trace == traces.c.id)
    return exists().where(here, what).correlate(traces)


def _test(condition: Condition) -> Test:
    """A condition on a span, as a function."""
    operator, value = condition.operator, condition.value
    if operator == "rlike":
        expression = str(value)
        occurs("", expression)  # Who wrote what is none is told so, also where no span is looked at.
        return lambda span: bool(occurs(_of_span(span, condition.key), expression))
    if operator in ("like", "ilike"):
        matches = matcher(str(value), ignoring_case=operator == "ilike")
        return lambda span: (found := _of_span(span, condition.key)) is not None and matches(found)
    if operator in ("in", "not in"):
        wanted = set(value) if isinstance(value, tuple) else set()
        return lambda span: (_of_span(span, condition.key) in wanted) == (operator == "in")
    same = operator == "="
    return lambda span: (found := _of_span(span, condition.key)) is not None and (found == value) == same


def _of_span(span: Span, key: str) -> str | None:
    """What a condition compares of a span, as text."""
    match key:
        case "name":
            return span.name
        case "status":
            return span.status.upper()
        case "type":
            return text(span.attributes.get("mlflow.spanType", "UNKNOWN"))
        case "content":
            return json.dumps(msgspec.to_builtins(span), ensure_ascii=False, default=str)
        case _:
            named = key.removeprefix("attributes.")
            return text(span.attributes[named]) if named in span.attributes else None


def _lower(value: object) -> str | tuple[str, ...]:
    if isinstance(value, tuple):
        return tuple(_STATES.get(part.lower(), part.lower()) for part in value)
    return _STATES.get(str(value).lower(), str(value).lower())


def _complete(orders: Sequence[Ordering]) -> list[Ordering]:
    """The orders, with what makes them one: newest first, then by id."""
    given = {(order.kind, order.key) for order in orders}
    if len(given) < len(orders):
        raise InvalidInput("`order_by` contains duplicate fields.", hint="Name each field once.")
    return [*orders, *(order for order in _NEWEST if (order.kind, order.key) not in given)]


def _column(order: Ordering) -> ColumnElement[Any]:
    if order.kind != "attribute":
        found: ColumnElement[Any] = traces.c[_json(order.kind)][order.key].as_string()
        return found
    if order.key == "ended":
        return _ended()
    return type_coerce(traces.c.started, BigInteger) if order.key == "started" else traces.c[order.key]


def _json(kind: str) -> str:
    return "tags" if kind == "tag" else "metadata"


def _clauses(orders: Sequence[Ordering], columns: Sequence[ColumnElement[Any]]) -> Iterator[ColumnElement[Any]]:
    """What comes without a value comes last, in both directions."""
    for order, column in zip(orders, columns, strict=True):
        if order.key not in ("started", "id", "experiment", "state", "ended"):
            yield column.is_(None)
        yield column.desc() if order.descending else column.asc()


def _past(orders: Sequence[Ordering], columns: Sequence[ColumnElement[Any]], key: Sequence[Any]) -> ColumnElement[bool]:
    """Whether a trace comes after the one with a key."""
    before: list[ColumnElement[bool]] = []
    found: list[ColumnElement[bool]] = []
    for order, column, value in zip(orders, columns, key, strict=True):
        if value is not None:
            beyond = column < value if order.descending else column > value
            found.append(and_(*before, or_(beyond, column.is_(None))))
        before.append(column.is_(None) if value is None else column == value)
    return or_(*found)


def _token(key: Sequence[Any]) -> str:
    plain = [micros(value) if isinstance(value, datetime) else value for value in key]
    return base64.urlsafe_b64encode(msgspec.msgpack.encode(plain)).decode().rstrip("=")


def _key_of(token: str, length: int) -> list[str | int | float | None] | None:
    if not token:
        return None
    try:
        packed = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
        key = msgspec.msgpack.decode(packed, type=list[str | int | float | None])
    except (ValueError, msgspec.MsgspecError):
        key = []
    if len(key) != length:
        raise InvalidInput(
            f"{token[:40]!r} is no page token of this search.",
            hint="Send the token of the page before, with the same order.",
        )
    return key
