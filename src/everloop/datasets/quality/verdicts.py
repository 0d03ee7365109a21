"""Verdicts: figures and expectations in, results out."""

from __future__ import annotations

import math
from datetime import timedelta
from statistics import median
from typing import TYPE_CHECKING

import msgspec

from everloop.datasets.quality.engine import Finding, Measure, Measured, Moments, MomentsOf, Newest, NewestOf, Tally
from everloop.datasets.quality.entities import CheckResult
from everloop.datasets.quality.expectations import (
    ColumnOrder,
    DistinctInRange,
    Expectation,
    Freshness,
    HasColumns,
    HasTypes,
    LikeHistory,
    LikeReference,
    MeanInRange,
    NoRows,
    QuantileInRange,
    RowCount,
    SchemaMatches,
    StdInRange,
    SumInRange,
)
from everloop.kernel.clock import EPOCH
from everloop.kernel.durations import duration

if TYPE_CHECKING:
    from everloop.datasets.quality.checks import Source, Surroundings

_ROUNDING = 1e-9
_NORMAL = 0.6745
"""The MAD of a normal distribution whose deviation is 1."""
_ORDER = 2.0**-48
"""So much of the size of numbers a mean may be off for nothing but the order that they were added in."""
_SHOWN = 1e7
"""Figures of so many times what is known show no digit beyond it anyway."""


def impossible(expectation: Expectation, why: str) -> CheckResult:
    """An expectation that cannot be judged fails."""
    return CheckResult(expectation, passed=False, failures=1, rows=0, observed=why)


def nothing(measure: Measure) -> Measured:
    """The figure of no rows at all."""
    return Moments() if isinstance(measure, MomentsOf) else Newest() if isinstance(measure, NewestOf) else Tally(0, 0)


def timed(result: CheckResult, seconds: float) -> CheckResult:
    """A result that knows what it cost."""
    return msgspec.structs.replace(result, seconds=seconds)


def shown(result: CheckResult, sample: tuple[str, ...], at: tuple[int, ...]) -> CheckResult:
    """A result with some of the rows that fail."""
    return msgspec.structs.replace(result, sample=sample, at=at)


def of_tally(expectation: Expectation, tally: Tally) -> CheckResult:
    """Enough of the judged rows pass, or not."""
    passed = _enough(expectation, tally.failures, tally.judged)
    observed = f"{tally.failures / tally.judged:.3%} fail" if tally.failures else ""
    return CheckResult(expectation, passed, tally.failures, tally.judged, observed=observed)


def of_query(expectation: NoRows, failures: int, rows: int, sample: tuple[str, ...]) -> CheckResult:
    """A query that should find nothing found so many rows."""
    return CheckResult(expectation, _enough(expectation, failures, rows), failures, rows, sample)


def of_finding(
    expectation: Expectation,
    found: Finding,
    around: Surroundings,
    sample: tuple[tuple[str, ...], tuple[int, ...]],
    reference: str,
) -> CheckResult:
    """What looking at whole columns came to."""
    rows = found.judged
    match expectation:
        case QuantileInRange(minimum=minimum, maximum=maximum) | DistinctInRange(minimum=minimum, maximum=maximum):
            return _ranged(expectation, found.observed, rows, minimum, maximum)
        case LikeReference(maximum=maximum):
            result = _ranged(expectation, found.observed, rows, None, maximum)
            return msgspec.structs.replace(result, reference=reference)
        case LikeHistory():
            return _usual(expectation, found.observed, rows, around)
    passed = _enough(expectation, found.failures, rows)
    return CheckResult(expectation, passed, found.failures, rows, *sample, reference=reference)


def of_figure(expectation: Expectation, figure: Measured, rows: int, around: Surroundings) -> CheckResult:
    """What the figures of all parts came to."""
    match expectation, figure:
        case MeanInRange(), Moments(count=count, mean=mean):
            return _added_up(expectation, mean if count else None, figure, _blur(figure))
        case StdInRange(), Moments():
            return _added_up(expectation, _std(figure), figure, _blur(figure))
        case SumInRange(), Moments(count=count, total=total):
            return _added_up(expectation, total, figure, _blur(figure) * count)
        case Freshness(), Newest(nanoseconds=newest):
            return _fresh(expectation, newest, rows, around)
        case LikeHistory(metric="mean"), Moments(count=count, mean=mean):
            return _usual(expectation, mean if count else None, count, around)
        case LikeHistory(metric="std"), Moments(count=count):
            return _usual(expectation, _std(figure), count, around)
        case LikeHistory(), Tally(judged=judged, failures=failures):
            return _usual(expectation, failures / judged if judged else 0.0, judged, around)
    raise TypeError(f"{expectation} is not judged by {figure}")


def of_shape(expectation: Expectation, source: Source, around: Surroundings) -> CheckResult:
    """What columns and the number of rows say by themselves."""
    names = [column.name for column in source.columns]
    types = {column.name: column.type for column in source.columns}
    match expectation:
        case RowCount(minimum=minimum, maximum=maximum):
            return _ranged(expectation, source.rows, source.rows, minimum, maximum)
        case HasColumns(columns=columns, only=only):
            found = [f"no {name}" for name in columns if name not in types]
            found += [f"also {name}" for name in names if only and name not in columns]
            return _faults(expectation, found, len(columns))
        case ColumnOrder(columns=columns):
            present = [name for name in names if name in columns]
            return _faults(expectation, [] if present == list(columns) else [", ".join(present)], len(columns))
        case HasTypes(types=wanted):
            found = [
                f"{name} is {types.get(name, 'not there')}" for name, kind in wanted.items() if types.get(name) != kind
            ]
            return _faults(expectation, found, len(wanted))
        case SchemaMatches(dataset=dataset):
            return _like_schema(expectation, source, around, around.version(dataset))
        case LikeHistory():
            return _usual(expectation, source.rows, source.rows, around)
    raise TypeError(f"{expectation} is not judged by the shape of a table")


def _like_schema(expectation: SchemaMatches, source: Source, around: Surroundings, reference: str) -> CheckResult:
    wanted = [(column.name, column.type) for column in around.columns(reference)]
    found = [(column.name, column.type) for column in source.columns]
    faults = [f"no {name} {kind}" for name, kind in wanted if (name, kind) not in found]
    faults += [f"also {name} {kind}" for name, kind in found if (name, kind) not in wanted]
    if not faults and wanted != found:
        faults = [f"order: {', '.join(name for name, _ in found)}"]
    return msgspec.structs.replace(_faults(expectation, faults, len(wanted)), reference=reference)


def _faults(expectation: Expectation, faults: list[str], judged: int) -> CheckResult:
    return CheckResult(expectation, not faults, len(faults), judged, tuple(faults[:5]), observed="; ".join(faults[:5]))


def _enough(expectation: Expectation, failures: int, rows: int) -> bool:
    return failures <= (1 - getattr(expectation, "mostly", 1.0)) * rows + _ROUNDING


def _ranged(
    expectation: Expectation, value: float | None, rows: int, minimum: float | None, maximum: float | None
) -> CheckResult:
    low = -math.inf if minimum is None else minimum
    high = math.inf if maximum is None else maximum
    passed = value is not None and low <= value <= high
    told = "no value" if value is None else f"{value:,}" if isinstance(value, int) else f"{value:.6g}"
    return CheckResult(expectation, passed, int(not passed), rows, observed=told)


def _added_up(
    expectation: MeanInRange | StdInRange | SumInRange, value: float | None, figure: Moments, blur: float
) -> CheckResult:
    """A figure that is known up to a blur: neither its verdict nor its text depends on how rows were cut in batches."""
    blur = blur if blur < math.inf else 0.0
    low = None if expectation.minimum is None else expectation.minimum - blur
    high = None if expectation.maximum is None else expectation.maximum + blur
    if value is not None and blur > 0 and abs(value) < _SHOWN * blur:
        value = round(value, -math.floor(math.log10(blur))) + 0.0  # Zero has no sign.
    return _ranged(expectation, value, figure.count, low, high)


def _blur(figure: Moments) -> float:
    """How far the mean and the deviation may be off for rounding."""
    spread = figure.squares / figure.count if figure.count and math.isfinite(figure.squares) else 0.0
    return _ORDER * math.hypot(figure.mean, math.sqrt(max(spread, 0.0)))


def _std(figure: Moments) -> float | None:
    return math.sqrt(max(figure.squares, 0.0) / (figure.count - 1)) if figure.count > 1 else None


def _fresh(expectation: Freshness, newest: int | None, rows: int, around: Surroundings) -> CheckResult:
    if newest is None:
        return CheckResult(expectation, passed=False, failures=1, rows=rows, observed="no value")
    at = EPOCH + timedelta(microseconds=newest // 1_000)
    age = around.now() - at
    passed = age <= duration(expectation.within)
    return CheckResult(expectation, passed, int(not passed), rows, observed=f"{at.isoformat()}, {age} old")


def _usual(expectation: LikeHistory, value: float | None, rows: int, around: Surroundings) -> CheckResult:
    before = around.history(expectation.metric, expectation.column, expectation.window)
    if len(before) < expectation.least:
        told = (
            f"{'no value' if value is None else f'{value:.6g}'}; {len(before)} earlier versions are too few to judge by"
        )
        return CheckResult(expectation, passed=True, failures=0, rows=rows, observed=told)
    if value is None:
        return CheckResult(expectation, passed=False, failures=1, rows=rows, observed="no value")
    middle = median(before)
    score = robust_score(value, before)
    passed = score <= expectation.threshold
    told = f"{value:.6g}; median {middle:.6g} of {len(before)}, robust z {score:.2f}"
    return CheckResult(expectation, passed, int(not passed), rows, observed=told)


def robust_score(value: float, before: list[float]) -> float:
    """How many deviations a value lies from the median of others, the deviation taken from their median too.

    >>> round(robust_score(13, [10, 10, 11, 9]), 2)
    4.05
    """
    middle = median(before)
    spread = median(abs(each - middle) for each in before)
    apart = abs(value - middle)
    if apart <= 1e-12 * abs(middle):
        return 0.0
    return _NORMAL * apart / spread if spread else math.inf
