"""The suite in Great Expectations' words, on a pandas frame."""

from __future__ import annotations

import great_expectations as gx
import great_expectations.expectations as gxe
import pandas as pd
from metered import Suite, metered


def check(path: str, suite: Suite) -> list[int]:
    """Rows that fail each check."""
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}
    asset = context.data_sources.add_pandas("memory").add_dataframe_asset("rows")
    batch = asset.add_batch_definition_whole_dataframe("all").get_batch({"dataframe": pd.read_parquet(path)})
    results = batch.validate(gx.ExpectationSuite("suite", expectations=[_expectation(one) for one in suite])).results
    return [int(one.result.get("unexpected_count") or 0) for one in results]


def _expectation(one: dict[str, object]) -> object:
    column, mostly = one.get("column"), one.get("mostly", 1.0)
    low, high = one.get("minimum"), one.get("maximum")
    match one["type"]:
        case "row_count":
            return gxe.ExpectTableRowCountToBeBetween(min_value=low)
        case "not_null":
            return gxe.ExpectColumnValuesToNotBeNull(column=column, mostly=mostly)
        case "in_range":
            return gxe.ExpectColumnValuesToBeBetween(column=column, min_value=low, max_value=high, mostly=mostly)
        case "one_of":
            return gxe.ExpectColumnValuesToBeInSet(column=column, value_set=one["values"], mostly=mostly)
        case "matches":
            return gxe.ExpectColumnValuesToMatchRegex(column=column, regex=f"^(?:{one['pattern']})$", mostly=mostly)
        case "length":
            return gxe.ExpectColumnValueLengthsToBeBetween(column=column, min_value=low, max_value=high, mostly=mostly)
        case "mean_in_range":
            return gxe.ExpectColumnMeanToBeBetween(column=column, min_value=low, max_value=high)
        case "unique":
            return gxe.ExpectColumnValuesToBeUnique(column=one["columns"][0])
        case "compare":
            return gxe.ExpectColumnPairValuesAToBeGreaterThanB(
                column_A=one["left"], column_B=one["right"], or_equal=True, mostly=mostly
            )
    raise ValueError(one["type"])


if __name__ == "__main__":
    metered(check)
