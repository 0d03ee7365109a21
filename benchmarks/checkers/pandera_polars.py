"""The suite in pandera's words, on a Polars frame; what fails is counted, as we do."""

from __future__ import annotations

from collections import defaultdict

import pandera.polars as pa
import polars as pl
from metered import Suite, metered


def check(path: str, suite: Suite) -> list[int]:
    """0 or 1 for each check: pandera says which fail, with every failing row."""
    checks: dict[str, list[pa.Check]] = defaultdict(list)
    whole: list[pa.Check] = []
    nullable: dict[str, bool] = defaultdict(lambda: True)
    unique: list[str] = []
    for number, one in enumerate(suite):
        column = str(one.get("column", ""))
        match one["type"]:
            case "not_null":
                nullable[column] = False
            case "unique":
                unique += one["columns"]
            case "in_range":
                low, high = one.get("minimum"), one.get("maximum")
                if low is None or high is None:
                    made = pa.Check.ge(low) if high is None else pa.Check.le(high)
                else:
                    made = pa.Check.in_range(low, high)
                checks[column].append(made)
            case "one_of":
                checks[column].append(pa.Check.isin(one["values"]))
            case "matches":
                checks[column].append(pa.Check.str_matches(f"^(?:{one['pattern']})$"))
            case "length":
                checks[column].append(pa.Check.str_length(one["minimum"], one["maximum"]))
            case "compare":
                left, right = str(one["left"]), str(one["right"])
                whole.append(pa.Check(lambda data, a=left, b=right: data.lazyframe.select(pl.col(a) >= pl.col(b))))
            case "mean_in_range":
                low, high = float(one["minimum"]), float(one["maximum"])
                checks[column].append(
                    pa.Check(
                        lambda data, a=low, b=high: data.lazyframe.select(pl.col(data.key).mean().is_between(a, b)),
                        name=f"mean {number}",
                    )
                )
    rows = pl.read_parquet(path)
    schema = pa.DataFrameSchema(
        {
            name: pa.Column(kind, checks[name], nullable=nullable[name], unique=name in unique)
            for name, kind in rows.schema.items()
        },
        checks=whole,
    )
    try:
        schema.validate(rows, lazy=True)
    except pa.errors.SchemaErrors as errors:
        return [len(errors.failure_cases)]
    return [0]


if __name__ == "__main__":
    metered(check)
