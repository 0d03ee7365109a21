"""How a project declares its features: entities, views over tables, windows, services.

```python
airport = Entity("airport", keys=["origin"])
delays = FeatureView(
    "airport_delays", entity=airport, source=table("departures"), timestamp="actual_departure",
    features=lambda t: [window(t.dep_delay.mean(), "2h"), window(t.count(), "2h").named("departures_2h")])
service = FeatureService("delay", views=[delays], request={"distance": "float64"})
```
Column names are checked against the source by `features.apply`, the first moment at which they can be.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import cast, get_args

import msgspec

from everloop.features import entities
from everloop.features.entities import Aggregation, Feature, RequestField, RequestType
from everloop.kernel.durations import duration
from everloop.kernel.errors import InvalidInput

Span = str | timedelta


class Source(msgspec.Struct, frozen=True):
    """A dataset, named as the source of a view."""

    dataset: str


class Expression(msgspec.Struct, frozen=True):
    """A column of the source, or an aggregation of it."""

    column: str
    aggregation: Aggregation = ""
    over: timedelta | None = None
    name: str = ""

    def mean(self) -> Expression:
        """The arithmetic mean of the values that are there."""
        return self._aggregated("mean")

    def sum(self) -> Expression:
        """The sum of the values that are there; missing when there are none."""
        return self._aggregated("sum")

    def min(self) -> Expression:
        """The smallest value."""
        return self._aggregated("min")

    def max(self) -> Expression:
        """The largest value."""
        return self._aggregated("max")

    def last(self) -> Expression:
        """The newest value that is not missing."""
        return self._aggregated("last")

    def std(self) -> Expression:
        """The sample standard deviation; missing for fewer than two values."""
        return self._aggregated("std")

    def share(self) -> Expression:
        """The share of values that are true, or not zero."""
        return self._aggregated("share")

    def named(self, name: str) -> Expression:
        """The same under a name of its own."""
        return msgspec.structs.replace(self, name=name)

    def _aggregated(self, aggregation: Aggregation) -> Expression:
        return msgspec.structs.replace(self, aggregation=aggregation)


class Columns:
    """The columns of a source while a view is declared: `t.wind_speed`, or `t["wind speed"]`."""

    def __getattr__(self, column: str) -> Expression:
        if column.startswith("__"):
            raise AttributeError(column)
        return Expression(column)

    def __getitem__(self, column: str) -> Expression:
        return Expression(column)

    def count(self) -> Expression:
        """How many rows there are."""
        return Expression("", "count")


def Entity(name: str, *, keys: Sequence[str]) -> entities.Entity:
    """What features describe, and the columns that tell one from another."""
    return entities.Entity(name, _texts(keys, f"The keys of entity {name!r}"))


def table(dataset: str) -> Source:
    """The dataset of that name, as the source of a view."""
    return Source(dataset)


def window(expression: Expression, over: Span) -> Expression:
    """An aggregation over the last `over`: rows stamped in (t - over, t]."""
    if not isinstance(expression, Expression) or not expression.aggregation:
        raise InvalidInput(
            f"window(…, {over!r}) needs an aggregation.",
            hint="Write window(t.column.mean(), '2h') or window(t.count(), '2h').",
        )
    span = _span(over, "A window")
    default = "_".join(part for part in (expression.column, expression.aggregation, _label(over)) if part)
    return msgspec.structs.replace(expression, over=span, name=expression.name or default)


def FeatureView(
    name: str,
    *,
    entity: entities.Entity,
    source: Source | str,
    features: Callable[[Columns], Sequence[Expression]],
    timestamp: str = "",
    ttl: Span | None = None,
    available_after: Span = "0s",
) -> entities.FeatureView:
    """Features of an entity, read from a dataset; without `timestamp` the values hold for all times.

    Args:
        name: the view's name; its columns are called `name.feature`.
        entity: what the features describe.
        source: the dataset, as `table("weather")`.
        features: a function of the source's columns that lists the features.
        timestamp: the column that says when a row happened.
        ttl: how old a row may be, by its timestamp; a row exactly that old still counts.
        available_after: how long after its timestamp a row is known.
    """
    expressions = features(Columns())
    if not isinstance(expressions, list | tuple):
        raise InvalidInput(
            f"The features of view {name!r} are no list.", hint="Write features=lambda t: [t.column, …]."
        )
    return entities.FeatureView(
        name,
        entity,
        source.dataset if isinstance(source, Source) else source,
        timestamp,
        tuple(_feature(name, expression) for expression in expressions),
        None if ttl is None else _span(ttl, f"The ttl of view {name!r}"),
        _span(available_after, f"available_after of view {name!r}"),
    )


def FeatureService(
    name: str, *, views: Sequence[entities.FeatureView], request: Mapping[str, str] | None = None
) -> entities.FeatureService:
    """The features that a model is fed with: those of the views, then `request`'s, as `{"distance": "float64"}`."""
    fields = tuple(_request_field(name, field, kind) for field, kind in (request or {}).items())
    return entities.FeatureService(name, tuple(views), fields)


def _feature(view: str, expression: object) -> Feature:
    if not isinstance(expression, Expression):
        raise InvalidInput(
            f"View {view!r} lists {expression!r}, which is no feature.",
            hint="Write t.column or window(t.column.mean(), '2h').",
        )
    if expression.aggregation and expression.over is None:
        raise InvalidInput(
            f"View {view!r} has {expression.aggregation} of {expression.column or 'rows'} without a window.",
            hint="Wrap it: window(…, '2h').",
        )
    return Feature(expression.name or expression.column, expression.column, expression.aggregation, expression.over)


def _request_field(service: str, name: str, kind: str) -> RequestField:
    known = get_args(RequestType)
    if kind not in known:
        raise InvalidInput(
            f"Request field {name!r} of service {service!r} has type {kind!r}.", hint=f"Choose from {', '.join(known)}."
        )
    return RequestField(name, cast(RequestType, kind))


def _span(value: Span, what: str) -> timedelta:
    if isinstance(value, timedelta):
        return value
    try:
        return duration(value)
    except InvalidInput as error:
        raise InvalidInput(f"{what}: {error.message}", hint=error.hint) from None
    except (OverflowError, TypeError):
        raise InvalidInput(
            f"{what}: {value!r} is not a duration that can be.", hint="Write such as 2h or 30d."
        ) from None


def _label(over: Span) -> str:
    if isinstance(over, str):
        return over.replace(" ", "")
    seconds = over.total_seconds()
    units = (("h", 3600), ("m", 60), ("s", 1))
    return next((f"{seconds / size:g}{unit}" for unit, size in units if seconds % size == 0), f"{seconds:g}s")


def _texts(values: Sequence[str], what: str) -> tuple[str, ...]:
    if isinstance(values, str):
        raise InvalidInput(f"{what} are one text, {values!r}.", hint=f"Write a list: [{values!r}].")
    return tuple(values)
