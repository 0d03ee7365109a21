"""Subjects in the online store: the entities whose key is one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sqlalchemy import select

from everloop.catalog.session import Session
from everloop.datasets.splits.entities import Sighting, Subject
from everloop.features.entities import AppliedService, FeatureView, PinnedFeatures
from everloop.features.onlinestore import OnlineStore
from everloop.features.tables import feature_services


class OnlineSubjects:
    """Finds a subject among the keys of the online store, in every version of every service.

    Entities of several keys are not looked for: the store finds whole keys only.
    """

    def find(self, session: Session, subject: Subject) -> Sequence[Sighting]:
        """An entry for each view that has values of the entity."""
        query = select(feature_services).where(feature_services.c.project == session.project)
        with session.begin(write=False) as unit:
            services = unit.all(AppliedService, query.order_by(feature_services.c.name, feature_services.c.version))
        store = session.ports.get(OnlineStore) if services else None
        return [] if store is None else [seen for each in services for seen in _of(session, store, each, subject)]


def _of(session: Session, store: OnlineStore, applied: AppliedService, subject: Subject) -> Iterator[Sighting]:
    table = PinnedFeatures(applied.service, applied.version, {}, session.project).table
    for view in applied.service.views:
        if view.entity.keys == (subject.column,):
            held = [value for value in store.read(table, _keys(view, subject.value)) if value is not None]
            if held:
                urn = session.urn("feature_service", applied.name, applied.version)
                yield Sighting(urn, len(held), f"values of view {view.name} in the online store")


def _keys(view: FeatureView, value: str) -> list[bytes]:
    """The entity's keys: as a text and, if it may be one, as a whole number."""
    from everloop.features.keys import encode_key
    from everloop.features.online import view_prefix

    spelled: list[str | int] = [value]
    if value.lstrip("-").isdecimal():
        spelled.append(int(value))
    return [view_prefix(view) + encode_key([each]) for each in spelled]
