"""Freshness: the online store is kept at what is known now, for the features that endpoints read."""

from __future__ import annotations

from datetime import datetime, timedelta

from everloop.catalog.session import Session
from everloop.features import service as features
from everloop.features.entities import PinnedFeatures
from everloop.features.online import Materializer
from everloop.registry import service as models
from everloop.serving import service as endpoints
from everloop.serving.entities import Endpoint

EVERY = timedelta(seconds=10)
"""How old what is online may get while nothing else has moved."""


class FeatureKeeper:
    """Materializes every version of a feature service that some traffic reads, from the newest snapshots.

    One process at a time keeps a store. What it remembers saves it from loading the sources again.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._materializers: dict[str, tuple[PinnedFeatures, Materializer]] = {}
        self._seen: list[tuple[str, int]] = []
        self._next: datetime | None = None

    def keep(self) -> int:
        """Bring the store to now, when it is time to or an endpoint's traffic has moved; how many values were written.

        A call that finds nothing to do costs one query.
        """
        now = self._session.clock.now()
        with self._session.begin(write=False) as unit:
            found = [endpoint for endpoint in endpoints.list_endpoints(unit) if endpoint.features]
            seen = [(endpoint.name, endpoint.revision) for endpoint in found]
            if seen == self._seen and self._next is not None and now < self._next:
                return 0
            pinned = {one.table: one for endpoint in found for one in _read_by(unit, endpoint)}
        self._materializers = {table: self._materializer(table, one) for table, one in pinned.items()}
        written = sum(materializer.advance(now) for _, materializer in self._materializers.values())
        self._seen, self._next = seen, now + EVERY
        return written

    def _materializer(self, table: str, pinned: PinnedFeatures) -> tuple[PinnedFeatures, Materializer]:
        before = self._materializers.get(table)
        return before if before and before[0] == pinned else (pinned, Materializer(self._session, pinned))


def _read_by(unit: Session, endpoint: Endpoint) -> list[PinnedFeatures]:
    """What the models in an endpoint's traffic read, as of the newest snapshots."""
    deployed = {share.deployment for share in endpoint.traffic}
    versions = {one.version for one in endpoints.deployments(unit, endpoint.name) if one.revision in deployed}
    trained = {models.version(unit, endpoint.model, version).trained.features_version for version in versions}
    return [features.pin(unit, endpoint.features, version) for version in sorted(trained)]
