"""What one can do with registered models: register versions, move aliases, decide, promote."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import get_args

import msgspec
from sqlalchemy import delete, update

from everloop.catalog import holds, lineage
from everloop.catalog.session import Session
from everloop.kernel.errors import Conflict, InvalidInput, NotFound, Refused
from everloop.kernel.ids import Name
from everloop.kernel.usecase import Json, usecase
from everloop.registry import card as cards
from everloop.registry import rows, stages, tags
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
from everloop.registry.notes import revisions
from everloop.registry.policies import rules
from everloop.registry.tables import aliases as aliases_table
from everloop.registry.tables import approvals as approvals_table
from everloop.registry.tables import models
from everloop.registry.tables import versions as versions_table
from everloop.tracking import runs

CHAMPION = "champion"
EXAMPLES = ("input_example.json", "serving_input_example.json")
"""The files that an input example is kept in, as MLflow names them."""


@usecase("models.create", permission="models:write", route="POST /models")
def create(session: Session, name: Name, description: str = "", tags: Mapping[str, str] = {}) -> RegisteredModel:
    """Make a name that versions can be registered under; the description is Markdown."""
    other = rows.model(session, name)
    if other is not None:
        raise Conflict(
            f"There is a model {name!r} already{f', called {other.title!r}' if other.title else ''}.",
            hint="Register a version of it, or choose another name.",
        )
    return make(session, name, description, tags)


def make(session: Session, title: str, description: str = "", noted: Mapping[str, str] = {}) -> RegisteredModel:
    """A model that people call so, whether that can be a name or not; deleted before, it goes on counting.

    Raises:
        Conflict: there is one.
    """
    if rows.called(session, title) is not None:
        raise Conflict(f"There is a model {title!r} already.", hint="Register a version of it, or choose another name.")
    now = session.clock.now()
    before = rows.deleted(session, title)
    if before is None:
        name = rows.free_name(session, title)
        made = RegisteredModel(name, description, now, 0, "" if name == title else title, now)
        session.insert(models, made)
    else:
        made = msgspec.structs.replace(before, description=description, created=now, updated=now)
        changed = {"description": description, "created": now, "updated": now, "deleted": None}
        session.execute(update(models).where(rows.named(session, made.name)).values(changed))
    tags.write(session, made.name, 0, noted)
    urn = session.urn("model", made.name)
    session.emit(ModelCreated(subject=urn, description=description, title=made.title, tags=dict(noted)))
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

    Without a `card` one is written from the model's metrics, signature and provenance. A model that brings no metrics
    keeps a copy of what its run has measured: runs can be deleted, and versions do not change.
    """
    if run and not trained.metrics:
        trained = msgspec.structs.replace(trained, metrics=_measured(session, run))
    return add(session, ModelVersion(name, 0, trained, run, card, session.clock.now(), note))


def _measured(session: Session, run: str) -> dict[str, float]:
    try:
        found = runs.assemble([runs.row_of(session, run)])[0].metrics
    except (NotFound, InvalidInput):  # The run may be elsewhere, or known by another tracker's id.
        return {}
    kept = {key: value for key, value in found.items() if not key.startswith("system/")}
    return {key: value for key, value in kept.items() if value is not None and math.isfinite(value)}


def add(session: Session, proposed: ModelVersion, noted: Mapping[str, str] = {}, schema: str = "") -> ModelVersion:
    """Keep a version under the next number of its name, which is made if it is new; its card is written if it lacks."""
    _check_trained(session, proposed.trained)
    name, trained, run = proposed.model, proposed.trained, proposed.run
    known = rows.model(session, name) or make(session, name)
    number, now = known.latest + 1, proposed.created
    text = proposed.card or cards.written(name, number, trained, proposed.note, schema)
    made = msgspec.structs.replace(proposed, version=number, card=text, author=session.principal, updated=now)
    session.insert(versions_table, made)
    session.execute(update(models).where(rows.named(session, name)).values(latest=number, updated=now))
    tags.write(session, name, number, noted)
    urn = session.urn("model", name, number)
    if run:
        lineage.link(session, urn, session.urn("run", run), "made_by")
    elif trained.training:
        lineage.link(session, urn, trained.training, "used")
    registered = VersionRegistered(subject=urn, version=number, digest=trained.digest, flavor=trained.flavor, run=run)
    session.emit(msgspec.structs.replace(registered, source=made.source, tags=dict(noted)))
    return made


@usecase("models.list", permission="models:read", route="GET /models")
def list_models(session: Session) -> list[RegisteredModel]:
    """The models of the project, by name."""
    return rows.every_model(session)


@usecase("models.get", permission="models:read", route="GET /models/{name}")
def get(session: Session, name: Name) -> RegisteredModel:
    """A model by its name."""
    found = rows.model(session, name)
    if found is None:
        raise NotFound(f"There is no model {name!r}.", hint="everloop models list shows what there is.")
    return found


@usecase("models.versions", permission="models:read", route="GET /models/{name}/versions")
def versions(session: Session, name: Name) -> list[ModelVersion]:
    """The versions of a model, newest first."""
    get(session, name)
    return rows.every_version(session, name)


@usecase("models.version", permission="models:read", route="GET /models/{name}/version")
def version(session: Session, name: Name, version: int = 0, alias: str = "") -> ModelVersion:
    """A version by its number or by an alias; the newest when neither is given."""
    if version and alias:
        raise InvalidInput(f"Both version {version} and alias {alias!r} of {name} were given.", hint="Give one.")
    known = get(session, name)
    number = _alias(session, name, alias).version if alias else version
    found = rows.version(session, name, number)
    if found is None:
        wanted = f"no version {number}" if number else "no version yet"
        hint = f"Its newest is {known.latest}: everloop models versions {name}."
        raise NotFound(f"Model {name!r} has {wanted}.", hint=hint)
    return found


@usecase("models.delete", permission="models:delete", route="DELETE /models/{name}")
def delete_model(session: Session, name: Name, reason: str = "") -> RegisteredModel:
    """Delete a model with its versions, and give what it was; made again, it goes on counting where it was.

    Refused while an alias names a version or something (a package, a deployment) came from one.
    """
    known = get(session, name)
    for one in versions(session, name):
        delete_version(session, name, one.version, reason or "The model was deleted.")
    tags.forget(session, name)
    session.execute(update(models).where(rows.named(session, name)).values(deleted=session.clock.now()))
    session.emit(ModelDeleted(subject=session.urn("model", name), latest=known.latest))
    return known


@usecase("models.delete_version", permission="models:delete", route="DELETE /models/{name}/versions/{version}")
def delete_version(session: Session, name: Name, version: int, reason: str) -> ModelVersion:
    """Delete a version that nothing points to, and give what it was. Its number is never given again.

    Refused while an alias names it, something (a package, a deployment) came from it, or a legal hold is on it.
    """
    if version < 1:
        raise InvalidInput(f"{version} is no version number.", hint="Versions count from 1.")
    known = _version(session, name, version)
    urn = session.urn("model", name, version)
    holds.check(session, (urn, session.urn("model", name)))
    holding = [f"alias {alias.alias}" for alias in aliases(session, name) if alias.version == version]
    holding += [edge.downstream for edge in lineage.graph(session, urn, "downstream", 1).edges]
    if holding:
        raise Refused(f"{urn} is in use by {', '.join(holding)}.", hint="Move or delete those first.")
    tags.forget(session, name, version)
    session.execute(delete(versions_table).where(rows.of(session, versions_table, name, version)))
    stages.touch(session, name)
    session.emit(VersionDeleted(subject=urn, version=version, digest=known.trained.digest, reason=reason))
    return known


def withdraw(session: Session, name: str, version: int, reason: str) -> ModelVersion:
    """Delete a version as MLflow's clients expect it: the aliases that name it go along, unless a policy guards them.

    Raises:
        Refused: a guarded alias names it, or something came from it.
    """
    stage = _version(session, name, version).stage
    for alias in aliases(session, name):
        if alias.version == version:
            if rules.guards(session, name, alias.alias):
                raise Refused(f"{name}@{version} has the guarded alias {alias.alias!r}.", hint="Move it first.")
            _unpoint(session, alias)
    gone = delete_version(session, name, version, reason)
    if stage in stages.ALIASES:
        follow(session, name, stages.ALIASES[stage])
    return gone


@usecase("models.set_alias", permission="models:deploy", route="PUT /models/{name}/aliases/{alias}")
def set_alias(session: Session, name: Name, alias: Name, version: int) -> Alias:
    """Let an alias name a version; it moves when it named another.

    Refused while a policy guards the alias and the version lacks what it asks for.
    """
    known = _version(session, name, version)
    moved = _point(session, known, alias)
    stage = stages.of_alias(alias)
    if stage is not None:
        stages.empty(session, name, stage, "Archived", but=known.version)
        if known.stage != stage:
            stages.put(session, known, stage)
            if known.stage in stages.ALIASES:  # The stage that it has left may be empty now.
                follow(session, name, stages.ALIASES[known.stage])
    return moved


@usecase("models.delete_alias", permission="models:deploy", route="DELETE /models/{name}/aliases/{alias}")
def delete_alias(session: Session, name: Name, alias: Name) -> Alias:
    """Delete an alias, and give what it was; the version stays."""
    known = _unpoint(session, _alias(session, name, alias))
    stage = stages.of_alias(alias)
    if stage is not None:
        stages.empty(session, name, stage, "None")
    return known


@usecase("models.transition", permission="models:deploy", route="PUT /models/{name}/versions/{version}/stage")
def transition(session: Session, name: Name, version: int, stage: str, archive_existing: bool = False) -> ModelVersion:
    """Put a version into one of MLflow's stages (None, Staging, Production, Archived); the stage's alias goes along.

    `archive_existing` archives the other versions of the stage. The aliases `staging` and `production` name the newest
    version of their stage, so a policy that guards them guards the stages too.
    """
    wanted, known = stages.stage_of(stage), _version(session, name, version)
    if archive_existing and wanted not in stages.ALIASES:
        raise InvalidInput(
            "Model version transition cannot archive existing model versions because "
            f"'{wanted}' is not an Active stage.",
            hint=f"The active ones are {' and '.join(stages.ALIASES)}.",
        )
    if wanted in stages.ALIASES:  # Before anything changes: an import goes on after a refusal, in the same transaction.
        rules.guard(session, known, stages.ALIASES[wanted])
    stages.put(session, known, wanted)
    if archive_existing:
        stages.empty(session, name, wanted, "Archived", but=known.version)
    for affected in {known.stage, wanted} & set(stages.ALIASES):
        follow(session, name, stages.ALIASES[affected])
    return _version(session, name, known.version)


def follow(session: Session, name: str, alias: str) -> None:
    """Let a stage's alias name the newest version that is in the stage, or be gone where none is."""
    stage = stages.of_alias(alias)
    inside = stages.numbers_in(session, name, stage) if stage else []
    before = rows.alias(session, name, alias)
    if inside:
        _point(session, _version(session, name, inside[0]), alias)
    elif before is not None:
        _unpoint(session, before)


@usecase("models.aliases", permission="models:read", route="GET /models/{name}/aliases")
def aliases(session: Session, name: Name) -> list[Alias]:
    """The aliases of a model, by name."""
    get(session, name)
    return rows.every_alias(session, name)


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
    number = len(rows.decisions(session, name, version)) + 1
    session.insert(approvals_table, {"number": number} | msgspec.structs.asdict(made))
    urn = session.urn("model", name, version)
    session.emit(VersionDecided(subject=urn, version=version, digest=digest, decision=decision, reason=reason))
    return made


@usecase("models.approvals", permission="models:read", route="GET /models/{name}/versions/{version}/approvals")
def approvals(session: Session, name: Name, version: int) -> list[Approval]:
    """The decisions about a version, newest first."""
    _version(session, name, version)
    return rows.decisions(session, name, version)


@usecase("models.promote", permission="models:deploy", route="POST /models/{name}/versions/{version}/promotion")
def promote(
    session: Session, name: Name, version: int, reason: str, evidence: Mapping[str, Json] = {}, alias: Name = CHAMPION
) -> Alias:
    """Approve a version and move the alias to it, both or neither.

    Refused when the newest decision about the version is a rejection, or while a policy guards the alias and the
    version lacks what it asks for: one's own approval of what one registered does not count.
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
    revised = revisions.known(session, name, wanted.version)
    told = msgspec.structs.replace(wanted, card=revised[0].text) if revised else wanted
    return cards.completed(told, rows.decisions(session, name, wanted.version), origins.edges, compiled)


@usecase("models.example", permission="models:read", route="GET /models/{name}/example")
def example(session: Session, name: Name, version: int = 0) -> Json:
    """The input example that was kept with a version's files, as it was written."""
    known = _version(session, name, version)
    kept_as = {entry.path: entry.digest for entry in session.store.tree(known.trained.digest)}
    found = next((kept_as[path] for path in EXAMPLES if path in kept_as), None)
    if found is None:
        raise NotFound(f"{name}@{known.version} has no input example.", hint="Keep one with save_model(…, example=…).")
    try:
        decoded: Json = msgspec.json.decode(session.store.get(found))
    except msgspec.DecodeError as error:
        raise InvalidInput(f"The input example of {name}@{known.version} is no JSON ({error}).") from None
    return decoded


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
    found = rows.alias(session, name, alias)
    if found is None:
        known = ", ".join(other.alias for other in aliases(session, name)) or "none"
        raise NotFound(f"Model {name!r} has no alias {alias!r}.", hint=f"It has: {known}.")
    return found


def _point(session: Session, known: ModelVersion, alias: str) -> Alias:
    name, number = known.model, known.version
    before = rows.alias(session, name, alias)
    if before is not None and before.version == number:
        return before
    rules.guard(session, known, alias)
    moved = Alias(name, alias, number, session.clock.now())
    if before is None:
        session.insert(aliases_table, moved)
    else:
        here = rows.of(session, aliases_table, name) & (aliases_table.c.alias == alias)
        session.execute(update(aliases_table).where(here).values(version=number, moved=moved.moved))
    previous = before.version if before else 0
    session.emit(AliasMoved(subject=session.urn("model", name, number), alias=alias, version=number, previous=previous))
    return moved


def _unpoint(session: Session, known: Alias) -> Alias:
    here = rows.of(session, aliases_table, known.model) & (aliases_table.c.alias == known.alias)
    session.execute(delete(aliases_table).where(here))
    urn = session.urn("model", known.model, known.version)
    session.emit(AliasDeleted(subject=urn, alias=known.alias, version=known.version))
    return known
