"""What can be expected of data: one type for each kind of expectation.

A value is missing when it is null or NaN. `mostly` is the share of the judged rows that must pass; rows with a missing
value are not judged, except where missing is what an expectation is about. A failed `warning` is told of and fails
nothing. Suites travel as JSON: `{"type": "in_range", "column": "age", "minimum": 0}`.
"""

from __future__ import annotations

from typing import Literal

import msgspec

Severity = Literal["error", "warning"]
Share = float
"""A share of rows, from 0 to 1."""
Bound = int | float | str | None
"""An end of a range: a number, text, or a date or time in ISO 8601 (without a zone: UTC); none is no end."""
Value = bool | int | float | str
"""A value to compare with; days and times are written in ISO 8601."""
Operator = Literal["<", "<=", "==", "!=", ">=", ">"]
Metric = Literal["rows", "nulls", "distinct", "mean", "std"]
Difference = Literal["psi", "ks", "cramers_v", "total_variation"]


class HasColumns(msgspec.Struct, frozen=True, tag="has_columns"):
    """These columns are there; with `only`, no others are."""

    columns: tuple[str, ...]
    only: bool = False
    severity: Severity = "error"


class ColumnOrder(msgspec.Struct, frozen=True, tag="column_order"):
    """These columns are there and come in this order; others may stand between them."""

    columns: tuple[str, ...]
    severity: Severity = "error"


class HasTypes(msgspec.Struct, frozen=True, tag="has_types"):
    """Columns are there and have these types, by Arrow's names: `{"id": "int64", "at": "timestamp[us, tz=UTC]"}`."""

    types: dict[str, str]
    severity: Severity = "error"


class SchemaMatches(msgspec.Struct, frozen=True, tag="schema_matches"):
    """Columns, types and their order are those of a version such as `flights@1`."""

    dataset: str
    severity: Severity = "error"


class RowCount(msgspec.Struct, frozen=True, tag="row_count"):
    """There are at least `minimum` and at most `maximum` rows."""

    minimum: int = 0
    maximum: int | None = None
    severity: Severity = "error"


class NotNull(msgspec.Struct, frozen=True, tag="not_null"):
    """A column has a value (NaN is none) in at least the share `mostly` of the rows."""

    column: str
    mostly: Share = 1.0
    severity: Severity = "error"


class AllNull(msgspec.Struct, frozen=True, tag="all_null"):
    """A column has no value (NaN is none) in at least the share `mostly` of the rows."""

    column: str
    mostly: Share = 1.0
    severity: Severity = "error"


class InRange(msgspec.Struct, frozen=True, tag="in_range"):
    """Numbers, dates, times or text lie between minimum and maximum; ends are inside unless they are strict.

    Text is compared by code points. `InRange("at", minimum="2013-01-01", maximum="2014-01-01", strict_maximum=True)`
    is a year.
    """

    column: str
    minimum: Bound = None
    maximum: Bound = None
    mostly: Share = 1.0
    severity: Severity = "error"
    strict_minimum: bool = False
    strict_maximum: bool = False


class OneOf(msgspec.Struct, frozen=True, tag="one_of"):
    """The values of a column are among these, which are read as the column's type: "1" is the number 1."""

    column: str
    values: tuple[Value, ...]
    mostly: Share = 1.0
    severity: Severity = "error"


class NotOneOf(msgspec.Struct, frozen=True, tag="not_one_of"):
    """No value of a column is among these, which are read as the column's type."""

    column: str
    values: tuple[Value, ...]
    mostly: Share = 1.0
    severity: Severity = "error"


class Matches(msgspec.Struct, frozen=True, tag="matches"):
    """The whole of each text matches a regular expression (of Rust: linear time, no look-around)."""

    column: str
    pattern: str
    mostly: Share = 1.0
    severity: Severity = "error"


class NotMatches(msgspec.Struct, frozen=True, tag="not_matches"):
    """A regular expression (of Rust) is found nowhere in a text."""

    column: str
    pattern: str
    mostly: Share = 1.0
    severity: Severity = "error"


class Length(msgspec.Struct, frozen=True, tag="length"):
    """Texts have from `minimum` to `maximum` characters (Unicode code points)."""

    column: str
    minimum: int = 0
    maximum: int | None = None
    mostly: Share = 1.0
    severity: Severity = "error"


class Compare(msgspec.Struct, frozen=True, tag="compare"):
    """Two columns stand in a relation, row by row: `Compare("sold", ">=", "bought")`.

    Rows where either is missing are not judged.
    """

    left: str
    operator: Operator
    right: str
    mostly: Share = 1.0
    severity: Severity = "error"


class Increasing(msgspec.Struct, frozen=True, tag="increasing"):
    """Each value is at least (strictly: more than) the one before it; missing ones are stepped over."""

    column: str
    strict: bool = False
    mostly: Share = 1.0
    severity: Severity = "error"


class Unique(msgspec.Struct, frozen=True, tag="unique"):
    """No two rows agree in all of the columns; missing agrees with missing. Failures are rows beyond the first."""

    columns: tuple[str, ...]
    severity: Severity = "error"


class References(msgspec.Struct, frozen=True, tag="references"):
    """The values of the columns stand in the `keys` of another dataset; rows with a missing value are not judged."""

    columns: tuple[str, ...]
    dataset: str
    keys: tuple[str, ...]
    mostly: Share = 1.0
    severity: Severity = "error"


class NoRows(msgspec.Struct, frozen=True, tag="no_rows"):
    """A query finds nothing: it selects the rows that are wrong, from a table called as the dataset is.

    `NoRows("SELECT * FROM flights WHERE arrived < departed")`. It sees these rows and nothing else. `mostly` is the
    share of the dataset's rows that it may not find.
    """

    sql: str
    mostly: Share = 1.0
    severity: Severity = "error"


class MeanInRange(msgspec.Struct, frozen=True, tag="mean_in_range"):
    """The mean of the finite numbers of a column lies between minimum and maximum; without any, it fails.

    Ends of means, deviations and sums are met up to rounding, which depends on the order of adding.
    """

    column: str
    minimum: float | None = None
    maximum: float | None = None
    severity: Severity = "error"


class StdInRange(msgspec.Struct, frozen=True, tag="std_in_range"):
    """The sample deviation of the finite numbers of a column lies in a range; with fewer than two, it fails."""

    column: str
    minimum: float | None = None
    maximum: float | None = None
    severity: Severity = "error"


class SumInRange(msgspec.Struct, frozen=True, tag="sum_in_range"):
    """The sum of the finite numbers of a column lies between minimum and maximum."""

    column: str
    minimum: float | None = None
    maximum: float | None = None
    severity: Severity = "error"


class QuantileInRange(msgspec.Struct, frozen=True, tag="quantile_in_range"):
    """A quantile (inverted CDF) of the finite numbers lies in a range: `QuantileInRange("ms", 0.99, maximum=200)`."""

    column: str
    quantile: float
    minimum: float | None = None
    maximum: float | None = None
    severity: Severity = "error"


class DistinctInRange(msgspec.Struct, frozen=True, tag="distinct_in_range"):
    """A column has from `minimum` to `maximum` different values, missing ones left out."""

    column: str
    minimum: int = 0
    maximum: int | None = None
    severity: Severity = "error"


class Freshness(msgspec.Struct, frozen=True, tag="freshness"):
    """The newest value of a column of times is not older than a span, such as `2h` or `1d`, when the check runs."""

    column: str
    within: str
    severity: Severity = "error"


class LikeHistory(msgspec.Struct, frozen=True, tag="like_history"):
    """A figure is no outlier among those of the dataset's earlier versions.

    Its robust z-score, 0.6745 · |x − median| / MAD over the last `window` versions, is at most `threshold`. Where all
    agree, so must x. With fewer than `least` earlier versions it passes. `column` is needed by all but `rows`.
    """

    metric: Metric
    column: str = ""
    threshold: float = 3.5
    window: int = 20
    least: int = 4
    severity: Severity = "error"


class LikeReference(msgspec.Struct, frozen=True, tag="like_reference"):
    """A column is distributed as in another version or dataset: drift (`flights@1`), or train/serve skew (`served`).

    The size of the difference counts, not its significance, which any difference reaches with enough rows:
    `psi` over the reference's deciles or values (missing is a class of its own), `ks` the largest distance of the
    distribution functions (numbers and times), `cramers_v` from χ², `total_variation` half the sum of the differences
    of shares. `reference_column` is the column there, when it is called otherwise.
    """

    column: str
    dataset: str
    measure: Difference = "psi"
    maximum: float = 0.2
    reference_column: str = ""
    severity: Severity = "error"


Expectation = (
    HasColumns
    | ColumnOrder
    | HasTypes
    | SchemaMatches
    | RowCount
    | NotNull
    | AllNull
    | InRange
    | OneOf
    | NotOneOf
    | Matches
    | NotMatches
    | Length
    | Compare
    | Increasing
    | Unique
    | References
    | NoRows
    | MeanInRange
    | StdInRange
    | SumInRange
    | QuantileInRange
    | DistinctInRange
    | Freshness
    | LikeHistory
    | LikeReference
)
"""Anything that can be expected of data."""
