"""What has to be measured for an expectation: figures that parts add up to, or a look at whole columns."""

from __future__ import annotations

import msgspec

from everloop.datasets.quality.engine import Measure, MomentsOf, NewestOf, Whole
from everloop.datasets.quality.expectations import (
    AllNull,
    Compare,
    DistinctInRange,
    Expectation,
    Freshness,
    Increasing,
    InRange,
    Length,
    LikeHistory,
    LikeReference,
    Matches,
    MeanInRange,
    NotMatches,
    NotNull,
    NotOneOf,
    OneOf,
    QuantileInRange,
    References,
    StdInRange,
    SumInRange,
    Unique,
)


def measure_of(expectation: Expectation) -> Measure | None:
    """The figure that each part is measured for; none where it takes something else."""
    match expectation:
        case NotNull() | AllNull() | InRange() | OneOf() | NotOneOf() | Matches() | NotMatches() | Length() | Compare():
            return expectation
        case MeanInRange(column=column) | StdInRange(column=column) | SumInRange(column=column):
            return MomentsOf(column)
        case LikeHistory(metric="mean" | "std", column=column):
            return MomentsOf(column)
        case LikeHistory(metric="nulls", column=column):
            return NotNull(column)
        case Freshness(column=column):
            return NewestOf(column)
        case _:
            return None


def whole_of(expectation: Expectation) -> Whole | None:
    """What is asked of whole columns; none where parts will do."""
    match expectation:
        case Unique() | References() | Increasing() | QuantileInRange() | DistinctInRange() | LikeReference():
            return expectation
        case LikeHistory(metric="distinct", column=column):
            return DistinctInRange(column)
        case _:
            return None


def measure_key(asked: msgspec.Struct) -> bytes:
    """What tells two questions apart: their fields, but for share and severity, which do not change what is counted."""
    plain = {"mostly": 1.0, "severity": "error"}
    same = {name: value for name, value in plain.items() if name in asked.__struct_fields__}
    return msgspec.json.encode(msgspec.structs.replace(asked, **same) if same else asked, order="sorted")
