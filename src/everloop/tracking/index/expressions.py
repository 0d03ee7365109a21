"""What a search asks for: comparisons, put together by and, or and not; orders; and the search itself."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec

from everloop.kernel.errors import InvalidInput

Kind = Literal["metric", "parameter", "tag", "attribute", "dataset"]
Operator = Literal[
    "=", "!=", "<", "<=", ">", ">=", "like", "not like", "ilike", "not ilike", "in", "not in", "is null", "is not null"
]
COMPARING: tuple[Operator, ...] = ("=", "!=", "<", "<=", ">", ">=")
MATCHING: tuple[Operator, ...] = ("like", "not like", "ilike", "not ilike")
LISTING: tuple[Operator, ...] = ("in", "not in")
ASKING: tuple[Operator, ...] = ("is null", "is not null")
TEXT_ATTRIBUTES = ("id", "experiment", "name", "status", "parent", "user", "group", "revision", "branch")
TIME_ATTRIBUTES = ("started", "ended", "deleted")
NUMBER_ATTRIBUTES = ("duration",)
ATTRIBUTES = (*TEXT_ATTRIBUTES, *TIME_ATTRIBUTES, *NUMBER_ATTRIBUTES)
DATASET_KEYS = ("name", "digest", "context", "version", "urn")
Value = float | str | datetime | tuple[str, ...] | tuple[float, ...] | None


class Condition(msgspec.Struct, frozen=True, tag=True):
    """One comparison. Of a run that has no such value none holds but `is null`; of NaN none but `!=`, `not in`.

    Metrics and `duration` (seconds) are compared with floats, times with datetimes, all others with texts; `in` and
    `not in` take a tuple of them, `is null` and `is not null` nothing. In `like` and its kin `%` is any text and `_`
    any character; the i in `ilike` ignores case. A condition on a dataset holds where it holds for one of the run's.
    """

    kind: Kind
    key: str
    operator: Operator
    value: Value = None


class AllOf(msgspec.Struct, frozen=True, tag=True):
    """Holds where each of its parts does."""

    parts: tuple[Expression, ...]


class AnyOf(msgspec.Struct, frozen=True, tag=True):
    """Holds where one of its parts does."""

    parts: tuple[Expression, ...]


class Not(msgspec.Struct, frozen=True, tag=True):
    """Holds where its part does not, also where that is because there is no such value."""

    part: Expression


Expression = Condition | AllOf | AnyOf | Not


class Ordering(msgspec.Struct, frozen=True):
    """What the found runs are ordered by: NaN and then what has no value come last in both directions."""

    kind: Kind
    key: str
    descending: bool = False


class Search(msgspec.Struct, frozen=True):
    """Which runs are wanted: of these experiments (of all, when none is named), those that meet every condition.

    `deleted` says whether they have been put out of sight; None wants both. Runs that the orders leave equal come with
    the newest first, then by id. `after` is the cursor of the page before.
    """

    experiments: tuple[str, ...] = ()
    conditions: tuple[Expression, ...] = ()
    orders: tuple[Ordering, ...] = ()
    deleted: bool | None = False
    limit: int = 100
    after: str = ""


class Page(msgspec.Struct, frozen=True):
    """A page of found runs: their ids in order, the next page's cursor (empty after the last), and their count."""

    ids: list[str]
    cursor: str
    total: int


def check(expression: Expression) -> None:
    """Let a condition through that makes sense.

    Raises:
        InvalidInput: a key does not exist, or an operator or value does not go with it.
    """
    if isinstance(expression, Condition):
        _check(expression)
        return
    for part in (expression.part,) if isinstance(expression, Not) else expression.parts:
        check(part)


def type_of(kind: Kind, key: str) -> Literal["number", "time", "text"]:
    """What a field's values are.

    Raises:
        InvalidInput: there is no such field.
    """
    if kind == "attribute" and key not in ATTRIBUTES:
        raise InvalidInput(f"Runs have no attribute {key!r}.", hint=f"They have {', '.join(ATTRIBUTES)}.")
    if kind == "dataset" and key not in DATASET_KEYS:
        raise InvalidInput(f"A run's datasets have no {key!r}.", hint=f"They have {', '.join(DATASET_KEYS)}.")
    if kind == "metric" or (kind == "attribute" and key in NUMBER_ATTRIBUTES):
        return "number"
    return "time" if kind == "attribute" and key in TIME_ATTRIBUTES else "text"


def operators_for(kind: Kind, key: str) -> tuple[Operator, ...]:
    """The operators that compare a field.

    Raises:
        InvalidInput: there is no such field.
    """
    return (
        (*COMPARING, *MATCHING, *LISTING, *ASKING)
        if type_of(kind, key) == "text"
        else (*COMPARING, *LISTING, *ASKING)
        if type_of(kind, key) == "number"
        else (*COMPARING, *ASKING)
    )


_WANTED: dict[str, tuple[type[object], str]] = {
    "number": (float, "a number"),
    "time": (datetime, "a time"),
    "text": (str, "a text"),
}


def _check(condition: Condition) -> None:
    allowed = operators_for(condition.kind, condition.key)
    field = f"{condition.kind} {condition.key!r}"
    if condition.operator not in allowed:
        raise InvalidInput(
            f"{condition.operator.upper()} does not compare {field}.", hint=f"There are {', '.join(allowed)}."
        )
    if condition.operator in ASKING:
        return
    kind, words = _WANTED[type_of(condition.kind, condition.key)]
    listed = isinstance(condition.value, tuple)
    values = condition.value if isinstance(condition.value, tuple) else (condition.value,)
    if listed != (condition.operator in LISTING) or not all(isinstance(value, kind) for value in values):
        what = f"a list of which each is {words}" if condition.operator in LISTING else words
        raise InvalidInput(f"{field} is compared with {condition.value!r}.", hint=f"Compare it with {what}.")
