"""How experiments are written and read back."""

from __future__ import annotations

import msgspec
from sqlalchemy import select

from everloop.catalog import driver
from everloop.catalog.session import Session
from everloop.kernel.errors import Conflict
from everloop.tracking.entities import (
    Experiment,
    ExperimentChanged,
    ExperimentCreated,
    ExperimentDeleted,
    ExperimentRestored,
)
from everloop.tracking.tables import experiments

_ROWS = driver.Rows(Experiment, experiments)


def known(session: Session) -> list[Experiment]:
    """Every experiment of the project, the deleted ones too, by name."""
    mine = experiments.c.project == session.project
    return session.all(Experiment, select(experiments).where(mine).order_by(experiments.c.name))


def first(session: Session, name: str) -> Experiment | None:
    """The experiment of that name, deleted or not, if there is one."""
    return _ROWS.first(session.connection, session.project, name)


def add(session: Session, made: Experiment) -> None:
    """Keep a new experiment.

    Raises:
        Conflict: the name is taken.
    """
    if first(session, made.name) is not None:
        raise Conflict(
            f"There is an experiment {made.name!r} already.", hint="Start runs in it, or choose another name."
        )
    session.insert(experiments, made)
    session.emit(ExperimentCreated(subject=session.urn("experiment", made.name)))


def change(session: Session, changed: Experiment) -> Experiment:
    """Keep the title, description and tags that an experiment now has.

    Raises:
        Conflict: it was deleted.
    """
    if changed.deleted is not None:
        raise Conflict(f"Experiment {changed.name!r} was deleted.", hint="Restore it first.")
    _update(session, changed)
    urn = session.urn("experiment", changed.name)
    session.emit(ExperimentChanged(subject=urn, title=changed.title, tags=changed.tags))
    return msgspec.structs.replace(changed, changed=session.clock.now())


def hide(session: Session, experiment: Experiment) -> None:
    """Put an experiment out of sight, and close it to new runs; once is enough."""
    if experiment.deleted is None:
        _update(session, msgspec.structs.replace(experiment, deleted=session.clock.now()))
        session.emit(ExperimentDeleted(subject=session.urn("experiment", experiment.name)))


def restore(session: Session, experiment: Experiment) -> None:
    """Bring an experiment back that was put out of sight."""
    if experiment.deleted is not None:
        _update(session, msgspec.structs.replace(experiment, deleted=None))
        session.emit(ExperimentRestored(subject=session.urn("experiment", experiment.name)))


def _update(session: Session, changed: Experiment) -> None:
    values: dict[str, object] = {"title": changed.title, "description": changed.description, "tags": changed.tags}
    values |= {"deleted": changed.deleted, "changed": session.clock.now()}
    _ROWS.change(session.connection, (session.project, changed.name), values)
