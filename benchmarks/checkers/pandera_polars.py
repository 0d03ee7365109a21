"""The suite in pandera's words, on a Polars frame; what fails is counted, as we do."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Any

import pandera.polars as pa
import polars as pl
from metered import Suite, metered

Asked = dict[str, Any]


def check(path: str, suite: Suite) -> list[int]:
    """How many failing values pandera names, of all the checks together."""
    checks: dict[str, list[pa.Check]] = defaultdict(list)
    for one in suite:
        if one["type"] in MADE:
            checks[str(one.get("column", ""))].append(MADE[str(one["type"])](one))
    required = {one["column"] for one in suite if one["type"] == "not_null"}
    unique = {one["columns"][0] for one in suite if one["type"] == "unique"}
    rows = pl.read_parquet(path)
    columns = {
        name: pa.Column(kind, checks[name], nullable=name not in required, unique=name in unique)
        for name, kind in rows.schema.items()
    }
    try:
        pa.DataFrameSchema(columns, checks=checks[""]).validate(rows, lazy=True)
    except pa.errors.SchemaErrors as errors:
        return [len(errors.failure_cases)]
    return [0]


def _in_range(one: Asked) -> pa.Check:
    low, high = one["minimum"], one.get("maximum")
    return pa.Check.ge(low) if high is None else pa.Check.in_range(low, high)


def _mean(one: Asked) -> pa.Check:
    low, high = one["minimum"], one["maximum"]
    return pa.Check(lambda data: data.lazyframe.select(pl.col(data.key).mean().is_between(low, high)))


def _compare(one: Asked) -> pa.Check:
    return pa.Check(lambda data: data.lazyframe.select(pl.col(one["left"]) >= pl.col(one["right"])))


MADE: dict[str, Callable[[Asked], pa.Check]] = {
    "in_range": _in_range,
    "mean_in_range": _mean,
    "compare": _compare,
    "one_of": lambda one: pa.Check.isin(one["values"]),
    "matches": lambda one: pa.Check.str_matches(f"^(?:{one['pattern']})$"),
    "length": lambda one: pa.Check.str_length(one["minimum"], one["maximum"]),
}


if __name__ == "__main__":
    metered(check)
