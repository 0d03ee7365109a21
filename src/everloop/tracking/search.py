"""The search's little language, parsed into bound SQL conditions: `metrics.auc > 0.7 and parameters.kind = 'gbm'`.

`like` takes `%` for any text and `_` for any character, and ignores case.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Literal

import msgspec
from sqlalchemy import ColumnElement, FromClause, Select, and_, exists, func, select

from everloop.kernel.errors import InvalidInput
from everloop.tracking.tables import run_values, runs

Kind = Literal["metric", "parameter", "tag", "column"]
_KINDS: dict[str, Kind] = {"metrics": "metric", "parameters": "parameter", "params": "parameter", "tags": "tag"}
_COLUMNS = ("id", "name", "status", "experiment", "parent")
_OPERATORS = ("=", "!=", "<", "<=", ">", ">=", "like")
_TOKEN = re.compile(
    r"""\s*(?:(?P<number>[+-]?(?:\d+\.?\d*(?:[eE][+-]?\d+)?|\.\d+|inf|nan)(?![\w.]))
    |(?P<text>'(?:[^']|'')*'|"(?:[^"]|"")*")
    |(?P<quoted>`[^`]+`)
    |(?P<word>[A-Za-z_][\w/-]*)
    |(?P<operator><=|>=|!=|=|<|>)
    |(?P<dot>\.))""",
    re.VERBOSE,
)
LONGEST = 10_000
"""So many characters a filter may have: databases refuse patterns and conditions without end."""
_HINT = "Write conditions such as metrics.auc > 0.7 and parameters.kind = 'gbm' and status = 'finished'."


class Condition(msgspec.Struct, frozen=True):
    """One comparison of the filter.

    Beside the operators of the language there are `in` and `not in`, which take a tuple, and `matches`, which takes a
    regular expression for the whole text.
    """

    kind: Kind
    key: str
    operator: str
    value: float | str | datetime | tuple[str, ...]


class Ordering(msgspec.Struct, frozen=True):
    """What the found runs are ordered by."""

    kind: Kind
    key: str
    descending: bool


class Search(msgspec.Struct, frozen=True):
    """Which runs are wanted: of these experiments (of all, when none is named), those that meet every condition.

    `deleted` says whether they have been put out of sight; None wants both.
    """

    experiments: tuple[str, ...] = ()
    conditions: tuple[Condition, ...] = ()
    orders: tuple[Ordering, ...] = ()
    deleted: bool | None = False
    limit: int = 100
    offset: int = 0


def parse(text: str) -> list[Condition]:
    """The conditions of a filter, all of which must hold.

    >>> parse("metrics.auc > 0.7")
    [Condition(kind='metric', key='auc', operator='>', value=0.7)]

    Raises:
        InvalidInput: it is not in the language.
    """
    if len(text) > LONGEST:
        raise InvalidInput(f"The filter has {len(text):,} characters.", hint=f"Up to {LONGEST:,} make sense.")
    tokens = list(_tokens(text))
    conditions: list[Condition] = []
    while tokens:
        if conditions:
            _take(tokens, text, "word", ("and",))
        kind, key = _field(tokens, text)
        operator = _take(tokens, text, "operator|word", _OPERATORS)
        value = _take(tokens, text, "number" if kind == "metric" else "text")
        if kind == "metric" and operator == "like":
            raise InvalidInput(f"metrics.{key} is a number, which like cannot compare.", hint=_HINT)
        conditions.append(Condition(kind, key, operator, float(value) if kind == "metric" else _unquoted(value)))
    return conditions


def parse_order(text: str) -> Ordering:
    """What `metrics.auc desc`, `parameters.rate` or `started desc` orders by.

    Raises:
        InvalidInput: it is not in the language.
    """
    tokens = list(_tokens(text))
    kind, key = _field(tokens, text, (*_COLUMNS, "started", "ended"))
    direction = _take(tokens, text, "word", ("asc", "desc")) if tokens else "asc"
    if tokens:
        raise InvalidInput(f"The order {text!r} goes on after its direction.", hint="Order by one thing.")
    return Ordering(kind, key, direction == "desc")


def matches(condition: Condition) -> ColumnElement[bool]:
    """The condition as SQL on `runs`; its values are bound, never spliced."""
    if condition.kind == "column":
        return _compare(runs.c[condition.key], condition)
    values = run_values.alias()
    column = values.c.number if condition.kind == "metric" else values.c.text
    mine = _value_of(values, condition.kind, condition.key)
    return exists().where(mine, _compare(column, condition)).correlate(runs)


def found(project: str, search: Search) -> Select[tuple[object, ...]]:
    """The runs of a project that are wanted, in order."""
    query: Select[tuple[object, ...]] = select(*runs.c).where(runs.c.project == project)
    if search.experiments:
        query = query.where(runs.c.experiment.in_(search.experiments))
    if search.deleted is not None:
        query = query.where(runs.c.deleted.is_not(None) if search.deleted else runs.c.deleted.is_(None))
    query = query.where(*[matches(condition) for condition in search.conditions])
    return _ordered(query, search.orders).limit(search.limit).offset(search.offset)


def _ordered(query: Select[tuple[object, ...]], orders: Sequence[Ordering]) -> Select[tuple[object, ...]]:
    """The query in order: without a value last in both directions, ties newest first."""
    for order in orders:
        if order.kind == "column":
            column: ColumnElement[object] = runs.c[order.key]
        else:
            values = run_values.alias()
            column = values.c.number if order.kind == "metric" else values.c.text
            query = query.outerjoin(values, _value_of(values, order.kind, order.key))
        query = query.order_by(column.is_(None), column.desc() if order.descending else column.asc())
    return query.order_by(runs.c.started.desc(), runs.c.id.desc())


def _value_of(values: FromClause, kind: Kind, key: str) -> ColumnElement[bool]:
    same_run = and_(values.c.project == runs.c.project, values.c.run == runs.c.id)
    return and_(same_run, values.c.kind == kind, values.c.key == key)


def _compare(column: ColumnElement[object], condition: Condition) -> ColumnElement[bool]:
    match condition.operator:
        case "=":
            return column == condition.value
        case "!=":
            return column != condition.value
        case "like":
            return func.lower(column).like(str(condition.value).lower())  # Alike on every database.
        case "matches":
            return column.regexp_match(str(condition.value))
        case "in" | "not in" if isinstance(condition.value, tuple):
            return column.in_(condition.value) if condition.operator == "in" else column.not_in(condition.value)
        case _:
            return column.op(condition.operator, is_comparison=True)(condition.value)


def _tokens(text: str) -> Iterator[tuple[str, str]]:
    position = 0
    while text[position:].strip():
        match = _TOKEN.match(text, position)
        if match is None or match.lastgroup is None:
            raise InvalidInput(f"{text!r} cannot be read from {text[position:].strip()!r} on.", hint=_HINT)
        yield match.lastgroup, match[match.lastgroup]
        position = match.end()


def _take(tokens: list[tuple[str, str]], text: str, kinds: str, allowed: tuple[str, ...] = ()) -> str:
    kind, value = tokens.pop(0) if tokens else ("end", "its end")
    known = value.lower() if kind == "word" and allowed else value
    if kind not in kinds.split("|") or (allowed and known not in allowed):
        wanted = " or ".join(allowed) or f"a {kinds.replace('|', ' or a ')}"
        raise InvalidInput(f"{text!r} has {value} where {wanted} belongs.", hint=_HINT)
    return known


def _field(tokens: list[tuple[str, str]], text: str, columns: tuple[str, ...] = _COLUMNS) -> tuple[Kind, str]:
    first = _take(tokens, text, "word")
    if first in columns:
        return "column", first
    if first not in _KINDS:
        known = ", ".join(("metrics.KEY", "parameters.KEY", "tags.KEY", *columns))
        raise InvalidInput(f"There is no {first!r} to search by.", hint=f"There are {known}.")
    key = ""
    while tokens and tokens[0][0] == "dot":
        tokens.pop(0)
        key += ("." if key else "") + _take(tokens, text, "word|quoted").strip("`")
    if not key:
        raise InvalidInput(f"{text!r} names no key after {first}.", hint=_HINT)
    return _KINDS[first], key


def _unquoted(value: str) -> str:
    return value[1:-1].replace(value[0] * 2, value[0])
