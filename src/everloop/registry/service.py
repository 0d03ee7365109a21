"""What one can do with registered models: register versions, move aliases, decide, promote."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

import msgspec
from sqlalchemy import ColumnElement, Select, Table, delete, select, update

from everloop.catalog import lineage
from everloop.catalog.session import Session
from everloop.kernel.errors import Conflict, InvalidInput, NotFound, Refused
from everloop.kernel.ids import Name
from everloop.kernel.usecase import Json, usecase
from everloop.registry import card as cards
from everloop.registry import tags
from everloop.registry.compilation import kept
from everloop.registry.entities import (
    FILES,
    Alias,
    AliasDeleted,
    AliasMoved,
    Approval,
    Decision,
    Model,
    ModelCreated,
    ModelDeleted,
    ModelVersion,
    RegisteredModel,
    Signature,
    VersionDecided,
    VersionDeleted,
    VersionRegistered,
)
from everloop.registry.tables import aliases as aliases_table
from everloop.registry.tables import approvals as approvals_table
from everloop.registry.tables import models
from everloop.registry.tables import versions as versions_table

CHAMPION = "champion"


@usecase("models.create", permission="models:write", route="POST /models")
def create(session: Session, name: Name, description: str = "") -> RegisteredModel:
    """Make a name that versions can be registered under."""
    if session.first(RegisteredModel, _model(session, name)) is not None:
        raise Conflict(f"There is a model {name!r} already.", hint="Register a version of it, or choose another name.")
    made = RegisteredModel(name, description, session.clock.now(), 0)
    session.insert(models, made)
    session.emit(ModelCreated(subject=session.urn("model", name), description=description))
    return made


def compile_first(session: Session, name: Name, trained: Model, run: str = "", card: str = "", note: str = "") -> None:
    """Compile a model before it is registered: that takes a second, and must hold up no other writer."""
    _check_trained(session, trained)
    if trained.flavor != FILES:
        from everloop.registry.compilation.compiler import compiled_once

        compiled_once(session, trained)


@usecase("models.register", permission="models:write", route="POST /models/{name}/versions", before=compile_first)
def register(
    session: Session, name: Name, trained: Model, run: str = "", card: str = "", note: str = ""
) -> ModelVersion:
    """Register a trained model as the next version of a name, which is made if it is new.

    Without a `card` one is written from the model's metrics, signature and provenance.
    """
    return add(session, ModelVersion(name, 0, trained, run, card, session.clock.now(), note))


def add(session: Session, proposed: ModelVersion) -> ModelVersion:
    """Keep a version under the next number of its name, which is made if it is new; its card is written if it lacks."""
    _check_trained(session, proposed.trained)
    name, trained, run = proposed.model, proposed.trained, proposed.run
    known = session.first(RegisteredModel, _model(session, name)) or create(session, name)
    number = known.latest + 1
    text = proposed.card or cards.written(name, number, trained, proposed.note)
    made = msgspec.structs.replace(proposed, version=number, card=text)
    session.insert(versions_table, made)
    session.execute(update(models).where(_named(session, name)).values(latest=number))
    urn = session.urn("model", name, number)
    if run:
        lineage.link(session, urn, session.urn("run", run), "made_by")
    elif trained.training:
        lineage.link(session, urn, trained.training, "used")
    session.emit(VersionRegistered(subject=urn, version=number, digest=trained.digest, flavor=trained.flavor, run=run))
    return made


@usecase("models.list", permission="models:read", route="GET /models")
def list_models(session: Session) -> list[RegisteredModel]:
    """The models of the project, by name."""
    return session.all(
        RegisteredModel, select(models).where(models.c.project == session.project).order_by(models.c.name)
    )


@usecase("models.get", permission="models:read", route="GET /models/{name}")
def get(session: Session, name: Name) -> RegisteredModel:
    """A model by its name."""
    return session.one(
        RegisteredModel,
        _model(session, name),
        f"There is no model {name!r}.",
        hint="everloop models list shows what there is.",
    )


@usecase("models.versions", permission="models:read", route="GET /models/{name}/versions")
def versions(session: Session, name: Name) -> list[ModelVersion]:
    """The versions of a model, newest first."""
    get(session, name)
    return session.all(ModelVersion, _versions(session, name))


@usecase("models.version", permission="models:read", route="GET /models/{name}/version")
def version(session: Session, name: Name, version: int = 0, alias: str = "") -> ModelVersion:
    """A version by its number or by an alias; the newest when neither is given."""
    if version and alias:
        raise InvalidInput(f"Both version {version} and alias {alias!r} of {name} were given.", hint="Give one.")
    known = get(session, name)
    number = _alias(session, name, alias).version if alias else version
    query = _versions(session, name)
    if number:
        query = query.where(versions_table.c.version == number)
    hint = f"Its newest is {known.latest}: everloop models versions {name}."
    wanted = f"no version {number}" if number else "no version yet"
    return session.one(ModelVersion, query, f"Model {name!r} has {wanted}.", hint=hint)


@usecase("models.delete", permission="models:delete", route="DELETE /models/{name}")
def delete_model(session: Session, name: Name) -> RegisteredModel:
    """Delete a name that never had a version, and give what it was."""
    known = get(session, name)
    if known.latest:
        raise Refused(
            f"Model {name!r} has had {known.latest} versions, and their numbers are never given again.",
            hint="Delete its versions one by one; the name stays.",
        )
    tags.forget(session, name)
    session.execute(delete(models).where(_named(session, name)))
    session.emit(ModelDeleted(subject=session.urn("model", name)))
    return known


@usecase("models.delete_version", permission="models:delete", route="DELETE /models/{name}/versions/{version}")
def delete_version(session: Session, name: Name, version: int, reason: str) -> ModelVersion:
    """Delete a version that nothing points to, and give what it was. Its number is never given again.

    Refused while an alias names it or something (a package, a deployment) came from it.
    """
    if version < 1:
        raise InvalidInput(f"{version} is no version number.", hint="Versions count from 1.")
    known = _version(session, name, version)
    urn = session.urn("model", name, version)
    holding = [f"alias {alias.alias}" for alias in aliases(session, name) if alias.version == version]
    holding += [edge.downstream for edge in lineage.graph(session, urn, "downstream", 1).edges]
    if holding:
        raise Refused(f"{urn} is in use by {', '.join(holding)}.", hint="Move or delete those first.")
    tags.forget(session, name, version)
    session.execute(delete(versions_table).where(_row(session, versions_table, name, version)))
    session.emit(VersionDeleted(subject=urn, version=version, digest=known.trained.digest, reason=reason))
    return known


@usecase("models.set_alias", permission="models:deploy", route="PUT /models/{name}/aliases/{alias}")
def set_alias(session: Session, name: Name, alias: Name, version: int) -> Alias:
    """Let an alias name a version; it moves when it named another."""
    _version(session, name, version)
    before = session.first(Alias, _aliases(session, name).where(aliases_table.c.alias == alias))
    moved = Alias(name, alias, version, session.clock.now())
    if before is not None and before.version == version:
        return before
    if before is None:
        session.insert(aliases_table, moved)
    else:
        here = _row(session, aliases_table, name) & (aliases_table.c.alias == alias)
        session.execute(update(aliases_table).where(here).values(version=version, moved=moved.moved))
    previous = before.version if before else 0
    session.emit(
        AliasMoved(subject=session.urn("model", name, version), alias=alias, version=version, previous=previous)
    )
    return moved


@usecase("models.delete_alias", permission="models:deploy", route="DELETE /models/{name}/aliases/{alias}")
def delete_alias(session: Session, name: Name, alias: Name) -> Alias:
    """Delete an alias, and give what it was; the version stays."""
    known = _alias(session, name, alias)
    session.execute(delete(aliases_table).where(_row(session, aliases_table, name) & (aliases_table.c.alias == alias)))
    session.emit(AliasDeleted(subject=session.urn("model", name, known.version), alias=alias, version=known.version))
    return known


@usecase("models.aliases", permission="models:read", route="GET /models/{name}/aliases")
def aliases(session: Session, name: Name) -> list[Alias]:
    """The aliases of a model, by name."""
    get(session, name)
    return session.all(Alias, _aliases(session, name).order_by(aliases_table.c.alias))


@usecase("models.approve", permission="models:approve", route="POST /models/{name}/versions/{version}/approvals")
def approve(
    session: Session, name: Name, version: int, decision: Decision, reason: str, evidence: Mapping[str, Json] = {}
) -> Approval:
    """Record a decision about a version, by who asks, with what it was based on."""
    if decision not in get_args(Decision):
        raise InvalidInput(f"{decision!r} is not a decision.", hint=f"Say {' or '.join(get_args(Decision))}.")
    if not reason.strip():
        raise InvalidInput("A decision needs a reason.", hint="Say in a sentence what it was based on.")
    digest = _version(session, name, version).trained.digest
    at = session.clock.now()
    made = Approval(name, version, digest, session.principal, decision, reason, dict(evidence), at)
    number = len(approvals(session, name, version)) + 1
    session.insert(approvals_table, {"number": number} | msgspec.structs.asdict(made))
    urn = session.urn("model", name, version)
    session.emit(VersionDecided(subject=urn, version=version, digest=digest, decision=decision, reason=reason))
    return made


@usecase("models.approvals", permission="models:read", route="GET /models/{name}/versions/{version}/approvals")
def approvals(session: Session, name: Name, version: int) -> list[Approval]:
    """The decisions about a version, newest first."""
    _version(session, name, version)
    here = _row(session, approvals_table, name, version)
    return session.all(Approval, select(approvals_table).where(here).order_by(approvals_table.c.number.desc()))


@usecase("models.promote", permission="models:deploy", route="POST /models/{name}/versions/{version}/promotion")
def promote(
    session: Session, name: Name, version: int, reason: str, evidence: Mapping[str, Json] = {}, alias: Name = CHAMPION
) -> Alias:
    """Approve a version and move the alias to it, both or neither.

    Refused when the newest decision about the version is a rejection.
    """
    before = approvals(session, name, version)
    if before and before[0].decision == "rejected":
        raise Refused(
            f"{before[0].approver} rejected {name}@{version}: {before[0].reason}",
            hint=f"Approve it first: everloop models approve {name} {version}.",
        )
    approve(session, name, version, "approved", reason, evidence)
    return set_alias(session, name, alias, version)


@usecase("models.card", permission="models:read", route="GET /models/{name}/card")
def card(session: Session, name: Name, version: int = 0) -> str:
    """The model card as Markdown, with the decisions about the version and where it came from."""
    wanted = _version(session, name, version)
    origins = lineage.graph(session, session.urn("model", name, wanted.version), "upstream", 20)
    compiled = kept.known(session, wanted.trained)
    return cards.completed(wanted, approvals(session, name, wanted.version), origins.edges, compiled)


def _version(session: Session, name: str, number: int) -> ModelVersion:
    return version(session, name, number)


def _check_trained(session: Session, trained: Model) -> None:
    if not session.store.has(trained.digest):
        raise NotFound(
            f"The store does not hold the model's files ({trained.digest}).", hint="Keep it with save_model first."
        )
    if trained.flavor == FILES:
        return
    if not trained.signature.inputs or not trained.signature.outputs:
        raise InvalidInput("The signature lacks inputs or outputs.", hint="Make it with signature_of.")
    twins = sorted(_twins(trained.signature))
    if twins:
        raise InvalidInput(f"The signature names {', '.join(twins)} twice.", hint="Give each column its own name.")


def _twins(signature: Signature) -> set[str]:
    names = [field.name for field in signature.inputs]
    return {name for name in names if names.count(name) > 1}


def _alias(session: Session, name: str, alias: str) -> Alias:
    known = ", ".join(found.alias for found in aliases(session, name)) or "none"
    query = _aliases(session, name).where(aliases_table.c.alias == alias)
    return session.one(Alias, query, f"Model {name!r} has no alias {alias!r}.", hint=f"It has: {known}.")


def _named(session: Session, name: str) -> ColumnElement[bool]:
    return (models.c.project == session.project) & (models.c.name == name)


def _model(session: Session, name: str) -> Select[tuple[Any, ...]]:
    return select(models).where(_named(session, name))


def _versions(session: Session, name: str) -> Select[tuple[Any, ...]]:
    here = _row(session, versions_table, name)
    return select(versions_table).where(here).order_by(versions_table.c.version.desc())


def _aliases(session: Session, name: str) -> Select[tuple[Any, ...]]:
    return select(aliases_table).where(_row(session, aliases_table, name))


def _row(session: Session, table: Table, name: str, version: int = 0) -> ColumnElement[bool]:
    here = (table.c.project == session.project) & (table.c.model == name)
    return here & (table.c.version == version) if version else here
