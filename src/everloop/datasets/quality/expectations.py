"""What can be expected of data: one type for each kind of expectation."""

from __future__ import annotations

from typing import Literal

import msgspec

Severity = Literal["error", "warning"]
Share = float
"""A share of rows, from 0 to 1."""


class NotNull(msgspec.Struct, frozen=True, tag="not_null"):
    """A column has a value (NaN is none) in at least the share `mostly` of the rows."""

    column: str
    mostly: Share = 1.0
    severity: Severity = "error"


class InRange(msgspec.Struct, frozen=True, tag="in_range"):
    """The values of a numeric column lie between minimum and maximum, ends included; missing values are not judged."""

    column: str
    minimum: float | None = None
    maximum: float | None = None
    mostly: Share = 1.0
    severity: Severity = "error"


class Unique(msgspec.Struct, frozen=True, tag="unique"):
    """No two rows agree in all of the columns."""

    columns: tuple[str, ...]
    severity: Severity = "error"


class OneOf(msgspec.Struct, frozen=True, tag="one_of"):
    """The values of a column, as text, are among these; missing values are not judged."""

    column: str
    values: tuple[str, ...]
    mostly: Share = 1.0
    severity: Severity = "error"


class Matches(msgspec.Struct, frozen=True, tag="matches"):
    """The whole of each value, as text, matches a regular expression (RE2); missing values are not judged."""

    column: str
    pattern: str
    mostly: Share = 1.0
    severity: Severity = "error"


class References(msgspec.Struct, frozen=True, tag="references"):
    """The values of the columns stand in the `keys` of another dataset; rows with a missing value are not judged."""

    columns: tuple[str, ...]
    dataset: str
    keys: tuple[str, ...]
    mostly: Share = 1.0
    severity: Severity = "error"


class RowCount(msgspec.Struct, frozen=True, tag="row_count"):
    """There are at least `minimum` and at most `maximum` rows."""

    minimum: int = 0
    maximum: int | None = None
    severity: Severity = "error"


Expectation = NotNull | InRange | Unique | OneOf | Matches | References | RowCount
