"""What one can do about models that bring code: trust the very files of a version, see who did, take it back."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Select, delete, select

from everloop.catalog.session import Session
from everloop.kernel.errors import InvalidInput, NotFound, Refused
from everloop.kernel.ids import Name
from everloop.kernel.usecase import usecase
from everloop.registry import service as models
from everloop.registry.entities import Model
from everloop.registry.trust.entities import ModelDistrusted, ModelTrusted, Trust
from everloop.registry.trust.tables import trusts
from everloop.store.entities import Digest


@usecase("models.trust", permission="models:approve", route="POST /models/{name}/versions/{version}/trust")
def trust(session: Session, name: Name, version: int, reason: str) -> Trust:
    """Let the code that a version brings along run, in a sandbox without network; for its very files only."""
    if not reason.strip():
        raise InvalidInput("Trust needs a reason.", hint="Say in a sentence who read the code, and what it does.")
    digest = models.version(session, name, version).trained.digest
    known = decision(session, digest)
    if known is not None:
        return known
    made = Trust(digest, name, version, session.principal, reason, session.clock.now())
    session.insert(trusts, made)
    urn = session.urn("model", name, version)
    session.emit(ModelTrusted(subject=urn, version=version, digest=digest, reason=reason))
    return made


@usecase("models.trusted", permission="models:read", route="GET /models/{name}/trust")
def trusted(session: Session, name: Name, version: int = 0) -> list[Trust]:
    """The decisions to trust versions of a model (or one of them) that stand, newest first."""
    digests = {it.trained.digest for it in models.versions(session, name) if version in (0, it.version)}
    query = select(trusts).where(_here(session)).order_by(trusts.c.at.desc(), trusts.c.digest)
    return [found for found in session.all(Trust, query) if found.digest in digests]


@usecase("models.distrust", permission="models:approve", route="DELETE /models/{name}/versions/{version}/trust")
def distrust(session: Session, name: Name, version: int, reason: str) -> Trust:
    """Take a decision to trust back, and give what it was. Processes that run the model end it when they load next."""
    digest = models.version(session, name, version).trained.digest
    known = decision(session, digest)
    if known is None:
        raise NotFound(f"Nobody trusts {name}@{version}.", hint=f"everloop models trusted {name} lists what is.")
    session.execute(delete(trusts).where(_of(session, digest)))
    urn = session.urn("model", name, version)
    session.emit(ModelDistrusted(subject=urn, version=version, digest=digest, reason=reason))
    return known


def decision(session: Session, digest: Digest) -> Trust | None:
    """The decision to trust these very files, if there is one."""
    return session.first(Trust, _query(session, digest))


def require_trust(session: Session, model: Model, code: list[str]) -> None:
    """Go on only if somebody trusts the model's files.

    Raises:
        Refused: nobody does; with what they would run.
    """
    with session.begin(write=False) as unit:
        if decision(unit, model.digest) is not None:
            return
        known = _registered(unit, model.digest)
    command = f"everloop models trust {known or 'NAME VERSION'} --reason '…'"
    shown = " ".join(code[:5])
    raise Refused(
        f"The model brings code, and nobody has said that it may run. {shown}"[:1500],
        hint=f"When somebody has read it: {command}" + ("." if known else ", after it is registered."),
    )


def _registered(session: Session, digest: Digest) -> str:
    """The newest version that has these files, as a command names it."""
    for model in models.list_models(session):
        for version in models.versions(session, model.name):
            if version.trained.digest == digest:
                return f"{model.name} {version.version}"
    return ""


def _here(session: Session) -> ColumnElement[bool]:
    return trusts.c.project == session.project


def _of(session: Session, digest: Digest) -> ColumnElement[bool]:
    return _here(session) & (trusts.c.digest == digest)


def _query(session: Session, digest: Digest) -> Select[tuple[Any, ...]]:
    return select(trusts).where(_of(session, digest))
