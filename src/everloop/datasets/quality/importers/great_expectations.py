"""Suites of Great Expectations: the JSON of an ExpectationSuite, of 1.x (`type`) and 0.x (`expectation_type`)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from everloop.datasets.quality.expectations import (
    AllNull,
    ColumnOrder,
    Compare,
    DistinctInRange,
    Expectation,
    HasColumns,
    HasTypes,
    Increasing,
    InRange,
    Length,
    Matches,
    MeanInRange,
    NoRows,
    NotMatches,
    NotNull,
    NotOneOf,
    OneOf,
    Operator,
    QuantileInRange,
    RowCount,
    Severity,
    StdInRange,
    SumInRange,
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
    quoted,
    search,
    twins_of,
)
from everloop.kernel.errors import InvalidInput
from everloop.kernel.usecase import Json

Arguments = dict[str, Any]
"""The `kwargs` of an expectation, of whatever types it takes."""
TYPES = {
    **dict.fromkeys(("int", "int64", "INTEGER", "BIGINT", "LongType", "Int64"), "int64"),
    **dict.fromkeys(("int32", "IntegerType", "Int32"), "int32"),
    **dict.fromkeys(("float", "float64", "DOUBLE", "DOUBLE_PRECISION", "DoubleType", "Float64"), "float64"),
    **dict.fromkeys(("float32", "FloatType", "Float32"), "float32"),
    **dict.fromkeys(("bool", "boolean", "BOOLEAN", "BooleanType", "bool_"), "bool"),
    **dict.fromkeys(("str", "object", "string", "TEXT", "VARCHAR", "StringType", "String"), "string"),
    **dict.fromkeys(("date", "DATE", "DateType"), "date32[day]"),
}


def read(text: str, dataset: str) -> Taken:
    """What a suite of Great Expectations expects.

    Raises:
        InvalidInput: it is no such suite.
    """
    held = document_of(text, "suite of Great Expectations").value
    listed = held.get("expectations") if isinstance(held, dict) else None
    if not isinstance(listed, list):
        raise InvalidInput("The file has no list of expectations.", hint="Export the suite with suite.to_json_dict().")
    account = Account()
    uniques = {one for one in map(_never_null, listed) if one}
    for position, one in enumerate(listed, 1):
        if not isinstance(one, dict):
            account.refuse(f"expectation {position}", "it is not a mapping")
            continue
        kind = str(one.get("type") or one.get("expectation_type") or "")
        kwargs = below(one, "kwargs")
        severity: Severity = "error" if one.get("severity", "critical") == "critical" else "warning"
        take(account, kind, kwargs, dataset, severity, never_null=uniques)
    return account.taken()


def take(
    account: Account,
    kind: str,
    kwargs: Object,
    dataset: str,
    severity: Severity = "error",
    *,
    never_null: Iterable[str] = (),
) -> None:
    """Take one expectation, or list it with the reason why not."""
    column = kwargs.get("column")
    given = Given(kwargs, dataset, severity, account, column in set(never_null))
    account.take(f"{kind} of {column}" if column else kind, _made, kind, given)


def _made(kind: str, given: Given) -> Iterable[Expectation]:
    if given.kwargs.get("row_condition") or given.kwargs.get("condition_parser"):
        raise Untaken("conditions on rows have no equal here; say it as no_rows with SQL")
    make = _KINDS.get(kind)
    if make is None:
        raise Untaken(f"{kind or 'an expectation without a type'} has no equal here")
    return make(given)


class Given:
    """The arguments of one expectation, read as its kind needs them."""

    def __init__(self, kwargs: Object, dataset: str, severity: Severity, account: Account, never_null: bool) -> None:
        self.kwargs: Arguments = kwargs
        self.dataset = dataset
        self.severity = severity
        self.account = account
        self.never_null = never_null

    @property
    def column(self) -> str:
        """The column."""
        return str(self.kwargs["column"])

    @property
    def mostly(self) -> float:
        """The share of rows that must pass."""
        return float(self.kwargs.get("mostly", 1.0) if self.kwargs.get("mostly") is not None else 1.0)

    @property
    def common(self) -> Arguments:
        """What row by row expectations share."""
        return {"mostly": self.mostly, "severity": self.severity}

    def ends(self, *, strict: bool = False) -> tuple[Any, Any]:
        """Both ends, of which one may be open.

        Raises:
            Untaken: there are none, or they are strict where that cannot be said.
        """
        low, high = self.kwargs.get("min_value"), self.kwargs.get("max_value")
        if low is None and high is None:
            raise Untaken("it names no end")
        if not strict and (self.kwargs.get("strict_min") or self.kwargs.get("strict_max")):
            raise Untaken("strict ends have no equal here for this")
        if isinstance(low, dict) or isinstance(high, dict):
            raise Untaken("ends that are evaluated at run time have no equal here")
        return low, high

    def whole_ends(self) -> tuple[int, int | None]:
        """Both ends of a count; strict ones moved by one."""
        low, high = self.ends(strict=True)
        bottom = 0 if low is None else integer(low) + bool(self.kwargs.get("strict_min"))
        return bottom, None if high is None else integer(high) - bool(self.kwargs.get("strict_max"))

    def values(self, key: str = "value_set") -> tuple[Any, ...]:
        """A list of values; missing ones are not judged, so they are left out."""
        given = self.kwargs[key]
        if not isinstance(given, list) or any(isinstance(value, list | dict) for value in given):
            raise Untaken(f"{key} is not a list of values")
        return tuple(value for value in given if value is not None)

    def everywhere(self) -> None:
        """Refuse a share, where all rows are meant.

        Raises:
            Untaken: there is one.
        """
        if self.mostly != 1:
            raise Untaken("a share (mostly) of this has no equal here")


def _between(g: Given) -> Iterable[Expectation]:
    low, high = g.ends(strict=True)
    strict = bool(g.kwargs.get("strict_min")), bool(g.kwargs.get("strict_max"))
    yield InRange(g.column, low, high, g.mostly, g.severity, *strict)


def _unique(g: Given) -> Iterable[Expectation]:
    g.everywhere()
    if g.never_null:
        return [Unique((g.column,), g.severity)]
    return [NoRows(twins_of([g.column], g.dataset), severity=g.severity)]  # Missing values do not count there.


def _compound(g: Given) -> Iterable[Expectation]:
    g.everywhere()
    if g.kwargs.get("ignore_row_if") not in (None, "all_values_are_missing", "never"):
        raise Untaken(f"ignore_row_if: {g.kwargs['ignore_row_if']} has no equal here")
    g.account.note("Keys of several columns: rows that miss all of them count as equal here.")
    yield Unique(tuple(map(str, g.values("column_list"))), g.severity)


def _count(g: Given) -> Iterable[Expectation]:
    low, high = g.whole_ends()
    yield RowCount(low, high, g.severity)


def _exact_count(g: Given) -> Iterable[Expectation]:
    rows = integer(g.kwargs["value"])
    yield RowCount(rows, rows, g.severity)


def _length(g: Given) -> Iterable[Expectation]:
    low, high = g.whole_ends()
    yield Length(g.column, low, high, **g.common)


def _same_length(g: Given) -> Iterable[Expectation]:
    size = integer(g.kwargs["value"])
    yield Length(g.column, size, size, **g.common)


def _patterns(g: Given) -> Iterable[Expectation]:
    wanted = g.values("regex_list")
    if g.kwargs.get("match_on", "any") == "any":
        return [Matches(g.column, search("|".join(f"(?:{one})" for one in wanted)), **g.common)]
    g.everywhere()
    return [Matches(g.column, search(one), **g.common) for one in wanted]


def _without(g: Given) -> Iterable[Expectation]:
    wanted = g.values("regex_list")
    yield NotMatches(g.column, search("|".join(f"(?:{one})" for one in wanted)), **g.common)


def _column_there(g: Given) -> Iterable[Expectation]:
    if g.kwargs.get("column_index") is not None:
        raise Untaken("the place of a column has no equal here; column_order says the order")
    yield HasColumns((g.column,), severity=g.severity)


def _column_set(g: Given) -> Iterable[Expectation]:
    exact = g.kwargs.get("exact_match", True) is not False
    yield HasColumns(tuple(map(str, g.values("column_set"))), exact, g.severity)


def _column_list(g: Given) -> Iterable[Expectation]:
    names = tuple(map(str, g.values("column_list")))
    return [HasColumns(names, True, g.severity), ColumnOrder(names, g.severity)]


def _of_figure(kind: Callable[..., Expectation]) -> Callable[[Given], Iterable[Expectation]]:
    return lambda g: [kind(g.column, *g.ends(), severity=g.severity)]


def _quantile(quantile: float) -> Callable[[Given], Iterable[Expectation]]:
    def make(g: Given) -> Iterable[Expectation]:
        low, high = g.ends()
        if any(isinstance(end, str) for end in (low, high)):
            raise Untaken("only the lowest and highest of numbers can be judged here")
        yield QuantileInRange(g.column, quantile, low, high, g.severity)

    return make


def _median(g: Given) -> Iterable[Expectation]:
    g.account.note("A median between two values is the lower of them here, not their mean.")
    return _quantile(0.5)(g)


def _quantiles(g: Given) -> Iterable[Expectation]:
    ranges: Arguments = mapping(g.kwargs["quantile_ranges"], "quantile_ranges")
    g.account.note("Quantiles between two values are the lower of them here; nothing is interpolated.")
    for quantile, (low, high) in zip(ranges["quantiles"], ranges["value_ranges"], strict=True):
        yield QuantileInRange(g.column, float(quantile), low, high, g.severity)


def _distinct(g: Given) -> Iterable[Expectation]:
    low, high = g.whole_ends()
    yield DistinctInRange(g.column, low, high, g.severity)


def _present(g: Given) -> Iterable[Expectation]:
    low, high = g.ends()
    if high not in (None, 1, 1.0) or low is None:
        raise Untaken("a highest share of values that are there has no equal here")
    yield NotNull(g.column, float(low), g.severity)


def _pair(operator: Operator) -> Callable[[Given], Iterable[Expectation]]:
    def make(g: Given) -> Iterable[Expectation]:
        if g.kwargs.get("ignore_row_if", "both_values_are_missing") != "either_value_is_missing":
            g.account.note("Two columns are compared only in rows that have both.")
        sign: Operator = ">=" if operator == ">" and g.kwargs.get("or_equal") else operator
        yield Compare(str(g.kwargs["column_A"]), sign, str(g.kwargs["column_B"]), **g.common)

    return make


def _type(g: Given) -> Iterable[Expectation]:
    wanted = listing(g.kwargs.get("type_")) or listing(g.kwargs.get("type_list"))
    known = {TYPES.get(str(one)) for one in wanted}
    if len(known) != 1 or None in known:
        raise Untaken(f"{', '.join(map(str, wanted))} is not one type of Arrow's")
    yield HasTypes({g.column: str(known.pop())}, g.severity)


def _increasing(g: Given) -> Iterable[Expectation]:
    yield Increasing(g.column, bool(g.kwargs.get("strictly")), **g.common)


def _like(kind: Callable[..., Expectation]) -> Callable[[Given], Iterable[Expectation]]:
    def make(g: Given) -> Iterable[Expectation]:
        patterns = listing(g.kwargs.get("like_pattern")) or list(g.values("like_pattern_list"))
        written = "|".join(literally(one).replace("%", "(?s:.*)").replace("_", "(?s:.)") for one in patterns)
        yield kind(g.column, written if kind is Matches else f"\\A(?:{written})\\z", **g.common)

    return make


def _query(g: Given) -> Iterable[Expectation]:
    sql = str(g.kwargs["unexpected_rows_query"])
    yield NoRows(sql.replace("{batch}", quoted(g.dataset)), severity=g.severity)


def write(dataset: str, expectations: tuple[Expectation, ...]) -> str:
    """A suite as the JSON of an ExpectationSuite (1.x); what has no equal there is listed in `meta.not_exported`."""
    told, left = [], []
    for one in expectations:
        found = _written(one)
        if found is None:
            left.append(msgspec.to_builtins(one))
            continue
        kind, kwargs = found
        mostly = getattr(one, "mostly", 1.0)
        kwargs = {key: value for key, value in kwargs.items() if value is not None}
        kwargs |= {"mostly": mostly} if mostly != 1 else {}
        severity = "critical" if one.severity == "error" else "warning"
        told.append({"type": kind, "kwargs": kwargs, "meta": {}, "severity": severity})
    suite = {"name": dataset, "expectations": told, "meta": {"not_exported": left}}
    return msgspec.json.format(msgspec.json.encode(suite), indent=2).decode() + "\n"


def _written(one: Expectation) -> tuple[str, Arguments] | None:  # noqa: C901 - a line for each kind
    """The name and the arguments that an expectation has there, if it has an equal."""
    match one:
        case NotNull(column=column):
            return "expect_column_values_to_not_be_null", {"column": column}
        case AllNull(column=column):
            return "expect_column_values_to_be_null", {"column": column}
        case InRange():
            strict = {"strict_min": one.strict_minimum or None, "strict_max": one.strict_maximum or None}
            ends = {"column": one.column, "min_value": one.minimum, "max_value": one.maximum}
            return "expect_column_values_to_be_between", ends | strict
        case OneOf(column=column, values=values):
            return "expect_column_values_to_be_in_set", {"column": column, "value_set": list(values)}
        case NotOneOf(column=column, values=values):
            return "expect_column_values_to_not_be_in_set", {"column": column, "value_set": list(values)}
        case Matches(column=column, pattern=pattern):
            whole = rf"\A(?:{pattern})\Z"
            return "expect_column_values_to_match_regex", {"column": column, "regex": whole}
        case NotMatches(column=column, pattern=pattern):
            return "expect_column_values_to_not_match_regex", {"column": column, "regex": pattern}
        case Length():
            ends = {"column": one.column, "min_value": one.minimum, "max_value": one.maximum}
            return "expect_column_value_lengths_to_be_between", ends
        case RowCount(minimum=low, maximum=high):
            return "expect_table_row_count_to_be_between", {"min_value": low, "max_value": high}
        case HasColumns(columns=columns, only=only):
            return "expect_table_columns_to_match_set", {"column_set": list(columns), "exact_match": only}
        case MeanInRange() | StdInRange() | SumInRange():
            figure = {MeanInRange: "mean", StdInRange: "stdev", SumInRange: "sum"}[type(one)]
            ends = {"column": one.column, "min_value": one.minimum, "max_value": one.maximum}
            return f"expect_column_{figure}_to_be_between", ends
    return None


def _never_null(one: Json) -> str:
    """The column that an expectation says is never missing."""
    if not isinstance(one, dict) or not isinstance(one.get("kwargs"), dict):
        return ""
    kwargs, kind = one["kwargs"], one.get("type") or one.get("expectation_type")
    sure = kind == "expect_column_values_to_not_be_null" and kwargs.get("mostly") in (None, 1, 1.0)
    return str(kwargs.get("column", "")) if sure and one.get("severity", "critical") == "critical" else ""


_KINDS: dict[str, Callable[[Given], Iterable[Expectation]]] = {
    "expect_column_values_to_not_be_null": lambda g: [NotNull(g.column, **g.common)],
    "expect_column_values_to_be_null": lambda g: [AllNull(g.column, **g.common)],
    "expect_column_values_to_be_unique": _unique,
    "expect_compound_columns_to_be_unique": _compound,
    "expect_column_values_to_be_in_set": lambda g: [OneOf(g.column, g.values(), **g.common)],
    "expect_column_distinct_values_to_be_in_set": lambda g: [OneOf(g.column, g.values(), severity=g.severity)],
    "expect_column_values_to_not_be_in_set": lambda g: [NotOneOf(g.column, g.values(), **g.common)],
    "expect_column_values_to_be_between": _between,
    "expect_column_values_to_match_regex": lambda g: [Matches(g.column, search(g.kwargs["regex"]), **g.common)],
    "expect_column_values_to_not_match_regex": lambda g: [NotMatches(g.column, search(g.kwargs["regex"]), **g.common)],
    "expect_column_values_to_match_regex_list": _patterns,
    "expect_column_values_to_not_match_regex_list": _without,
    "expect_column_values_to_match_like_pattern": _like(Matches),
    "expect_column_values_to_match_like_pattern_list": _like(Matches),
    "expect_column_values_to_not_match_like_pattern": _like(NotMatches),
    "expect_column_values_to_not_match_like_pattern_list": _like(NotMatches),
    "expect_column_value_lengths_to_be_between": _length,
    "expect_column_value_lengths_to_equal": _same_length,
    "expect_column_values_to_be_of_type": _type,
    "expect_column_values_to_be_in_type_list": _type,
    "expect_column_values_to_be_increasing": _increasing,
    "expect_column_to_exist": _column_there,
    "expect_table_columns_to_match_set": _column_set,
    "expect_table_columns_to_match_ordered_list": _column_list,
    "expect_table_row_count_to_be_between": _count,
    "expect_table_row_count_to_equal": _exact_count,
    "expect_column_mean_to_be_between": _of_figure(MeanInRange),
    "expect_column_stdev_to_be_between": _of_figure(StdInRange),
    "expect_column_sum_to_be_between": _of_figure(SumInRange),
    "expect_column_min_to_be_between": _quantile(0.0),
    "expect_column_max_to_be_between": _quantile(1.0),
    "expect_column_median_to_be_between": _median,
    "expect_column_quantile_values_to_be_between": _quantiles,
    "expect_column_unique_value_count_to_be_between": _distinct,
    "expect_column_proportion_of_non_null_values_to_be_between": _present,
    "expect_column_pair_values_a_to_be_greater_than_b": _pair(">"),
    "expect_column_pair_values_to_be_equal": _pair("=="),
    "unexpected_rows_expectation": _query,
}
