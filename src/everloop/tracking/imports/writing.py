"""Runs from elsewhere, written: a batch of them in one transaction, each with the mark by which it is known again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import msgspec
from sqlalchemy import insert

from everloop.catalog.lineage import link
from everloop.catalog.session import Session
from everloop.tracking import files as kept
from everloop.tracking import loggedmodels, rows, runs, sealing
from everloop.tracking.documents import Texts, document_of
from everloop.tracking.entities import Artifact, CodeRevision, LoggedModel
from everloop.tracking.imports.entities import ForeignModel, ForeignRun, Found, RunImported
from everloop.tracking.imports.series import latest_of, new_in
from everloop.tracking.points import later
from everloop.tracking.rows import Held
from everloop.tracking.series.sealing import append, begun
from everloop.tracking.series.stored import Stored
from everloop.tracking.tables import artifacts as artifacts_table
from everloop.tracking.tables import metric_blocks, metric_levels
from everloop.tracking.tables import runs as runs_table

if TYPE_CHECKING:
    from everloop.tracking.points import Columns


class Ready(msgspec.Struct):
    """A run from elsewhere whose texts can be kept and whose files are in the store."""

    found: Found
    experiment: str
    files: Sequence[Artifact]
    inputs: tuple[str, ...]
    model_files: Mapping[str, Sequence[Artifact]]


class Batch:
    """Writes runs from one source in a transaction; what is here already gets what it lacks."""

    def __init__(self, session: Session, writer: str, source: str) -> None:
        self._session = session
        self._writer = writer
        self._source = source
        self._tables: dict[str, list[dict[str, object]]] = {}

    def write(self, ready: Sequence[Ready]) -> None:
        """Write runs; all of them or none."""
        session = self._session
        held = {it.id: it for it in rows.read(session, [one.found.run.id for one in ready])}
        change = rows.next_change(session)
        for number, one in enumerate(it for it in ready if it.found.run.id not in held):
            self._begin(one, change + number)
        for table in (runs_table, metric_blocks, metric_levels, artifacts_table):
            if self._tables.get(table.name):
                session.connection.execute(insert(table), self._tables[table.name])
        for one in ready:
            if one.found.run.id in held:
                self._extend(held[one.found.run.id], one)
            self._keep_models(one)
        marks = [((one.found.run.id, self._writer), one.found.mark) for one in ready]
        rows.set_sequences(session, marks)

    def _begin(self, one: Ready, change: int) -> None:
        """A run that is not here yet."""
        session, found = self._session, one.found
        run, id = found.run, found.run.id
        latest = {key: latest_of(columns) for key, columns in found.series.items()}
        self._add("runs", _row(one) | {"project": session.project, "changed": change, "latest": document_of(latest)})
        for name, made in zip(("metric_blocks", "metric_levels"), begun(session, id, found.series), strict=True):
            self._tables.setdefault(name, []).extend(made)
        for file in one.files:
            self._add("artifacts", msgspec.structs.asdict(file) | {"project": session.project, "run": id})
        for urn in one.inputs:
            link(session, session.urn("run", id), urn, "used")
        self._tell(one, found.series, run.parameters, run.tags, one.files)

    def _extend(self, held: Held, one: Ready) -> None:
        """A run that is here, with what is new in it elsewhere."""
        session, run = self._session, one.found.run
        stored = Stored(session, held.id)
        news = {}
        for key, columns in one.found.series.items():
            fresh = new_in(columns, stored.everything(key)) if key in held.latest else columns
            if len(fresh[0]):
                news[key] = fresh
        if held.tail_points:
            sealing.seal(session, held)
        if news:
            append(session, held.id, news, {key: held.latest[key].points if key in held.latest else 0 for key in news})
        for key, columns in news.items():
            latest = latest_of(columns)
            held.latest[key] = later(held.latest[key], latest) if key in held.latest else latest
        parameters = {key: text for key, text in run.parameters.items() if key not in held.texts.parameters}
        tags = {key: text for key, text in run.tags.items() if held.texts.tags.get(key) != text}
        held.texts.parameters.update(parameters)
        held.texts.tags.update(tags)
        inputs = [urn for urn in one.inputs if urn not in held.used]
        held.inputs = msgspec.json.encode((*held.used, *inputs)).decode()
        for urn in inputs:
            link(session, session.urn("run", held.id), urn, "used")
        rows.write(session, [held])
        self._turn(held, run)
        known = {file.path: file.digest for file in kept.below(session, held.id)}
        files = [file for file in one.files if known.get(file.path) != file.digest]
        for file in files:
            kept.put(session, held.id, file.path, file.digest, session.urn("run", held.id))
        self._tell(one, news, parameters, tags, files)

    def _turn(self, held: Held, run: ForeignRun) -> None:
        """What became of a run elsewhere: it was renamed, it ended, it was deleted."""
        columns: dict[str, object] = {"name": run.name}
        if held.status in ("running", "scheduled"):
            columns |= {"status": run.status, "ended": run.ended}
        if held.deleted is None and run.deleted is not None:
            columns["deleted"] = run.deleted
        runs.change(self._session, held.id, **columns)

    def _keep_models(self, one: Ready) -> None:
        session = self._session
        for model in one.found.models:
            if loggedmodels.first(session, model.id) is None:
                loggedmodels.add(session, _logged(model, one))
            urn = session.urn("logged_model", model.id)
            for file in one.model_files.get(model.id, ()):
                kept.put(session, model.id, file.path, file.digest, urn)
        if one.found.outputs:
            loggedmodels.add_outputs(session, one.found.run.id, one.found.outputs)

    def _add(self, table: str, row: dict[str, object]) -> None:
        self._tables.setdefault(table, []).append(row)

    def _tell(
        self,
        one: Ready,
        series: Mapping[str, Columns],
        parameters: Mapping[str, str],
        tags: Mapping[str, str],
        files: Sequence[Artifact],
    ) -> None:
        run = one.found.run
        self._session.emit(
            RunImported(
                subject=self._session.urn("run", run.id),
                source=self._source,
                status=run.status,
                points={key: len(columns[0]) for key, columns in series.items()},
                digest=sealing.digest_of(series),
                parameters=tuple(sorted(parameters)),
                tags=tuple(sorted(tags)),
                files={file.path: file.digest for file in files},
            )
        )


def _row(one: Ready) -> dict[str, object]:
    run = one.found.run
    return {
        "id": run.id,
        "experiment": one.experiment,
        "name": run.name,
        "status": run.status,
        "inputs": one.inputs,
        "code": CodeRevision(run.revision, run.branch),
        "environment": "",
        "started": run.started,
        "ended": run.ended,
        "parent": run.parent,
        "deleted": run.deleted,
        "user": run.user,
        "group": run.group,
        "note": run.note,
        "texts": document_of(Texts(run.parameters, run.tags)),
        "tail_next": 0,
        "tail_points": 0,
        "tail_bytes": 0,
    }


def _logged(model: ForeignModel, one: Ready) -> LoggedModel:
    fields = {name: getattr(model, name) for name in model.__struct_fields__ if name not in ("files", "measured")}
    measured = msgspec.msgpack.encode(model.measured) if model.measured else None
    return LoggedModel(experiment=one.experiment, run=one.found.run.id, measured=measured, **fields)
