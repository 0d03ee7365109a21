"""Checks of feature declarations: what can be seen in them, and what the sources' newest snapshots must have."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping

from sqlalchemy import select

from everloop.catalog.session import Session
from everloop.datasets.content import snapshot_of
from everloop.datasets.entities import Snapshot
from everloop.datasets.tables import datasets
from everloop.features.columntypes import is_key, is_number, is_time
from everloop.features.entities import NO_TIME, Feature, FeatureService, FeatureView, columns_of
from everloop.kernel.errors import InvalidInput, NotFound
from everloop.kernel.ids import NAME_PATTERN


def check_services(services: Iterable[FeatureService]) -> None:
    """Refuse declarations that contradict themselves or each other.

    Raises:
        InvalidInput: with the service, the view and the feature that it is about.
    """
    listed = list(services)
    _refuse_twice((service.name for service in listed), "services are called")
    views: dict[str, FeatureView] = {}
    for service in listed:
        _check_service(service)
        for view in service.views:
            if views.setdefault(view.name, view) != view:
                raise InvalidInput(
                    f"View {view.name!r} is declared in two ways.", hint="Give one of them another name."
                )


def check_source(session: Session, view: FeatureView) -> Snapshot:
    """The newest snapshot of a view's source, once it is clear that the view can be read from it.

    Raises:
        InvalidInput: the dataset or a column is not there, or a column's type does not fit.
    """
    try:
        snapshot = snapshot_of(session, view.source)
    except NotFound:
        known = session.scalars(select(datasets.c.name).where(datasets.c.project == session.project))
        raise InvalidInput(
            f"View {view.name!r} reads dataset {view.source!r}, which is not there.",
            hint=f"Keep it first: everloop add {view.source}.csv. There is {', '.join(sorted(known)) or 'none yet'}.",
        ) from None
    types = {column.name: column.type for column in snapshot.columns}
    for key in view.entity.keys:
        _check_column(view, types, key, is_key, "a key, so it must be a text or a whole number")
    if view.timestamp:
        _check_column(view, types, view.timestamp, is_time, "the timestamp, so it must be a time")
    for feature in view.features:
        if feature.column:
            _check_column(view, types, feature.column, is_number, "a feature, so it must be a number")
    return snapshot


def _check_service(service: FeatureService) -> None:
    _check_name(service.name, "feature service")
    if not service.views and not service.request:
        raise InvalidInput(f"Feature service {service.name!r} has no views.", hint="List at least one.")
    for field in service.request:
        _check_name(field.name, f"request field of {service.name!r}")
    for view in service.views:
        _check_view(view)
    _refuse_twice((view.name for view in service.views), f"views of service {service.name!r} are called")
    _refuse_twice(columns_of(service), f"columns of service {service.name!r} are called")


def _check_view(view: FeatureView) -> None:
    _check_name(view.name, "feature view")
    _check_name(view.entity.name, f"entity of view {view.name!r}")
    if not view.entity.keys:
        raise InvalidInput(f"Entity {view.entity.name!r} of view {view.name!r} has no keys.", hint="List its columns.")
    if not view.features:
        raise InvalidInput(f"View {view.name!r} has no features.", hint="List at least one column or window.")
    _refuse_twice(view.entity.keys, f"keys of entity {view.entity.name!r} are called")
    _refuse_twice((feature.name for feature in view.features), f"features of view {view.name!r} are called")
    for what, span in (("ttl", view.ttl), ("available_after", view.available_after)):
        if span is not None and span < NO_TIME:
            raise InvalidInput(f"The {what} of view {view.name!r} is {span}.", hint="It cannot be negative.")
    if not view.timestamp and (view.ttl is not None or view.available_after):
        raise InvalidInput(
            f"View {view.name!r} has a ttl or available_after, and no timestamp that they could count from.",
            hint="Name the timestamp column, or leave them out.",
        )
    for feature in view.features:
        _check_feature(view, feature)


def _check_feature(view: FeatureView, feature: Feature) -> None:
    what = f"Feature {feature.name!r} of view {view.name!r}"
    _check_name(feature.name, f"feature of view {view.name!r}")
    if bool(feature.aggregation) != (feature.over is not None):
        raise InvalidInput(
            f"{what} has an aggregation or a window without the other.", hint="Write window(t.column.mean(), '2h')."
        )
    if not feature.column and feature.aggregation != "count":
        raise InvalidInput(f"{what} names no column.", hint="Only count does without one.")
    if feature.over is None:
        return
    if not view.timestamp:
        raise InvalidInput(f"{what} is a window over rows without time.", hint="Name the view's timestamp column.")
    if feature.over <= view.available_after:
        raise InvalidInput(
            f"{what} looks back {feature.over}, and its rows are known only {view.available_after} after their time.",
            hint="The window would always be empty: make it longer.",
        )


def _check_column(
    view: FeatureView, types: Mapping[str, str], name: str, fits: Callable[[str], bool], role: str
) -> None:
    if name not in types:
        raise InvalidInput(
            f"View {view.name!r} reads column {name!r}, which {view.source!r} has not.",
            hint=f"It has {', '.join(types)}.",
        )
    if not fits(types[name]):
        raise InvalidInput(
            f"Column {name!r} of {view.source!r} has type {types[name]}; in view {view.name!r} it is {role}.",
            hint="Derive a dataset with such a column, or choose another one.",
        )


def _check_name(name: str, what: str) -> None:
    if not re.fullmatch(NAME_PATTERN, name):
        raise InvalidInput(
            f"{name!r} is no name for a {what}.",
            hint="A letter or digit, then up to 127 letters, digits, dots, dashes and underscores; see named(…).",
        )


def _refuse_twice(names: Iterable[str], what: str) -> None:
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise InvalidInput(f"Two {what} {twice[0]!r}.", hint="Give one of them another name.")
