"""What one can do with features: apply declarations, join training sets, fill the online store, look values up."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
from sqlalchemy import select

from everloop.catalog.lineage import link
from everloop.catalog.session import Session
from everloop.datasets.content import read_table, resolve, snapshot_of, urn_of, write_table
from everloop.datasets.entities import Snapshot
from everloop.features.checks import check_services, check_source
from everloop.features.entities import (
    AppliedService,
    AppliedView,
    FeatureService,
    FeatureView,
    Materialization,
    Materialized,
    PinnedFeatures,
    ServiceApplied,
    ViewApplied,
)
from everloop.features.onlinestore import OnlineStore
from everloop.features.tables import feature_services, feature_views, materializations
from everloop.kernel.clock import micros
from everloop.kernel.ids import Name
from everloop.kernel.usecase import usecase


@usecase("features.apply", permission="features:write", route="POST /features/services")
def apply(session: Session, services: tuple[FeatureService, ...]) -> list[AppliedService]:
    """Install feature services with their views, checked against the newest snapshots of their sources.

    Versions are immutable: a changed declaration becomes the next version, an unchanged one stays the version it is.
    """
    check_services(services)
    for view in {view.name: view for service in services for view in service.views}.values():
        _apply_view(session, view, check_source(session, view))
    return [_apply_service(session, service) for service in services]


@usecase("features.services", permission="features:read", route="GET /features/services")
def services(session: Session) -> list[AppliedService]:
    """The newest version of every feature service, by name."""
    here = feature_services.c.project == session.project
    query = select(feature_services).where(here).order_by(feature_services.c.name, feature_services.c.version)
    return list({applied.name: applied for applied in session.all(AppliedService, query)}.values())


@usecase("features.views", permission="features:read", route="GET /features/views")
def views(session: Session) -> list[AppliedView]:
    """The newest version of every feature view, by name."""
    here = feature_views.c.project == session.project
    query = select(feature_views).where(here).order_by(feature_views.c.name, feature_views.c.version)
    return list({applied.name: applied for applied in session.all(AppliedView, query)}.values())


@usecase("features.service", permission="features:read", route="GET /features/services/{name}")
def service(session: Session, name: Name, version: int = 0) -> FeatureService:
    """A version of a feature service; 0 is the newest."""
    return _applied(session, name, version).service


@usecase("features.pin", permission="features:read", route="GET /features/services/{service}/pin")
def pin(session: Session, service: Name, version: int = 0) -> PinnedFeatures:
    """A version of a feature service with the newest snapshots of its sources: what a pipeline's step is handed."""
    applied = _applied(session, service, version)
    sources = {view.name: snapshot_of(session, view.source) for view in applied.service.views}
    return PinnedFeatures(applied.service, applied.version, sources, session.project)


@usecase(
    "features.materialize", permission="features:run", route="POST /features/services/{service}/materialize", long=True
)
def materialize(session: Session, service: Name, until: datetime | None = None) -> Materialization:
    """Bring the online store to what was known at `until` (now, when it is not given)."""
    from everloop.features.online import Materializer

    with session.begin(write=False) as unit:
        pinned = pin(unit, service)
    moment = _aware(until) if until else session.clock.now()
    rows = Materializer(session, pinned).advance(moment)
    with session.begin() as unit:
        done = Materialization(service, pinned.version, moment, rows, unit.clock.now())
        unit.insert(materializations, {"id": unit.new_id(), **msgspec.structs.asdict(done)})
        subject = unit.urn("feature_service", service, pinned.version)
        unit.emit(Materialized(subject=subject, until=moment, rows=rows))
    return done


@usecase("features.materializations", permission="features:read", route="GET /features/materializations")
def list_materializations(session: Session, service: str = "", limit: int = 20) -> list[Materialization]:
    """What `features.materialize` did, newest first."""
    query = select(materializations).where(materializations.c.project == session.project)
    if service:
        query = query.where(materializations.c.service == service)
    return session.all(Materialization, query.order_by(materializations.c.id.desc()).limit(max(0, min(limit, 1000))))


@usecase("features.lookup", permission="features:read", route="POST /features/services/{service}/lookup")
def lookup(
    session: Session, service: Name, keys: dict[str, list[str]], at: datetime | None = None
) -> list[dict[str, float | None]]:
    """What the online store has for some entities: a row for each, None where nothing is known at `at` (now).

    `keys` has a list for each key column; all lists are as long.
    """
    from everloop.features.online import OnlineFeatures

    online = OnlineFeatures(session.ports.get(OnlineStore), pin(session, service))
    found = online.read(online.parsed(keys), micros(_aware(at) if at else session.clock.now()))
    columns = {name: values.tolist() for name, values in found.items()}
    rows = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
    return [{name: None if value != value else value for name, value in row.items()} for row in rows]


@usecase(
    "features.training_set",
    permission="features:write",
    route="POST /features/services/{service}/training-sets",
    long=True,
)
def training_set(session: Session, service: Name, dataset: str, at: str, name: Name, version: int = 0) -> Snapshot:
    """Commit the point-in-time join of a dataset (`flights` or `flights@2`) with a service's features as `name`.

    `at` is the column that says when each row asks; see `pointintime.join`. `version` is the service's.
    """
    from everloop.features.pointintime import join

    with session.begin(write=False) as unit:
        pinned = pin(unit, service, version)
        rows = resolve(unit, dataset)
    joined = join(session, read_table(session, rows), at, pinned)
    urn = session.urn("feature_service", service, pinned.version)
    parents = [urn_of(session, source) for source in (rows, *pinned.sources.values())]
    note = f"{dataset} with {service}@{pinned.version}"
    snapshot = write_table(session, name, joined, list(dict.fromkeys(parents)), note)
    with session.begin() as unit:
        link(unit, urn_of(unit, snapshot), urn, "used")
    return snapshot


def _apply_view(session: Session, view: FeatureView, source: Snapshot) -> AppliedView:
    here = (feature_views.c.project == session.project) & (feature_views.c.name == view.name)
    query = select(feature_views).where(here).order_by(feature_views.c.version.desc())
    newest = session.first(AppliedView, query)
    if newest is not None and newest.view == view:
        return newest
    applied = AppliedView(view.name, newest.version + 1 if newest else 1, view, session.clock.now())
    session.insert(feature_views, applied)
    urn = session.urn("feature_view", view.name, applied.version)
    session.emit(ViewApplied(subject=urn, source=view.source))
    link(session, urn, urn_of(session, source), "reads")
    return applied


def _apply_service(session: Session, service: FeatureService) -> AppliedService:
    here = (feature_services.c.project == session.project) & (feature_services.c.name == service.name)
    query = select(feature_services).where(here).order_by(feature_services.c.version.desc())
    newest = session.first(AppliedService, query)
    if newest is not None and newest.service == service:
        return newest
    applied = AppliedService(service.name, newest.version + 1 if newest else 1, service, session.clock.now())
    session.insert(feature_services, applied)
    urn = session.urn("feature_service", service.name, applied.version)
    versions = {view.name: view.version for view in views(session)}
    members = tuple(session.urn("feature_view", view.name, versions[view.name]) for view in service.views)
    session.emit(ServiceApplied(subject=urn, views=members))
    for member in members:
        link(session, urn, member, "reads")
    return applied


def _applied(session: Session, name: str, version: int) -> AppliedService:
    here = (feature_services.c.project == session.project) & (feature_services.c.name == name)
    query = select(feature_services).where(here).order_by(feature_services.c.version.desc())
    if version:
        query = query.where(feature_services.c.version == version)
    what = f"version {version} of feature service" if version else "feature service"
    return session.one(
        AppliedService, query, f"There is no {what} {name!r}.", "everloop features services lists what there is."
    )


def _aware(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
