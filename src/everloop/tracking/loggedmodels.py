"""Models that clients log: how they are written and read back."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

import msgspec
from sqlalchemy import ColumnElement, Select, Table, insert, select, update

from everloop.catalog.lineage import link
from everloop.catalog.session import Session
from everloop.tracking import rows
from everloop.tracking.entities import LoggedModel, Measured, ModelLogged
from everloop.tracking.tables import logged_models, run_outputs

_OUTPUTS = "SELECT run, model, step FROM run_outputs WHERE project = ? AND run IN ({})"
_BEGUN = "SELECT run, id FROM logged_models WHERE project = ? AND run IN ({}) AND deleted IS NULL"


def add(session: Session, made: LoggedModel) -> None:
    """Keep a model whose files are about to come."""
    session.connection.execute(
        insert(logged_models).values(msgspec.structs.asdict(made) | {"project": session.project})
    )
    _tell(session, made)


def get(session: Session, id: str) -> LoggedModel:
    """A logged model.

    Raises:
        NotFound: there is none.
    """
    query = select(logged_models).where(_mine(session), logged_models.c.id == id)
    return session.one(LoggedModel, query, f"There is no logged model {id[:80]!r}.")


def first(session: Session, id: str) -> LoggedModel | None:
    """A logged model, if there is one."""
    return session.first(LoggedModel, select(logged_models).where(_mine(session), logged_models.c.id == id))


def outputs_of(session: Session, ids: Sequence[str]) -> Mapping[str, Mapping[str, int]]:
    """The logged models that came out of some runs, each with the step of the run, by run."""
    told: dict[str, dict[str, int]] = defaultdict(dict)
    for run, model, step in rows.asked_of(session, _OUTPUTS, ids):
        told[run][model] = step
    begun: dict[str, dict[str, int]] = defaultdict(dict)
    for run, model in rows.asked_of(session, _BEGUN, ids):
        begun[run][model] = 0
    return begun | told  # Where nobody said what came out of a run, it is what was begun there.


def add_outputs(session: Session, run: str, steps: Mapping[str, int]) -> None:
    """Say which logged models came out of a run, at which of its steps."""
    known = set(session.scalars(select(run_outputs.c.model).where(_of_runs(session, run_outputs, [run]))))
    fresh = [{"project": session.project, "run": run, "model": id, "step": step} for id, step in steps.items()]
    fresh = [row for row in fresh if row["model"] not in known]
    if fresh:
        session.connection.execute(insert(run_outputs), fresh)
    for row in fresh:
        link(session, session.urn("logged_model", str(row["model"])), session.urn("run", run), "made_by")


def measure(session: Session, id: str, fresh: Iterable[Measured]) -> None:
    """Keep what was measured of a logged model: the latest of each run, key and dataset.

    Raises:
        NotFound: there is no such model.
    """
    model = get(session, id)
    latest = {(it.run, it.key, it.dataset, it.digest): it for it in measured(model)}
    for it in fresh:
        place = (it.run, it.key, it.dataset, it.digest)
        if place not in latest or (it.at, it.step) >= (latest[place].at, latest[place].step):
            latest[place] = it
    here = _mine(session) & (logged_models.c.id == id)
    document = msgspec.msgpack.encode(list(latest.values()))
    session.execute(update(logged_models).where(here).values(measured=document))


def measured(model: LoggedModel) -> list[Measured]:
    """What was measured of a logged model."""
    return msgspec.msgpack.decode(model.measured, type=list[Measured]) if model.measured else []


def known(session: Session) -> list[LoggedModel]:
    """The logged models that were not deleted, newest first."""
    return session.all(LoggedModel, _known(session))


def change(session: Session, changed: LoggedModel) -> LoggedModel:
    """Keep what a logged model has become."""
    now = msgspec.structs.replace(changed, updated=session.clock.now())
    here = _mine(session) & (logged_models.c.id == now.id)
    session.execute(update(logged_models).where(here).values(msgspec.structs.asdict(now)))
    _tell(session, now)
    return now


def _known(session: Session) -> Select[tuple[object, ...]]:
    query: Select[tuple[object, ...]] = select(*logged_models.c)
    query = query.where(_mine(session), logged_models.c.deleted.is_(None))
    return query.order_by(logged_models.c.created.desc(), logged_models.c.id.desc())


def _tell(session: Session, model: LoggedModel) -> None:
    deleted = model.deleted is not None
    subject = session.urn("logged_model", model.id)
    session.emit(ModelLogged(subject=subject, name=model.name, status=model.status, deleted=deleted))


def _of_runs(session: Session, table: Table, runs: Sequence[str]) -> ColumnElement[bool]:
    return (table.c.project == session.project) & table.c.run.in_(runs)


def _mine(session: Session) -> ColumnElement[bool]:
    return logged_models.c.project == session.project
