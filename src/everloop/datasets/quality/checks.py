"""Checking a table against expectations, by Arrow's vectorised kernels: one pass for each expectation."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, assert_never

from everloop.datasets.entities import Column
from everloop.datasets.quality.entities import CheckResult
from everloop.datasets.quality.expectations import (
    Expectation,
    InRange,
    Matches,
    NotNull,
    OneOf,
    References,
    RowCount,
    Unique,
)
from everloop.datasets.text import texts
from everloop.kernel.errors import InvalidInput

if TYPE_CHECKING:
    import pyarrow as pa

SAMPLE = 5
"""How many of the values that fail a report shows."""

Referenced = Callable[[References], "pa.Table"]
"""Gives the key columns that an expectation refers to."""


def check_table(
    table: pa.Table, expectations: Iterable[Expectation], referenced: Referenced
) -> tuple[CheckResult, ...]:
    """How a table fares against each expectation."""
    return tuple(_check(table, expectation, referenced) for expectation in expectations)


def columns_of(expectation: Expectation) -> tuple[str, ...]:
    """The columns that an expectation speaks of."""
    match expectation:
        case RowCount():
            return ()
        case Unique() | References():
            return expectation.columns
        case _:
            return (expectation.column,)


def require_columns(expectations: Iterable[Expectation], columns: Sequence[Column], dataset: str) -> None:
    """Let expectations pass that speak of columns which are there, with shares and patterns that make sense.

    Raises:
        InvalidInput: naming the expectation and what is wrong with it.
    """
    known = {column.name: column.type for column in columns}
    for expectation in expectations:
        named = columns_of(expectation)
        missing = [name for name in named if name not in known]
        if missing or not (named or isinstance(expectation, RowCount)):
            raise InvalidInput(
                f"{_kind(expectation)} speaks of {', '.join(missing) or 'no column'}, which {dataset} does not have.",
                hint=f"Its columns are {', '.join(known)}.",
            )
        problem = _problem(expectation, known)
        if problem:
            raise InvalidInput(f"{_kind(expectation)} of {', '.join(named)}: {problem}.")


def _problem(expectation: Expectation, types: dict[str, str]) -> str:
    if not 0 <= getattr(expectation, "mostly", 1.0) <= 1:
        return "mostly is a share of rows, from 0 to 1"
    if isinstance(expectation, InRange) and not types[expectation.column].startswith(
        ("int", "uint", "float", "decimal", "bool")
    ):
        return f"its type is {types[expectation.column]}, which has no range of numbers"
    if isinstance(expectation, References) and len(expectation.columns) != len(expectation.keys):
        return f"{len(expectation.columns)} columns cannot refer to {len(expectation.keys)} keys"
    return _pattern_problem(expectation.pattern) if isinstance(expectation, Matches) else ""


def _pattern_problem(pattern: str) -> str:
    import pyarrow as pa
    import pyarrow.compute as pc

    try:
        pc.match_substring_regex(pa.array([""]), _whole(pattern))
    except pa.ArrowInvalid as error:
        return f"the pattern {pattern!r} is not a regular expression ({error})"
    return ""


def _check(table: pa.Table, expectation: Expectation, referenced: Referenced) -> CheckResult:
    match expectation:
        case RowCount(minimum=minimum, maximum=maximum):
            passed = minimum <= table.num_rows and (maximum is None or table.num_rows <= maximum)
            return CheckResult(expectation, passed, 0 if passed else 1, table.num_rows)
        case Unique(columns=columns):
            return _check_unique(table.select(list(columns)), expectation)
        case References():
            return _check_references(table.select(list(expectation.columns)), expectation, referenced(expectation))
        case NotNull(column=column, mostly=mostly):
            missing = _missing(table[column])
            return _judged(expectation, table.select([column]).slice(0, 0), missing, len(missing), mostly)
        case InRange() | OneOf() | Matches():
            return _check_values(table.select([expectation.column]), expectation)
        case _:
            assert_never(expectation)


def _check_values(table: pa.Table, expectation: InRange | OneOf | Matches) -> CheckResult:
    import pyarrow.compute as pc

    missing = _missing(table.column(0))
    bad = pc.and_(pc.invert(missing), pc.fill_null(_outside(table.column(0), expectation), False))
    return _judged(expectation, table, bad, len(missing) - _true(missing), expectation.mostly)


def _outside(values: pa.ChunkedArray, expectation: InRange | OneOf | Matches) -> pa.ChunkedArray:
    import pyarrow as pa
    import pyarrow.compute as pc

    match expectation:
        case InRange(minimum=minimum, maximum=maximum):
            below = pc.less(values, float("-inf") if minimum is None else minimum)
            return pc.or_(below, pc.greater(values, float("inf") if maximum is None else maximum))
        case OneOf(values=allowed):
            return pc.invert(pc.is_in(_as_text(values), pa.array(allowed, pa.string())))
        case Matches(pattern=pattern):
            return pc.invert(pc.match_substring_regex(_as_text(values), _whole(pattern)))


def _check_unique(table: pa.Table, expectation: Unique) -> CheckResult:
    import pyarrow.compute as pc

    groups = table.group_by(table.column_names, use_threads=False).aggregate([([], "count_all")])
    twins = groups.filter(pc.greater(groups["count_all"], 1))
    surplus = int(pc.sum(twins["count_all"]).as_py() or 0) - twins.num_rows
    sample = _sample(twins.drop_columns(["count_all"]))
    return CheckResult(expectation, surplus == 0, surplus, table.num_rows, sample)


def _check_references(table: pa.Table, expectation: References, keys: pa.Table) -> CheckResult:
    import pyarrow as pa

    judged = table.drop_null()
    try:
        known = keys.rename_columns(table.column_names).cast(table.schema).drop_null()
    except pa.ArrowInvalid as error:
        raise InvalidInput(f"The keys of {expectation.dataset} are of another type ({error}).") from None
    bad = judged.join(known, keys=table.column_names, join_type="left anti", use_threads=False)
    return CheckResult(
        expectation,
        _enough(bad.num_rows, judged.num_rows, expectation.mostly),
        bad.num_rows,
        judged.num_rows,
        _sample(bad),
    )


def _judged(expectation: Expectation, shown: pa.Table, bad: pa.ChunkedArray, rows: int, mostly: float) -> CheckResult:
    failures = _true(bad)
    sample = _sample(shown.filter(bad)) if failures and shown.num_rows else ()
    return CheckResult(expectation, _enough(failures, rows, mostly), failures, rows, sample)


def _enough(failures: int, rows: int, mostly: float) -> bool:
    return failures <= (1 - mostly) * rows + 1e-9


def _missing(values: pa.ChunkedArray) -> pa.ChunkedArray:
    import pyarrow.compute as pc

    return pc.is_null(values, nan_is_null=True)


def _true(mask: pa.ChunkedArray) -> int:
    import pyarrow.compute as pc

    return int(pc.sum(mask).as_py() or 0)


def _as_text(values: pa.ChunkedArray) -> pa.ChunkedArray:
    import pyarrow as pa

    return values if pa.types.is_string(values.type) else values.cast(pa.string())


def _sample(rows: pa.Table) -> tuple[str, ...]:
    """The first few different rows, as text."""
    columns = [texts(column) for column in rows.slice(0, SAMPLE * 20).columns]
    return tuple(dict.fromkeys(", ".join(row) for row in zip(*columns, strict=True)))[:SAMPLE]


def _whole(pattern: str) -> str:
    return rf"\A(?:{pattern})\z"


def _kind(expectation: Expectation) -> str:
    return type(expectation).__name__
