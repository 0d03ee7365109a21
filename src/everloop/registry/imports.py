"""Registered models of other trackers, brought here: with the numbers, stages and aliases that they have there.

Files come from the artifacts of runs and logged models that were imported before. What is here already stays as it is:
a version whose number is taken, and an alias that names another one, are told of.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from urllib.parse import unquote, urlsplit

import msgspec
from sqlalchemy import update

from everloop.catalog.session import Session
from everloop.kernel.errors import EverloopError, InvalidInput
from everloop.kernel.ids import NAME_PATTERN
from everloop.registry import mlmodel, rows, service, stages
from everloop.registry.entities import FILES, Model, ModelVersion, RegisteredModel, Signature
from everloop.registry.tables import models
from everloop.store.entities import TreeEntry
from everloop.tracking import files, loggedmodels, runs
from everloop.tracking.imports.entities import ForeignRegistered, ForeignVersion, Untaken
from everloop.tracking.runs import latest_of

DELETED = "Deleted_Internal"
"""The stage of versions that MLflow has deleted, whose numbers it never gives again."""
USER = "mlflow.user"
"""The tag for who had registered a version there."""
_LONGEST_ID = 40


class Registered(msgspec.Struct):
    """What came of the registered models: how many were new, and what was not taken."""

    models: int = 0
    versions: int = 0
    untaken: list[Untaken] = []


def bring(session: Session, found: Iterable[ForeignRegistered]) -> Registered:
    """Bring registered models, each with its versions in one transaction; what is here already is left alone."""
    done = Registered()
    for foreign in found:
        told: list[Untaken] = []
        try:
            with session.begin() as unit:
                made, added = _Bringing(unit, foreign, told).run()
        except EverloopError as error:
            done.untaken.append(Untaken(foreign.title, "registered model", error.message))
        else:
            done.models += made
            done.versions += added
            done.untaken += told
    return done


class _Bringing:
    """One registered model on its way."""

    def __init__(self, session: Session, foreign: ForeignRegistered, told: list[Untaken]) -> None:
        self._session = session
        self._foreign = foreign
        self._told = told

    def run(self) -> tuple[int, int]:
        """Bring it; whether it is new, and how many versions are."""
        session, foreign = self._session, self._foreign
        before = rows.called(session, foreign.title)
        model = before or service.make(session, foreign.title, foreign.description, foreign.tags)
        fresh = [it for it in foreign.versions if self._is_new(model, it)]
        for version in fresh:
            self._add(model, version)
        last = max((it.number for it in foreign.versions), default=0)
        if last > service.get(session, model.name).latest:
            self._change(model, latest=last)
        if before is None:
            self._change(model, created=foreign.created)
        for version in fresh:
            self._stage(model, version)
        for alias, number in foreign.aliases.items():
            self._point(model, alias, number)
        return before is None, len(fresh)

    def _is_new(self, model: RegisteredModel, version: ForeignVersion) -> bool:
        if version.stage == DELETED:
            return False
        known = rows.version(self._session, model.name, version.number)
        if known is not None:
            if known.source != version.source:
                self._tell(f"version {version.number}", "another one has that number here")
            return False
        if version.number <= model.latest:
            self._tell(f"version {version.number}", f"the numbers up to {model.latest} were given here already")
        return version.number > model.latest

    def _add(self, model: RegisteredModel, version: ForeignVersion) -> None:
        """Register a version under the number that it has: the next one after the number before."""
        session = self._session
        entries, logged = self._files(version)
        if not entries:
            self._tell(f"files of version {version.number}", f"nothing is known here of {version.source[:200]}")
        signature, schema = _described(session, entries)
        row = runs.first(session, version.run) if version.run else None
        metrics = {key: it.value for key, it in latest_of(row).items() if it.value - it.value == 0} if row else {}
        trained = Model(FILES, session.store.put_tree(entries), signature, metrics=metrics)
        proposed = ModelVersion(
            model.name, 0, trained, version.run, "", version.created, version.description, version.source
        )
        proposed = msgspec.structs.replace(proposed, link=version.link, logged=logged)
        self._change(model, latest=version.number - 1)
        # Who brings a version is its author here: an author that a file names could be approved by who wrote the file.
        by = {USER: version.author} if version.author else {}
        service.add(session, proposed, by | dict(version.tags), schema)

    def _files(self, version: ForeignVersion) -> tuple[Sequence[TreeEntry], str]:
        """The files of a version, as far as they came with a run or a logged model; and that model's id."""
        for uri in (version.source, version.place):
            path = unquote(urlsplit(uri).path).strip("/")
            for holder, folder in _holders(path, version.run):
                logged = loggedmodels.first(self._session, holder)
                if logged is None and runs.first(self._session, holder) is None:
                    continue
                found = files.below(self._session, holder, folder)
                inside = f"{folder}/" if folder else ""
                if found:
                    entries = [TreeEntry(it.path.removeprefix(inside), it.digest, it.size) for it in found]
                    return entries, logged.id if logged else ""
        return (), ""

    def _stage(self, model: RegisteredModel, version: ForeignVersion) -> None:
        if version.stage == "None":
            return
        try:
            stages.stage_of(version.stage)
            service.transition(self._session, model.name, version.number, version.stage)
        except EverloopError as error:
            self._tell(f"stage {version.stage} of version {version.number}", error.message)

    def _point(self, model: RegisteredModel, alias: str, number: int) -> None:
        known = rows.alias(self._session, model.name, alias)
        if known is not None and known.version != number:
            self._tell(f"alias {alias} of version {number}", f"here it names version {known.version}")
        if known is not None:
            return
        try:
            if re.fullmatch(NAME_PATTERN, alias) is None:
                raise InvalidInput("That is no name of an alias here.")
            service.set_alias(self._session, model.name, alias, number)
        except EverloopError as error:
            self._tell(f"alias {alias} of version {number}", error.message)

    def _change(self, model: RegisteredModel, **columns: object) -> None:
        self._session.execute(update(models).where(rows.named(self._session, model.name)).values(**columns))

    def _tell(self, what: str, why: str) -> None:
        self._told.append(Untaken(self._foreign.title, what, why))


def _holders(path: str, run: str) -> Iterator[tuple[str, str]]:
    """What may hold the files at a path, and where in it: `…/<run or model>/artifacts/<folder>`, `<run>/<folder>`."""
    parts = path.split("/")
    for at, part in enumerate(parts[:-1]):
        if parts[at + 1] == "artifacts":
            yield part[:_LONGEST_ID], "/".join(parts[at + 2 :])
    if parts[0]:
        yield parts[0][:_LONGEST_ID], "/".join(parts[1:])
    if run in parts:
        yield run, "/".join(parts[parts.index(run) + 1 :])


def _described(session: Session, entries: Sequence[TreeEntry]) -> tuple[Signature, str]:
    """What the model's own description says that it takes; where we have no types for that, its words instead."""
    described = next((entry for entry in entries if entry.path == mlmodel.NAME), None)
    nothing = Signature((), ())
    if described is None:
        return nothing, ""
    try:
        found = mlmodel.read(session.store.get(described.digest))
    except InvalidInput:
        return nothing, ""
    try:
        return found.signature, ""
    except InvalidInput:  # It can be kept and fetched; asked to serve it, its flavor says what is wrong.
        return nothing, found.told
