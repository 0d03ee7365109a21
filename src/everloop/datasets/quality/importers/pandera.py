"""Schemas of pandera, as its `to_yaml` and `to_json` write them, of its pandas and Polars backends."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from everloop.datasets.quality.expectations import (
    ColumnOrder,
    Expectation,
    HasColumns,
    HasTypes,
    InRange,
    Length,
    Matches,
    NotNull,
    NotOneOf,
    OneOf,
    Severity,
    Unique,
)
from everloop.datasets.quality.importers.taken import (
    Account,
    Object,
    Taken,
    Untaken,
    below,
    document_of,
    integer,
    listing,
    literally,
    mapping,
    search,
    starting,
)
from everloop.kernel.errors import InvalidInput
from everloop.kernel.usecase import Json

TYPES = {
    **{f"{sign}int{bits}": f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)},
    **{f"{sign}Int{bits}": f"{sign.lower()}int{bits}" for sign in ("", "U") for bits in (8, 16, 32, 64)},
    **{f"UInt{bits}": f"uint{bits}" for bits in (8, 16, 32, 64)},
    **dict.fromkeys(("float64", "Float64", "float"), "float64"),
    **dict.fromkeys(("float32", "Float32"), "float32"),
    **dict.fromkeys(("bool", "boolean", "Boolean"), "bool"),
    **dict.fromkeys(("str", "object", "string", "string[python]", "string[pyarrow]", "String", "Utf8"), "string"),
    **dict.fromkeys(("date", "Date"), "date32[day]"),
}
_SAID = {"title", "description", "metadata", "name", "report_duplicates"}
"""What only describes."""
_COLUMN = _SAID | {"dtype", "nullable", "unique", "required", "regex", "coerce", "checks", "drop_invalid_rows"}
_COLUMN |= {"default", "parsers"}
_TOP = _SAID | {"schema_type", "api", "version", "columns", "checks", "index", "dtype", "coerce", "strict", "ordered"}
_TOP |= {"unique", "unique_column_names", "add_missing_columns", "drop_invalid_rows", "parsers"}


def read(text: str, dataset: str) -> Taken:
    """What a schema of pandera expects.

    Raises:
        InvalidInput: it is no such schema.
    """
    held = document_of(text, "schema of pandera").value
    if not isinstance(held, dict) or not (isinstance(held.get("columns"), dict) or "schema_type" in held):
        raise InvalidInput("The file has no columns of a pandera schema.", hint="Write it with schema.to_yaml().")
    account, columns = Account(), below(held, "columns")
    for name in columns:
        _column(account, name, below(columns, name))
    _table(account, held, list(columns))
    return account.taken()


def _column(account: Account, name: str, given: Object) -> None:
    if given.get("regex"):
        account.refuse(f"column {name}", "columns named by a pattern have no equal here")
        return
    if given.get("required") is False:
        account.note(f"Column {name} may be absent there; here what is expected of it fails without it.")
    else:
        account.take(f"column {name}", lambda: [HasColumns((name,))])
    if given.get("dtype") is not None:
        account.take(f"dtype of {name}", _type, account, name, given)
    if not given.get("nullable"):
        account.take(f"nullable of {name}", lambda: [NotNull(name)])
    if given.get("unique"):
        account.take(f"unique of {name}", lambda: [Unique((name,))])
    for key in ("drop_invalid_rows", "default", "parsers"):
        if given.get(key):
            account.refuse(f"{key} of {name}", "checks change no data here")
    for check, value in _checks(given):
        account.take(f"{check} of {name}", _check, check, name, value)


def _checks(given: Object) -> Iterator[tuple[str, Json]]:
    """The checks of a column: beside its other fields, as pandera writes them now, or below `checks`, as it did."""
    yield from ((key, value) for key, value in given.items() if key not in _COLUMN)
    yield from below(given, "checks").items()
    for check in listing(given.get("checks")):
        if isinstance(check, dict) and not isinstance(given["checks"], dict):
            yield str(below(check, "options").get("check_name") or check.get("name", "a check")), check


def _type(account: Account, name: str, given: Object) -> Iterable[Expectation]:
    wanted = str(given["dtype"])
    if wanted not in TYPES:
        raise Untaken(f"{wanted} is not one type of Arrow's; say it with has_types")
    if given.get("coerce"):
        account.note("Values are not coerced here: types are checked as they are.")
    yield HasTypes({name: TYPES[wanted]})


def _check(check: str, column: str, given: Json) -> Iterable[Expectation]:
    make = _CHECKS.get(check)
    if make is None:
        raise Untaken(f"{check} is no check that pandera itself has")
    options: Object = {}
    if isinstance(given, dict):
        held = mapping(given.get("options") or {}, "options")
        options = {key: given[key] for key in _OPTIONS & given.keys()} | held
        given = {key: value for key, value in given.items() if key not in _OPTIONS}
        if set(given) <= {"value"} or (len(given) == 1 and check not in ("in_range", "str_length")):
            given = next(iter(given.values()), None)
    if options.get("ignore_na") is False or options.get("groupby"):
        raise Untaken("checks of missing values or of groups have no equal here")
    severity: Severity = "warning" if options.get("raise_warning") else "error"
    return make(column, given, severity)


_OPTIONS = frozenset(
    (
        "options",
        "raise_warning",
        "ignore_na",
        "n_failure_cases",
        "check_name",
        "title",
        "description",
        "groupby",
        "error",
    )
)
Make = Callable[[str, Any, Severity], Iterable[Expectation]]


def _in_range(column: str, given: Any, severity: Severity) -> Iterable[Expectation]:
    low, high = given["min_value"], given["max_value"]
    strict = (given.get("include_min", True) is False, given.get("include_max", True) is False)
    yield InRange(column, low, high, 1.0, severity, *strict)


def _length(column: str, given: Any, severity: Severity) -> Iterable[Expectation]:
    given = given if isinstance(given, dict) else {"exact_value": given}
    exact = given.get("exact_value")
    low, high = (exact, exact) if exact is not None else (given.get("min_value"), given.get("max_value"))
    yield Length(column, integer(low or 0), None if high is None else integer(high), severity=severity)


def _values(given: Any) -> tuple[Any, ...]:
    if not isinstance(given, list) or any(isinstance(value, list | dict) for value in given):
        raise Untaken("the values are not a list")
    return tuple(value for value in given if value is not None)


_CHECKS: dict[str, Make] = {
    "equal_to": lambda c, v, s: [OneOf(c, (v,), severity=s)],
    "not_equal_to": lambda c, v, s: [NotOneOf(c, (v,), severity=s)],
    "greater_than": lambda c, v, s: [InRange(c, v, None, 1.0, s, strict_minimum=True)],
    "greater_than_or_equal_to": lambda c, v, s: [InRange(c, v, severity=s)],
    "less_than": lambda c, v, s: [InRange(c, None, v, 1.0, s, strict_maximum=True)],
    "less_than_or_equal_to": lambda c, v, s: [InRange(c, None, v, severity=s)],
    "in_range": _in_range,
    "isin": lambda c, v, s: [OneOf(c, _values(v), severity=s)],
    "notin": lambda c, v, s: [NotOneOf(c, _values(v), severity=s)],
    "str_matches": lambda c, v, s: [Matches(c, starting(v), severity=s)],
    "str_contains": lambda c, v, s: [Matches(c, search(v), severity=s)],
    "str_startswith": lambda c, v, s: [Matches(c, f"{literally(v)}(?s:.*)", severity=s)],
    "str_endswith": lambda c, v, s: [Matches(c, f"(?s:.*){literally(v)}", severity=s)],
    "str_length": _length,
}


def _table(account: Account, held: Object, names: list[str]) -> None:
    columns = tuple(names)
    if held.get("strict") is True:
        account.take("strict", lambda: [HasColumns(columns, only=True)])
    elif held.get("strict"):
        account.refuse("strict: filter", "checks change no data here")
    if held.get("ordered"):
        account.take("ordered", lambda: [ColumnOrder(columns)])
    if held.get("unique"):
        account.take("unique", lambda: [Unique(tuple(str(name) for name in listing(held["unique"])))])
    if held.get("coerce"):
        account.note("Values are not coerced here: types are checked as they are.")
    for key in ("checks", "index", "dtype", "add_missing_columns", "drop_invalid_rows", "parsers"):
        if held.get(key):
            account.refuse(key, _REASONS.get(key, "checks change no data here"))
    for key in held.keys() - _TOP:
        account.refuse(key, "it is not known here")


_REASONS = {
    "checks": "checks of whole frames are code; say them as no_rows with SQL",
    "index": "tables have no index here; expect things of a column",
    "dtype": "one type for all columns has no equal here; say it with has_types",
}
