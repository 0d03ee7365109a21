"""Tests of dbt: the `schema.yml` of models, sources, seeds and snapshots, with the basics of dbt_utils."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from everloop.datasets.quality.expectations import (
    DistinctInRange,
    Expectation,
    Freshness,
    HasColumns,
    InRange,
    Length,
    NoRows,
    NotNull,
    OneOf,
    References,
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
    mapping,
    quoted,
    twins_of,
)
from everloop.kernel.errors import InvalidInput
from everloop.kernel.usecase import Json

_CONFIG = {"config", "name", "description", "severity", "tags", "meta", "arguments", "quote", "test_name"}
_LIMITS = ("where", "error_if", "warn_if", "fail_calc", "limit")
_TO = re.compile(r"(?:ref|source)\(\s*(?:'[^']*'\s*,\s*|\"[^\"]*\"\s*,\s*)?['\"]([^'\"]+)['\"]\s*\)")
_SPANS = {"minute": "m", "hour": "h", "day": "d", "week": "w"}


def read(text: str, dataset: str) -> Taken:
    """What the tests of a dbt model expect: the model that is called as the dataset is, or the only one in the file.

    Raises:
        InvalidInput: it is no such file, or has several models of which none is called so.
    """
    held = document_of(text, "schema.yml of dbt").value
    tables = dict(_tables(held if isinstance(held, dict) else {}))
    if not tables:
        raise InvalidInput("The file has no models, sources, seeds or snapshots.", hint="Choose a schema.yml of dbt.")
    if dataset not in tables and len(tables) > 1:
        raise InvalidInput(f"The file has no model {dataset!r}.", hint=f"It has {', '.join(sorted(tables))}.")
    table = tables.get(dataset) or next(iter(tables.values()))
    account = Account()
    columns = [column for column in listing(table.get("columns")) if isinstance(column, dict) and "name" in column]
    sure = {str(column["name"]) for column in columns if _never_null(column)}
    enforced = below(below(table, "config"), "contract").get("enforced") is True
    for column in columns:
        _column(account, column, dataset, sure)
        if enforced and column.get("data_type"):
            account.refuse(f"data_type of {column['name']}", "types of SQL are not one type of Arrow's; say has_types")
    for test in _tests(table):
        _test(account, test, "", dataset, sure)
    _constraints(account, table, "", dataset)
    _freshness(account, table)
    return account.taken()


def _tables(held: Object) -> Iterator[tuple[str, Object]]:
    for kind in ("models", "seeds", "snapshots"):
        yield from (
            (str(one["name"]), one) for one in listing(held.get(kind)) if isinstance(one, dict) and "name" in one
        )
    for source in listing(held.get("sources")):
        if isinstance(source, dict):
            inherited = _freshness_of(source)
            for one in listing(source.get("tables")):
                if isinstance(one, dict) and "name" in one:
                    yield str(one["name"]), inherited | one | _freshness_of(one)


def _freshness_of(held: Object) -> Object:
    """What is said of freshness, at the source or the table itself or (since 1.9) below its config."""
    told = held | below(held, "config")
    return {key: told[key] for key in ("freshness", "loaded_at_field") if key in told}


def _tests(held: Object) -> list[Json]:
    return [*listing(held.get("tests")), *listing(held.get("data_tests"))]


def _never_null(column: Object) -> bool:
    constraints = [one.get("type") for one in listing(column.get("constraints")) if isinstance(one, dict)]
    return "not_null" in _tests(column) or bool({"not_null", "primary_key"} & set(constraints))


def _column(account: Account, column: Object, dataset: str, sure: set[str]) -> None:
    name = str(column["name"])
    tests = _tests(column)
    for test in tests:
        _test(account, test, name, dataset, sure)
    _constraints(account, column, name, dataset)
    if tests:
        account.take(f"column {name}", lambda: [HasColumns((name,))])


def _test(account: Account, test: Json, column: str, dataset: str, sure: set[str]) -> None:
    kind, held = _named(test)
    what = f"{kind} of {column}" if column else kind
    told = held | below(held, "config")
    severity: Severity = "warning" if str(told.get("severity", "error")).lower() == "warn" else "error"
    limits = [limit for limit in _LIMITS if told.get(limit) is not None]
    given = {key: value for key, value in held.items() if key not in _CONFIG and key not in _LIMITS}
    given |= below(held, "arguments")
    if limits:
        account.refuse(what, f"{', '.join(limits)} has no equal here; say it as no_rows with SQL")
    elif any("{{" in str(value) for value in given.values() if _TO.search(str(value)) is None):
        account.refuse(what, "Jinja is not rendered here")
    elif kind.startswith("dbt_expectations."):
        kwargs: Object = {"column": column, **given} if column else given
        great_expectations.take(account, kind.partition(".")[2], kwargs, dataset, severity, never_null=sure)
    else:
        account.take(what, _made, kind, Test(column, dataset, given, severity, column in sure))


def _named(test: Json) -> tuple[str, Object]:
    """The name of a test, and what stands below it."""
    if not isinstance(test, dict):
        return str(test), {}
    if "test_name" in test:
        return str(test["test_name"]), test
    kind = next((key for key, value in test.items() if key not in _CONFIG), "a test without a name")
    held = test.get(kind)
    return kind, {
        **{key: value for key, value in test.items() if key != kind},
        **(held if isinstance(held, dict) else {}),
    }


class Test:
    """A test of dbt: where it stands, and its arguments (of whatever types)."""

    def __init__(self, column: str, dataset: str, given: Object, severity: Severity, never_null: bool) -> None:
        self.dataset = dataset
        self.given: dict[str, Any] = given
        self.severity = severity
        self.never_null = never_null
        self._column = column

    @property
    def column(self) -> str:
        """The column.

        Raises:
            Untaken: it stands at a table.
        """
        column = self._column or self.given.get("column_name")
        if not column:
            raise Untaken("it names no column")
        return str(column)

    @property
    def place(self) -> str:
        """The column, or nothing at a table."""
        return self._column


def _made(kind: str, test: Test) -> Iterable[Expectation]:
    make = _TESTS.get(kind.removeprefix("dbt."))
    if make is None:
        raise Untaken(f"{kind} has no equal here; say it as no_rows with SQL")
    return make(test)


def _unique(t: Test) -> Iterable[Expectation]:
    if t.never_null:
        return [Unique((t.column,), t.severity)]
    return [NoRows(twins_of([t.column], t.dataset), severity=t.severity)]  # Missing values do not count there.


def _accepted(t: Test) -> Iterable[Expectation]:
    values: tuple[Any, ...] = tuple(value for value in listing(t.given["values"]) if value is not None)
    yield OneOf(t.column, values, severity=t.severity)


def _relationship(t: Test) -> Iterable[Expectation]:
    to = str(t.given["to"])
    found = _TO.search(to)
    if found is None and "(" in to:
        raise Untaken(f"{to} names no dataset that is known here")
    yield References((t.column,), found[1] if found else to, (str(t.given["field"]),), severity=t.severity)


def _combination(t: Test) -> Iterable[Expectation]:
    columns = tuple(str(one) for one in listing(t.given["combination_of_columns"]))
    yield Unique(columns, t.severity)


def _range(t: Test) -> Iterable[Expectation]:
    low, high, strict = t.given.get("min_value"), t.given.get("max_value"), t.given.get("inclusive", True) is False
    if low is None and high is None:
        raise Untaken("it names no end")
    if any(isinstance(end, str) for end in (low, high)):
        raise Untaken("ends that are SQL have no equal here; say it as no_rows with SQL")
    yield InRange(t.column, low, high, 1.0, t.severity, strict and low is not None, strict and high is not None)


def _share(t: Test) -> Iterable[Expectation]:
    if t.given.get("at_most", 1) not in (1, 1.0):
        raise Untaken("a highest share of values that are there has no equal here")
    yield NotNull(t.column, float(t.given["at_least"]), t.severity)


def _true(t: Test) -> Iterable[Expectation]:
    condition = f"{quoted(t.place)} {t.given['expression']}" if t.place else str(t.given["expression"])
    yield NoRows(f"SELECT * FROM {quoted(t.dataset)} WHERE NOT ({condition})", severity=t.severity)  # noqa: S608 - SQL it is


def _recent(t: Test) -> Iterable[Expectation]:
    yield Freshness(str(t.given["field"]), _span(t.given["interval"], t.given["datepart"]), t.severity)


_TESTS: dict[str, Callable[[Test], Iterable[Expectation]]] = {
    "not_null": lambda t: [NotNull(t.column, severity=t.severity)],
    "unique": _unique,
    "accepted_values": _accepted,
    "relationships": _relationship,
    "dbt_utils.unique_combination_of_columns": _combination,
    "dbt_utils.accepted_range": _range,
    "dbt_utils.not_null_proportion": _share,
    "dbt_utils.expression_is_true": _true,
    "dbt_utils.not_empty_string": lambda t: [Length(t.column, 1, severity=t.severity)],
    "dbt_utils.not_constant": lambda t: [DistinctInRange(t.column, 2, severity=t.severity)],
    "dbt_utils.at_least_one": lambda t: [DistinctInRange(t.column, 1, severity=t.severity)],
    "dbt_utils.recency": _recent,
}


def _span(count: Json, unit: Json) -> str:
    if str(unit) not in _SPANS:
        raise Untaken(f"spans of {unit} have no equal here")
    return f"{integer(count)}{_SPANS[str(unit)]}"


def _constraints(account: Account, held: Object, column: str, dataset: str) -> None:
    """The constraints of a contract; of a column, or of a table, which names its columns."""
    for one in listing(held.get("constraints")):
        given = one if isinstance(one, dict) else {}
        columns = (column,) if column else tuple(str(name) for name in listing(given.get("columns")))
        kind = str(given.get("type", ""))
        account.take(f"constraint {kind} of {', '.join(columns)}", _constraint, kind, columns, given, dataset)


def _constraint(kind: str, columns: tuple[str, ...], given: Object, dataset: str) -> Iterable[Expectation]:
    if kind == "check":
        return [NoRows(f"SELECT * FROM {quoted(dataset)} WHERE NOT ({given['expression']})")]  # noqa: S608 - SQL it is
    if not columns or kind not in ("not_null", "unique", "primary_key"):
        raise Untaken(f"the constraint {kind or 'without a type'} has no equal here")
    nulls = [NotNull(name) for name in columns] if kind != "unique" else []
    if kind == "unique":
        return [NoRows(twins_of(columns, dataset))]
    return [*nulls, Unique(columns)] if kind == "primary_key" else nulls


def _freshness(account: Account, table: Object) -> None:
    held, field = table.get("freshness"), table.get("loaded_at_field")
    levels: tuple[tuple[str, Severity], ...] = (("error_after", "error"), ("warn_after", "warning"))
    for key, severity in levels:
        if isinstance(held, dict) and held.get(key):
            account.take(f"freshness {key}", _fresh, held, field, key, severity)


def _fresh(held: Object, field: Json, key: str, severity: Severity) -> Iterable[Expectation]:
    span = mapping(held[key], key)
    if not field or held.get("filter"):
        raise Untaken("it names no loaded_at_field, or filters")
    yield Freshness(str(field), _span(span["count"], span["period"]), severity)
