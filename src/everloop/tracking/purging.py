"""Runs, logged models and experiments freed for good: what they take up, and its removal.

Nothing is asked here: whoever frees something has seen that it is hidden and that nothing needs it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

import msgspec
from sqlalchemy import ColumnElement, Table, delete, func, or_, select

from everloop.catalog.session import Session
from everloop.catalog.tables import lineage
from everloop.tracking import rows
from everloop.tracking.documents import NO_METRICS
from everloop.tracking.entities import ExperimentPurged, ModelPurged, RunPurged
from everloop.tracking.runs import change
from everloop.tracking.tables import (
    artifacts,
    experiments,
    logged_models,
    metric_blocks,
    metric_levels,
    metric_tail,
    run_outputs,
    run_purges,
    run_writers,
    runs,
)
from everloop.tracking.traces.tables import traces

_PACKED = ((metric_tail, "segment"), (metric_blocks, "points"), (metric_levels, "spans"))
_OF_A_RUN = (metric_tail, metric_blocks, metric_levels, run_writers, artifacts, run_outputs)
_PAGE = 500


class Extent(msgspec.Struct, frozen=True):
    """What a run or a logged model takes up: bytes in the database, files, and their bytes in the store.

    Bytes of files that others have too are freed when the last of them is gone.
    """

    bytes: int = 0
    files: int = 0
    files_bytes: int = 0


def extents(session: Session, ids: Sequence[str]) -> dict[str, Extent]:
    """What some runs and logged models take up, those that take up nothing as well."""
    sizes: dict[str, int] = defaultdict(int, points_bytes(session, ids))
    held: dict[str, tuple[int, int]] = {}
    for start in range(0, len(ids), _PAGE):
        page = ids[start : start + _PAGE]
        documents = select(runs.c.id, func.length(runs.c.texts) + func.length(runs.c.latest))
        mine = runs.c.project == session.project
        for run, size in session.connection.execute(documents.where(mine, runs.c.id.in_(page))):
            sizes[run] += size
        files = select(artifacts.c.run, func.count(), func.sum(artifacts.c.size)).group_by(artifacts.c.run)
        for run, count, size in session.connection.execute(files.where(_of(session, artifacts, page))):
            held[run] = count, int(size)
    return {id: Extent(sizes[id], *held.get(id, (0, 0))) for id in ids}


def points_bytes(session: Session, ids: Sequence[str]) -> dict[str, int]:
    """What the points of some runs take up; runs without any are left out."""
    sizes: dict[str, int] = defaultdict(int)
    for start in range(0, len(ids), _PAGE):
        page = ids[start : start + _PAGE]
        for table, column in _PACKED:
            of_each = select(table.c.run, func.sum(func.length(table.c[column]))).group_by(table.c.run)
            for run, size in session.connection.execute(of_each.where(_of(session, table, page))):
                sizes[run] += int(size)
    return dict(sizes)


def purge_points(session: Session, id: str) -> None:
    """Free all points of a run, and their last values: as if it had logged none."""
    for table, _ in _PACKED:
        session.execute(delete(table).where(_of(session, table, [id])))
    change(session, id, latest=NO_METRICS, tail_points=0, tail_bytes=0)


def purge_runs(session: Session, ids: Sequence[str]) -> None:
    """Free runs, and with each the models that were logged in it."""
    models = select(logged_models.c.id).where(_of(session, logged_models, ids))
    purge_models(session, session.scalars(models))
    known = select(runs.c.id, runs.c.name, runs.c.experiment)
    known = known.where(runs.c.project == session.project, runs.c.id.in_(ids))
    sizes = extents(session, ids)
    for id, name, experiment in session.connection.execute(known).all():
        size = sizes[id]
        told = {"points_bytes": size.bytes, "files": size.files, "files_bytes": size.files_bytes}
        session.emit(RunPurged(subject=session.urn("run", id), name=name, experiment=experiment, **told))
    number = rows.next_change(session)
    session.insert(run_purges, {"changed": number, "runs": msgspec.msgpack.encode(list(ids))})
    for table in _OF_A_RUN:
        session.execute(delete(table).where(_of(session, table, ids)))
    session.execute(delete(runs).where(runs.c.project == session.project, runs.c.id.in_(ids)))
    _forget(session, [session.urn("run", id) for id in ids])


def purge_models(session: Session, ids: Sequence[str]) -> None:
    """Free logged models."""
    if not ids:
        return
    mine = (logged_models.c.project == session.project) & logged_models.c.id.in_(ids)
    sizes = extents(session, ids)
    for id, name in session.connection.execute(select(logged_models.c.id, logged_models.c.name).where(mine)).all():
        told = {"files": sizes[id].files, "files_bytes": sizes[id].files_bytes}
        session.emit(ModelPurged(subject=session.urn("logged_model", id), name=name, **told))
    session.execute(delete(artifacts).where(_of(session, artifacts, ids)))
    outputs = run_outputs.c.project == session.project, run_outputs.c.model.in_(ids)
    session.execute(delete(run_outputs).where(*outputs))
    session.execute(delete(logged_models).where(mine))
    _forget(session, [session.urn("logged_model", id) for id in ids])


def purge_experiment(session: Session, name: str) -> bool:
    """Free a hidden experiment, if nothing is left in it; whether there was nothing."""
    for table in (runs, logged_models, traces):
        left = select(table.c.id).where(table.c.project == session.project, table.c.experiment == name).limit(1)
        if session.scalars(left):
            return False
    here = experiments.c.project == session.project, experiments.c.name == name, experiments.c.deleted.is_not(None)
    gone = session.execute(delete(experiments).where(*here))
    if gone:
        session.emit(ExperimentPurged(subject=session.urn("experiment", name)))
    return bool(gone)


def _forget(session: Session, urns: Iterable[str]) -> None:
    """Drop the edges of what is gone; the ledger goes on telling what was."""
    names = list(urns)
    session.execute(delete(lineage).where(or_(lineage.c.downstream.in_(names), lineage.c.upstream.in_(names))))


def _of(session: Session, table: Table, ids: Sequence[str]) -> ColumnElement[bool]:
    return (table.c.project == session.project) & table.c.run.in_(ids)
