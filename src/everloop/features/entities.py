"""What features are made of: entities, views of datasets, services that models are fed from."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Literal

import msgspec

from everloop.datasets.entities import Snapshot
from everloop.kernel.events import Event
from everloop.kernel.ids import Name

Aggregation = Literal["", "mean", "sum", "count", "min", "max", "last", "std", "share"]
"""How a window's rows become one number.

`count` counts rows; the others skip missing values. `share` is the part that is not zero, `std` the sample deviation.
"""
RequestType = Literal["float64", "int64", "string"]
NO_TIME = timedelta()


class Entity(msgspec.Struct, frozen=True):
    """What features describe (an airport, a carrier), and the columns that tell one from another."""

    name: Name
    keys: tuple[str, ...]


class Feature(msgspec.Struct, frozen=True):
    """One number of a view: the column's newest value, or an aggregation of it over a window of time."""

    name: Name
    column: str
    aggregation: Aggregation = ""
    over: timedelta | None = None


class FeatureView(msgspec.Struct, frozen=True):
    """Features of an entity, read from a dataset.

    A row stamped T (in the column `timestamp`; empty for data without time) is known from T + `available_after`, and
    its plain values count until T + `ttl`, that moment included. Windows reach over (t - over, t] and have no TTL.
    """

    name: Name
    entity: Entity
    source: Name
    timestamp: str
    features: tuple[Feature, ...]
    ttl: timedelta | None = None
    available_after: timedelta = NO_TIME


class RequestField(msgspec.Struct, frozen=True):
    """An input that comes with each request instead of from a view."""

    name: Name
    type: RequestType


class FeatureService(msgspec.Struct, frozen=True):
    """The features that a model is fed with: those of its views, then the request's own."""

    name: Name
    views: tuple[FeatureView, ...]
    request: tuple[RequestField, ...] = ()


class PinnedFeatures(msgspec.Struct, frozen=True):
    """A version of a service with the snapshots (by view) that it reads: equal pins give equal values for ever."""

    service: FeatureService
    version: int
    sources: dict[str, Snapshot]
    project: str = "default"

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that a model gets, in order: `view.feature` for each, then the request's fields."""
        return columns_of(self.service)

    @property
    def table(self) -> str:
        """The online store's table for this version of the service."""
        return f"{self.project}/{self.service.name}@{self.version}"


class AppliedService(msgspec.Struct, frozen=True):
    """An immutable version of a feature service."""

    name: Name
    version: int
    service: FeatureService
    created: datetime


class AppliedView(msgspec.Struct, frozen=True):
    """An immutable version of a feature view."""

    name: Name
    version: int
    view: FeatureView
    created: datetime


class Materialization(msgspec.Struct, frozen=True):
    """The online store was brought to what was known at `until`; `rows` is how many entities' values were written."""

    service: Name
    version: int
    until: datetime
    rows: int
    at: datetime


class ServiceApplied(Event, frozen=True, kw_only=True, tag="features.service_applied"):
    """A feature service has a new version."""

    views: tuple[str, ...]


class ViewApplied(Event, frozen=True, kw_only=True, tag="features.view_applied"):
    """A feature view has a new version."""

    source: str


class Materialized(Event, frozen=True, kw_only=True, tag="features.materialized"):
    """A feature service's values went to the online store."""

    until: datetime
    rows: int


def column_of(view: FeatureView, feature: Feature) -> str:
    """The name of a feature's column in training sets and in what a model is fed."""
    return f"{view.name}.{feature.name}"


def columns_of(service: FeatureService) -> tuple[str, ...]:
    """The columns that a service gives, in order: its views' features, then the request's fields."""
    own = [column_of(view, feature) for view in service.views for feature in view.features]
    return (*own, *(field.name for field in service.request))
