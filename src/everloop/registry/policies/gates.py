"""What gates said of a version: written by what asked them, never by hand, and of the version's very files."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import ColumnElement, delete, select

from everloop.catalog.session import Session
from everloop.registry import rows
from everloop.registry.entities import ModelVersion
from everloop.registry.policies.entities import GateJudgement, GatesJudged
from everloop.registry.policies.tables import judgements


def record(session: Session, version: ModelVersion, judged: Sequence[GateJudgement]) -> None:
    """Keep what gates said of a version, in the place of what the same gates said before.

    No use case leads here: a person can neither write nor change it. Of two gates of one name both must pass.
    """
    by_name: dict[str, GateJudgement] = {}
    for one in judged:
        before = by_name.get(one.gate)
        by_name[one.gate] = one if before is None or before.passed else before
    if not by_name:
        return
    session.execute(delete(judgements).where(_of(session, version), judgements.c.gate.in_(by_name)))
    for one in by_name.values():
        session.insert(judgements, one)
    urn = session.urn("model", version.model, version.version)
    told = {name: one.passed for name, one in sorted(by_name.items())}
    session.emit(GatesJudged(subject=urn, version=version.version, digest=version.trained.digest, gates=told))


def known(session: Session, version: ModelVersion) -> list[GateJudgement]:
    """What gates said of a version's very files, by gate."""
    query = select(judgements).where(_of(session, version), judgements.c.digest == version.trained.digest)
    return session.all(GateJudgement, query.order_by(judgements.c.gate))


def _of(session: Session, version: ModelVersion) -> ColumnElement[bool]:
    return rows.of(session, judgements, version.model, version.version)
