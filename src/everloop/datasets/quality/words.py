"""Expectations as sentences, for reports and for what a gate says."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import msgspec

from everloop.datasets.quality import expectations as kinds

if TYPE_CHECKING:
    from collections.abc import Callable

    from everloop.datasets.quality.entities import CheckResult
    from everloop.datasets.quality.expectations import Expectation

_SHOWN = 6
"""So many values of a list are told one by one."""


def sentence_of(expectation: Expectation) -> str:
    """What is expected, in words.

    >>> sentence_of(kinds.InRange("delay", 0, 90, mostly=0.99))
    'delay is from 0 to 90 in at least 99 % of the rows'
    """
    tell = _SENTENCES.get(type(expectation))
    told = tell(expectation) if tell else _plainly(expectation)
    mostly = getattr(expectation, "mostly", 1.0)
    return told if mostly == 1.0 else f"{told} in at least {mostly * 100:.6g} % of the rows"


def finding_of(result: CheckResult) -> str:
    """What a check found, in words: `origin is never missing: 3 of 100 rows fail, such as …`."""
    what = sentence_of(result.expectation)
    if result.passed and not result.failures:
        return what
    such = f", such as {', '.join(result.sample[:3])}" if result.sample else ""
    counted = f"{result.failures:,} of {result.rows:,} rows fail" if result.rows > 1 else "it fails"
    return f"{what}: {counted}{such}"


def _plainly(expectation: Expectation) -> str:
    held = {name: getattr(expectation, name) for name in expectation.__struct_fields__ if name != "severity"}
    told = ", ".join(f"{name} {value}" for name, value in held.items() if name != "mostly" and value not in (None, ()))
    return f"{str(type(expectation).__struct_config__.tag).replace('_', ' ')} ({told})"


def _listed(values: tuple[object, ...]) -> str:
    shown = ", ".join(str(value) for value in values[:_SHOWN])
    return f"{shown} and {len(values) - _SHOWN:,} more" if len(values) > _SHOWN else shown


def _between(low: object, high: object, unit: str = "") -> str:
    if low is None and high is None:
        return f"any number of{unit}" if unit else "anything"
    if high is None:
        return f"at least {_number(low)}{unit}"
    if low is None:
        return f"at most {_number(high)}{unit}"
    return f"{_number(low)}{unit}" if low == high else f"from {_number(low)} to {_number(high)}{unit}"


def _number(value: object) -> str:
    return f"{value:,.10g}" if isinstance(value, int | float) and not isinstance(value, bool) else str(value)


def _in_range(e: kinds.InRange) -> str:
    if not (e.strict_minimum or e.strict_maximum):
        return f"{e.column} is {_between(e.minimum, e.maximum)}"
    low = "" if e.minimum is None else f"{'more than' if e.strict_minimum else 'at least'} {_number(e.minimum)}"
    high = "" if e.maximum is None else f"{'less than' if e.strict_maximum else 'at most'} {_number(e.maximum)}"
    return f"{e.column} is {' and '.join(part for part in (low, high) if part)}"


def _references(e: kinds.References) -> str:
    return f"({_listed(e.columns)}) stands in {e.dataset} ({_listed(e.keys)})"


def _like_reference(e: kinds.LikeReference) -> str:
    return f"{e.column} is distributed as in {e.dataset} ({e.measure} at most {e.maximum:g})"


def _of(kind: type[msgspec.Struct], tell: Callable[..., str]) -> tuple[type, Callable[[Expectation], str]]:
    return kind, cast("Callable[[Expectation], str]", tell)


_SENTENCES: dict[type, Callable[[Expectation], str]] = dict(
    (
        _of(kinds.HasColumns, lambda e: f"the columns are {'just ' if e.only else ''}there: {_listed(e.columns)}"),
        _of(kinds.ColumnOrder, lambda e: f"the columns come in the order {_listed(e.columns)}"),
        _of(kinds.HasTypes, lambda e: f"the types are {_listed(tuple(f'{c} {t}' for c, t in e.types.items()))}"),
        _of(kinds.SchemaMatches, lambda e: f"the columns are those of {e.dataset}"),
        _of(kinds.RowCount, lambda e: f"there are {_between(e.minimum or None, e.maximum, ' rows')}"),
        _of(kinds.NotNull, lambda e: f"{e.column} is {'never missing' if e.mostly == 1 else 'there'}"),
        _of(kinds.AllNull, lambda e: f"{e.column} is missing"),
        _of(kinds.InRange, _in_range),
        _of(kinds.OneOf, lambda e: f"{e.column} is one of {_listed(e.values)}"),
        _of(kinds.NotOneOf, lambda e: f"{e.column} is none of {_listed(e.values)}"),
        _of(kinds.Matches, lambda e: f"{e.column} has the form {e.pattern}"),
        _of(kinds.NotMatches, lambda e: f"{e.column} holds nowhere {e.pattern}"),
        _of(kinds.Length, lambda e: f"{e.column} has {_between(e.minimum or None, e.maximum, ' characters')}"),
        _of(kinds.Compare, lambda e: f"{e.left} {e.operator} {e.right}"),
        _of(kinds.Increasing, lambda e: f"{e.column} {'always grows' if e.strict else 'never falls'} from row to row"),
        _of(kinds.Unique, lambda e: f"no two rows agree in {_listed(e.columns)}"),
        _of(kinds.References, _references),
        _of(kinds.NoRows, lambda e: f"no row is found by {e.sql}"),
        _of(kinds.MeanInRange, lambda e: f"the mean of {e.column} is {_between(e.minimum, e.maximum)}"),
        _of(kinds.StdInRange, lambda e: f"the deviation of {e.column} is {_between(e.minimum, e.maximum)}"),
        _of(kinds.SumInRange, lambda e: f"the sum of {e.column} is {_between(e.minimum, e.maximum)}"),
        _of(
            kinds.QuantileInRange,
            lambda e: f"quantile {e.quantile:g} of {e.column} is {_between(e.minimum, e.maximum)}",
        ),
        _of(
            kinds.DistinctInRange,
            lambda e: f"{e.column} has {_between(e.minimum or None, e.maximum, ' different values')}",
        ),
        _of(kinds.Freshness, lambda e: f"the newest {e.column} is no older than {e.within}"),
        _of(
            kinds.LikeHistory,
            lambda e: f"{e.metric}{f' of {e.column}' if e.column else ''} is no outlier among earlier versions",
        ),
        _of(kinds.LikeReference, _like_reference),
    )
)
