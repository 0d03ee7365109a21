"""The point-in-time join as slowly and plainly as it can be said: what the fast one is measured against."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from datetime import datetime

from everloop.features.entities import Feature, FeatureView, column_of

Row = Mapping[str, object]
Number = float | None


def slow_join(rows: Sequence[Row], at: str, view: FeatureView, source: Sequence[Row]) -> list[dict[str, Number]]:
    """The view's features for each row, by looking at every row of the source for each of them."""
    return [
        {column_of(view, feature): _value(row, row[at], view, feature, source) for feature in view.features}
        for row in rows
    ]


def _value(row: Row, moment: object, view: FeatureView, feature: Feature, source: Sequence[Row]) -> Number:
    wanted = [row[key] for key in view.entity.keys]
    if None in wanted or (view.timestamp and moment is None):
        return None
    mine = [candidate for candidate in source if [candidate[key] for key in view.entity.keys] == wanted]
    if not view.timestamp:
        return _number(mine[-1][feature.column]) if mine else None
    assert isinstance(moment, datetime)
    known = [(_time(candidate, view), candidate) for candidate in mine if candidate[view.timestamp] is not None]
    known = [(time, candidate) for time, candidate in known if time + view.available_after <= moment]
    known.sort(key=lambda pair: pair[0])  # Python's sort is stable: of equal times the source's last row stays last.
    if feature.aggregation:
        assert feature.over is not None
        inside = [candidate for time, candidate in known if moment - feature.over < time]
        return _aggregate(feature, inside)
    if not known or (view.ttl is not None and moment - known[-1][0] > view.ttl):
        return None
    return _number(known[-1][1][feature.column])


def _aggregate(feature: Feature, inside: Sequence[Row]) -> Number:
    if feature.aggregation == "count":
        return float(len(inside))
    values = [value for row in inside if (value := _number(row[feature.column])) is not None]
    if not values or (feature.aggregation == "std" and len(values) < 2):
        return None
    match feature.aggregation:
        case "mean":
            return math.fsum(values) / len(values)
        case "sum":
            return math.fsum(values)
        case "min":
            return min(values)
        case "max":
            return max(values)
        case "last":
            return values[-1]
        case "std":
            return statistics.stdev(values)
        case _:
            return sum(value != 0 for value in values) / len(values)


def _time(row: Row, view: FeatureView) -> datetime:
    time = row[view.timestamp]
    assert isinstance(time, datetime)
    return time


def _number(value: object) -> Number:
    return float(value) if isinstance(value, int | float) and not math.isnan(value) else None
