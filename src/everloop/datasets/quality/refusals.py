"""What expectations make no sense, and why: they are refused by name before anything is checked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from everloop.datasets.entities import Column
from everloop.datasets.quality.expectations import (
    ColumnOrder,
    Compare,
    DistinctInRange,
    Expectation,
    Freshness,
    HasColumns,
    HasTypes,
    Increasing,
    InRange,
    Length,
    LikeHistory,
    LikeReference,
    Matches,
    MeanInRange,
    NoRows,
    NotMatches,
    NotOneOf,
    OneOf,
    QuantileInRange,
    References,
    RowCount,
    SchemaMatches,
    StdInRange,
    SumInRange,
    Unique,
)
from everloop.datasets.quality.literals import NUMBERS, TIMES, bound, family, literal
from everloop.kernel.durations import duration
from everloop.kernel.errors import InvalidInput

_OF_THE_TABLE = HasColumns | ColumnOrder | HasTypes | SchemaMatches | RowCount | NoRows
_COMPARABLE = {**dict.fromkeys(NUMBERS, "numbers"), "date": "days", "timestamp": "days"}


def columns_of(expectation: Expectation) -> tuple[str, ...]:
    """The columns that must be there for an expectation to be judged at all."""
    match expectation:
        case HasColumns() | ColumnOrder() | HasTypes() | SchemaMatches() | RowCount() | NoRows():
            return ()
        case Unique() | References():
            return expectation.columns
        case Compare():
            return (expectation.left, expectation.right)
        case LikeHistory():
            return (expectation.column,) if expectation.metric != "rows" else ()
        case _:
            return (expectation.column,)


def require_columns(expectations: Iterable[Expectation], columns: Sequence[Column], dataset: str) -> None:
    """Let expectations pass that speak of columns which are there, with shares, values and patterns that make sense.

    Raises:
        InvalidInput: naming the expectation and what is wrong with it.
    """
    types = {column.name: column.type for column in columns}
    for expectation in expectations:
        found = problem(expectation, types, dataset)
        if found:
            raise InvalidInput(found, hint=f"The columns of {dataset} are {', '.join(types)}.")


def problem(expectation: Expectation, types: Mapping[str, str], dataset: str) -> str:
    """Why an expectation cannot be judged on columns of these types; nothing when it can."""
    kind, named = type(expectation).__name__, columns_of(expectation)
    missing = [name for name in named if name not in types]
    if missing or not (named or isinstance(expectation, _OF_THE_TABLE | LikeHistory)):
        return f"{kind} speaks of {', '.join(missing) or 'no column'}, which {dataset} does not have."
    try:
        found = _of_numbers(expectation) or _of_types(expectation, types) or _of_pattern(expectation)
    except InvalidInput as error:
        found = error.message.rstrip(".")
    return f"{kind} of {', '.join(named) or dataset}: {found}." if found else ""


def _of_numbers(expectation: Expectation) -> str:
    """What is wrong with the shares, spans and ends that an expectation gives, whatever the columns are."""
    if not 0 <= getattr(expectation, "mostly", 1.0) <= 1:
        return "mostly is a share of rows, from 0 to 1"
    low, high = getattr(expectation, "minimum", None), getattr(expectation, "maximum", None)
    numbers = isinstance(low, int | float) and isinstance(high, int | float)
    if numbers and low is not None and high is not None and not low <= high:
        return f"nothing lies between {low} and {high}"
    match expectation:
        case QuantileInRange(quantile=quantile) if not 0 <= quantile <= 1:
            return f"the quantile {quantile} is not from 0 to 1"
        case Freshness(within=within):
            duration(within)
        case LikeHistory(threshold=threshold, window=window, least=least) if threshold <= 0 or not 0 < least <= window:
            return "threshold is above 0, and least from 1 to window"
        case References(columns=columns, keys=keys) if len(columns) != len(keys):
            return f"{len(columns)} columns cannot refer to {len(keys)} keys"
        case HasColumns(columns=()) | ColumnOrder(columns=()) | HasTypes(types={}) if not _named(expectation):
            return "it names no column"
        case NoRows(sql=sql) if not sql.strip():
            return "there is no query"
    return ""


def _named(expectation: HasColumns | ColumnOrder | HasTypes) -> bool:
    return bool(expectation.types if isinstance(expectation, HasTypes) else expectation.columns)


def _of_types(expectation: Expectation, types: Mapping[str, str]) -> str:
    """What is wrong with asking this of columns of these types."""
    named = columns_of(expectation)
    kind = types[named[0]] if named else ""
    match expectation:
        case InRange():
            return _of_range(expectation, kind)
        case OneOf(values=values) | NotOneOf(values=values):
            for value in values:
                literal(value, kind)
        case Compare(left=left, right=right) if _axis(types[left]) != _axis(types[right]) or family(kind) == "other":
            return f"{types[left]} and {types[right]} cannot be compared"
        case Unique() | References() if "other" in {family(types[name]) for name in named}:
            return "it has a column whose values cannot be compared"
    wanted, lacks = _WANTED.get(type(expectation), ((), ""))
    if isinstance(expectation, LikeHistory) and expectation.metric in ("mean", "std"):
        wanted, lacks = NUMBERS, _NO_NUMBERS
    if isinstance(expectation, LikeReference) and expectation.measure == "ks":
        wanted, lacks = (*NUMBERS, *TIMES), "has no distribution function: use psi or total_variation"
    return f"its type is {kind}, which {lacks}" if wanted and family(kind) not in wanted else ""


_NO_NUMBERS = "has no numbers"
_NO_ORDER = "has no values that can be compared"
_WANTED: dict[type, tuple[tuple[str, ...], str]] = {
    Matches: (("text", "integer"), "is no text"),
    NotMatches: (("text", "integer"), "is no text"),
    Length: (("text",), "is no text"),
    MeanInRange: (NUMBERS, _NO_NUMBERS),
    StdInRange: (NUMBERS, _NO_NUMBERS),
    SumInRange: (NUMBERS, _NO_NUMBERS),
    QuantileInRange: (NUMBERS, _NO_NUMBERS),
    Freshness: (("date", "timestamp"), "is no time"),
    Increasing: ((*NUMBERS, *TIMES, "text"), _NO_ORDER),
    DistinctInRange: ((*NUMBERS, *TIMES, "text"), _NO_ORDER),
    LikeReference: ((*NUMBERS, *TIMES, "text"), _NO_ORDER),
}
"""The families of types that a kind of expectation makes sense of, and what the others lack."""


def _axis(type_name: str) -> str:
    of = family(type_name)
    return _COMPARABLE.get(of, of)


def _of_range(expectation: InRange, kind: str) -> str:
    if family(kind) == "other":
        return f"its type is {kind}, which has no range"
    ends = [bound(end, kind) for end in (expectation.minimum, expectation.maximum) if end is not None]
    if len(ends) == 2 and ends[0] > ends[1]:  # type: ignore[operator]  # Both are of the column's axis.
        return f"nothing lies between {expectation.minimum} and {expectation.maximum}"
    return ""


def _of_pattern(expectation: Expectation) -> str:
    if not isinstance(expectation, Matches | NotMatches):
        return ""
    import polars as pl

    try:
        pl.select(pl.lit("").str.contains(rf"\A(?:{expectation.pattern})\z"))
    except pl.exceptions.ComputeError as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip().startswith("error:")]
        why = (lines or ["it cannot be compiled"])[0].removeprefix("error: ")
        return f"the pattern {expectation.pattern!r} is not a regular expression ({why})"
    return ""
