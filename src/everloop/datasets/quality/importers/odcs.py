"""Data contracts by the Open Data Contract Standard (ODCS, v3): the schema's promises and its quality rules."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from math import ceil, floor
from typing import Any

from everloop.datasets.quality.expectations import (
    Expectation,
    Freshness,
    HasColumns,
    HasTypes,
    InRange,
    Length,
    Matches,
    NotNull,
    NotOneOf,
    OneOf,
    References,
    RowCount,
    Severity,
    Unique,
)
from everloop.datasets.quality.importers import great_expectations
from everloop.datasets.quality.importers.taken import (
    Account,
    Object,
    Taken,
    Untaken,
    below,
    document_of,
    integer,
    listing,
    search,
)
from everloop.datasets.quality.yamltext import read_yaml
from everloop.kernel.errors import InvalidInput

_LOGICAL = {"string": "string", "boolean": "bool"}
"""Those logical types that are one type of Arrow's; the others leave the width or the unit open."""
_PHYSICAL = {
    **dict.fromkeys(("bigint", "int64", "long", "int8"), "int64"),
    **dict.fromkeys(("int", "integer", "int32", "int4"), "int32"),
    **dict.fromkeys(("double", "double precision", "float64", "float8"), "float64"),
    **dict.fromkeys(("real", "float32", "float4"), "float32"),
}
_UNITS = {**dict.fromkeys(("d", "day", "days"), "d"), **dict.fromkeys(("h", "hour", "hours"), "h")} | {
    **dict.fromkeys(("m", "min", "minute", "minutes"), "m"), **dict.fromkeys(("w", "week", "weeks"), "w"),
}  # fmt: skip
_MOST = 1 << 62


def read(text: str, dataset: str) -> Taken:
    """What a contract promises of the table that is called as the dataset is, or of the only one in it.

    Raises:
        InvalidInput: it is no contract of version 3, or has several tables of which none is called so.
    """
    held = document_of(text, "data contract").value
    if not isinstance(held, dict) or not str(held.get("apiVersion", "")).startswith("v3"):
        raise InvalidInput("This is no data contract of ODCS version 3.", hint="It begins with apiVersion: v3.…")
    tables = {str(one.get("name")): one for one in listing(held.get("schema")) if isinstance(one, dict)}
    if not tables or (dataset not in tables and len(tables) > 1):
        raise InvalidInput(f"The contract has no table {dataset!r}.", hint=f"It has {', '.join(tables) or 'none'}.")
    name = dataset if dataset in tables else next(iter(tables))
    table, account = tables[name], Account()
    properties = [one for one in listing(table.get("properties")) if isinstance(one, dict) and "name" in one]
    for one in properties:
        _property(account, one, dataset)
    keys = sorted((one for one in properties if one.get("primaryKey")), key=_position)
    if keys:
        account.take("primaryKey", lambda: [Unique(tuple(str(one["name"]) for one in keys))])
    _rules(account, table, "", dataset)
    _relations(account, table, "")
    _promises(account, held, name)
    return account.taken()


def _position(one: Object) -> int:
    position = one.get("primaryKeyPosition")
    return position if isinstance(position, int) else 0


def _property(account: Account, one: Object, dataset: str) -> None:
    name = str(one["name"])
    account.take(f"property {name}", lambda: [HasColumns((name,))])
    if one.get("logicalType") or one.get("physicalType"):
        account.take(f"type of {name}", _type, name, one)
    if one.get("required") or one.get("primaryKey"):
        account.take(f"required of {name}", lambda: [NotNull(name)])
    if one.get("unique"):
        account.take(f"unique of {name}", lambda: [Unique((name,))])
    if one.get("enum"):
        account.take(f"enum of {name}", _enum, name, one)
    if one.get("physicalName") not in (None, name):
        account.note(
            f"Property {name} is called {one['physicalName']} where it is kept; here it is looked for by its name."
        )
    for key, value in below(one, "logicalTypeOptions").items():
        account.take(f"{key} of {name}", _option, name, key, value)
    _rules(account, one, name, dataset)
    _relations(account, one, name)


def _type(name: str, one: Object) -> Iterable[Expectation]:
    logical = str(one.get("logicalType", ""))
    wanted = _LOGICAL.get(logical) or _PHYSICAL.get(str(one.get("physicalType", "")).lower())
    if wanted is None:
        told = ", ".join(str(one[key]) for key in ("logicalType", "physicalType") if one.get(key))
        raise Untaken(f"{told} is not one type of Arrow's; say it with has_types")
    yield HasTypes({name: wanted})


def _enum(name: str, one: Object) -> Iterable[Expectation]:
    """The values that may stand there (since v3.2), each with a label, or on its own."""
    values: list[Any] = [each["value"] if isinstance(each, dict) else each for each in listing(one["enum"])]
    yield OneOf(name, tuple(value for value in values if value is not None))


def _option(name: str, key: str, value: Any) -> Iterable[Expectation]:
    match key:
        case "minimum":
            yield InRange(name, value)
        case "maximum":
            yield InRange(name, None, value)
        case "exclusiveMinimum" if not isinstance(value, bool):
            yield InRange(name, value, strict_minimum=True)
        case "exclusiveMaximum" if not isinstance(value, bool):
            yield InRange(name, None, value, strict_maximum=True)
        case "minLength":
            yield Length(name, integer(value))
        case "maxLength":
            yield Length(name, 0, integer(value))
        case "pattern":
            yield Matches(name, search(value))
        case _:
            raise Untaken(f"{key} has no equal here")


def _rules(account: Account, held: Object, column: str, dataset: str) -> None:
    for rule in listing(held.get("quality")):
        given = rule if isinstance(rule, dict) else {}
        kind = str(given.get("type") or "library")
        named = str(given.get("metric") or given.get("rule") or given.get("name") or kind)
        what = f"{named} of {column}" if column else named
        severity: Severity = "warning" if str(given.get("severity", "")).lower() in _MILD else "error"
        if kind == "custom" and str(given.get("engine", "")).lower().replace("_", "") == "greatexpectations":
            _foreign(account, given, column, dataset, severity)
        else:
            account.take(what, _rule, given, column, severity)


_MILD = ("warning", "warn", "info", "low", "minor")


def _rule(given: Object, column: str, severity: Severity) -> Iterable[Expectation]:
    kind = str(given.get("type") or "library")
    if kind != "library":
        reasons = {"text": "words are no check", "sql": "SQL that gives a figure has no equal here; no_rows finds rows"}
        raise Untaken(reasons.get(kind, f"checks of {given.get('engine') or kind} are not read"))
    metric = str(given.get("metric") or given.get("rule") or "")
    make = _METRICS.get(metric)
    if make is None:
        raise Untaken(f"the metric {metric or 'without a name'} has no equal here")
    return make(column, below(given, "arguments") or given, given, severity)


def _most(given: Object) -> tuple[float, float]:
    """What a figure may be: at least, at most; of whole numbers, so that strict ends are moved by one.

    Raises:
        Untaken: it is not bounded so.
    """
    low, high, strict = 0.0, float(_MOST), str(given.get("unit", "rows")) != "rows"
    for key, value in given.items():
        if key.startswith(("mustBe", "mustNot")):
            bounds = _OPERATORS.get(key)
            if bounds is None:
                raise Untaken(f"{key} has no equal here")
            if strict and key in ("mustBeLessThan", "mustBeGreaterThan"):
                raise Untaken(f"{key} of a share has no equal here; say it with mostly")
            below, above = bounds(value)
            low, high = max(low, below), min(high, above)
    if (low, high) == (0.0, float(_MOST)):
        raise Untaken("it compares with nothing")
    return low, high


_OPERATORS: dict[str, Callable[[Any], tuple[float, float]]] = {
    "mustBe": lambda v: (v, v),
    "mustBeGreaterThan": lambda v: (floor(v) + 1, _MOST),
    "mustBeGreaterOrEqualTo": lambda v: (v, _MOST),
    "mustBeGreaterThanOrEqualTo": lambda v: (v, _MOST),
    "mustBeLessThan": lambda v: (0, ceil(v) - 1),
    "mustBeLessOrEqualTo": lambda v: (0, v),
    "mustBeLessThanOrEqualTo": lambda v: (0, v),
    "mustBeBetween": lambda v: (v[0], v[1]),
}


def _mostly(given: Object) -> float:
    """The share of rows that must pass, for a metric that counts rows that fail.

    Raises:
        Untaken: it allows a number of rows, not a share.
    """
    low, high = _most(given)
    if low > 0 or (high > 0 and str(given.get("unit", "rows")) != "percent"):
        raise Untaken("a number of rows that may fail has no equal here; a share has, with mostly")
    return 1.0 - min(high, 100.0) / 100


def _nulls(column: str, arguments: Object, given: Object, severity: Severity) -> Iterable[Expectation]:
    yield NotNull(column, _mostly(given), severity)


def _missing(column: str, arguments: Object, given: Object, severity: Severity) -> Iterable[Expectation]:
    values = [value for value in listing(arguments.get("missingValues")) if value is not None]
    if values and _mostly(given) != 1:
        raise Untaken("a share of several ways to be missing has no equal here")
    if not values or None in listing(arguments.get("missingValues")):
        yield NotNull(column, _mostly(given), severity)
    if values:
        there: tuple[Any, ...] = tuple(values)
        yield NotOneOf(column, there, severity=severity)


def _invalid(column: str, arguments: Object, given: Object, severity: Severity) -> Iterable[Expectation]:
    values, pattern = listing(arguments.get("validValues")), arguments.get("pattern")
    if not values and not pattern:
        raise Untaken("it names no valid values and no pattern")
    if values and pattern and _mostly(given) != 1:
        raise Untaken("a share of several ways to be invalid has no equal here")
    if values:
        there: tuple[Any, ...] = tuple(value for value in values if value is not None)
        yield OneOf(column, there, _mostly(given), severity)
    if pattern:
        yield Matches(column, search(pattern), _mostly(given), severity)


def _duplicates(column: str, arguments: Object, given: Object, severity: Severity) -> Iterable[Expectation]:
    columns = (column,) if column else tuple(str(one) for one in listing(arguments.get("properties")))
    if not columns or _mostly(given) != 1:
        raise Untaken("it allows duplicates, or names no properties")
    yield Unique(columns, severity)


def _count(column: str, arguments: Object, given: Object, severity: Severity) -> Iterable[Expectation]:
    low, high = _most(given)
    yield RowCount(ceil(low), None if high >= _MOST else floor(high), severity)


_METRICS: dict[str, Callable[[str, Object, Object, Severity], Iterable[Expectation]]] = {
    "nullValues": _nulls,
    "nullCheck": _nulls,
    "missingValues": _missing,
    "invalidValues": _invalid,
    "validValues": _invalid,
    "duplicateValues": _duplicates,
    "duplicateCount": _duplicates,
    "uniqueCheck": _duplicates,
    "rowCount": _count,
}


def _foreign(account: Account, given: Object, column: str, dataset: str, severity: Severity) -> None:
    """A rule in the words of Great Expectations; its kwargs may be written as minValue or min_value."""
    held = given.get("implementation")
    try:
        parsed = read_yaml(held).value if isinstance(held, str) else held
    except InvalidInput as error:
        account.refuse("custom of greatExpectations", error.message)
        return
    if not isinstance(parsed, dict):
        account.refuse("custom of greatExpectations", "its implementation is not a mapping")
        return
    snake = {_snake(key): value for key, value in below(parsed, "kwargs").items()}
    placed = {"column": column, **snake} if column else snake
    kind = str(parsed.get("type") or parsed.get("expectation_type") or "")
    great_expectations.take(account, kind, placed, dataset, severity)


def _snake(key: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in key)


def _relations(account: Account, held: Object, column: str) -> None:
    for one in listing(held.get("relationships")):
        given = one if isinstance(one, dict) else {}
        account.take(f"relationship of {column or 'the table'}", _relation, given, column)


def _relation(given: Object, column: str) -> Iterable[Expectation]:
    ends = [str(one) for one in listing(given["to"])]
    starts = [str(one) for one in listing(given.get("from"))] or [column]
    tables = {end.rpartition(".")[0].rpartition(".")[2] for end in ends}
    if len(tables) != 1 or "" in tables or "/" in "".join(ends):
        raise Untaken(f"{', '.join(ends)} does not name columns of one table")
    columns, keys = (tuple(one.rpartition(".")[2] for one in side) for side in (starts, ends))
    yield References(columns, tables.pop(), keys)


def _promises(account: Account, held: Object, table: str) -> None:
    """The promises of service that can be checked on data: how old the newest row may be."""
    for one in listing(held.get("slaProperties")):
        given = one if isinstance(one, dict) else {}
        element = str(given.get("element") or held.get("slaDefaultElement") or "")
        if given.get("property") in ("latency", "ly", "freshness") and element.partition(".")[0] in (table, element):
            account.take(f"sla {given['property']}", _fresh, given, element)
        elif given.get("property") in ("latency", "ly", "freshness", "frequency", "fy"):
            account.refuse(f"sla {given['property']}", f"it is of {element or 'no column'}, or no property of the rows")


def _fresh(given: Object, element: str) -> Iterable[Expectation]:
    unit = _UNITS.get(str(given.get("unit", "")))
    if unit is None or not element:
        raise Untaken(f"a span in {given.get('unit') or 'no unit'} has no equal here")
    yield Freshness(element.rpartition(".")[2], f"{given['value']}{unit}")
