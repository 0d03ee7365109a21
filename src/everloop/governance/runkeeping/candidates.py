"""What may go: runs, logged models and experiments that have been hidden for long enough, or were asked for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Literal

import msgspec
from sqlalchemy import ColumnElement, Table, and_, or_, select

from everloop.catalog.session import Session
from everloop.kernel.errors import Conflict, NotFound
from everloop.tracking.tables import experiments, logged_models, runs

Kind = Literal["run", "logged_model"]
_TABLES: dict[str, Table] = {"run": runs, "logged_model": logged_models}
_PAGE = 500


class Asked(msgspec.Struct, frozen=True):
    """What somebody wants freed: all that was hidden until a time, or only what is named."""

    until: datetime
    runs: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    experiments: tuple[str, ...] = ()

    @property
    def names(self) -> bool:
        """Whether it names anything."""
        return bool(self.runs or self.models or self.experiments)


class Candidate(msgspec.Struct, frozen=True):
    """A run or a logged model that may go, unless something needs it."""

    id: str
    name: str
    experiment: str
    parent: str = ""
    status: str = ""
    deleted: datetime | None = None
    kind: Kind = "run"

    def urn(self, session: Session) -> str:
        """Its URN."""
        return session.urn(self.kind, self.id)


def found(session: Session, asked: Asked) -> list[Candidate]:
    """The runs and logged models that may go; those of a hidden experiment do with it.

    Raises:
        NotFound: what was named is not there.
        Conflict: what was named is not hidden, or not for long enough.
    """
    gone = hidden_experiments(session, asked)
    made: list[Candidate] = []
    for kind, named in (("run", asked.runs), ("logged_model", asked.models)):
        for id in named:
            made.append(_named(session, "run" if kind == "run" else "logged_model", id, asked.until))
        if not asked.names or gone:
            made += _hidden(session, "run" if kind == "run" else "logged_model", asked, gone)
    return list({(one.kind, one.id): one for one in made}.values())


def hidden_experiments(session: Session, asked: Asked) -> list[str]:
    """The experiments that may go when nothing is left in them, by name."""
    for name in asked.experiments:
        _check_hidden(session, experiments, experiments.c.name == name, f"experiment {name!r}", asked.until)
    wanted = experiments.c.project == session.project, experiments.c.deleted <= asked.until
    names = session.scalars(select(experiments.c.name).where(*wanted).order_by(experiments.c.name))
    return [name for name in names if not asked.names or name in asked.experiments]


def still(session: Session, asked: Asked, those: Sequence[Candidate]) -> set[str]:
    """The ids of those candidates that may go now: another may have restored them, or their experiments."""
    left: set[str] = set()
    for kind, table in _TABLES.items():
        ids = [one.id for one in those if one.kind == kind]
        for start in range(0, len(ids), _PAGE):
            wanted = _may_go(session, table, asked.until) & table.c.id.in_(ids[start : start + _PAGE])
            left.update(session.scalars(select(table.c.id).where(wanted)))
    return left


def known(session: Session, ids: Sequence[str]) -> list[Candidate]:
    """Runs by id, hidden or not, as candidates."""
    found: list[Candidate] = []
    for start in range(0, len(ids), _PAGE):
        here = runs.c.project == session.project, runs.c.id.in_(ids[start : start + _PAGE])
        found += session.all(Candidate, select(*_columns(runs)).where(*here))
    return found


def _hidden(session: Session, kind: Kind, asked: Asked, gone: Iterable[str]) -> list[Candidate]:
    table = _TABLES[kind]
    wanted = _may_go(session, table, asked.until)
    if asked.names:
        wanted &= table.c.experiment.in_(list(gone))
    rows = session.all(Candidate, select(*_columns(table)).where(wanted).order_by(table.c.id))
    return [msgspec.structs.replace(row, kind=kind) for row in rows]


def _named(session: Session, kind: Kind, id: str, until: datetime) -> Candidate:
    table = _TABLES[kind]
    _check_hidden(session, table, table.c.id == id, f"{kind.replace('_', ' ')} {id[:80]}", until)
    here = table.c.project == session.project, table.c.id == id
    row = session.one(Candidate, select(*_columns(table)).where(*here), f"There is no {kind} {id[:80]!r}.")
    return msgspec.structs.replace(row, kind=kind)


def _check_hidden(session: Session, table: Table, here: ColumnElement[bool], what: str, until: datetime) -> None:
    deleted = session.connection.execute(
        select(table.c.deleted).where(table.c.project == session.project, here)
    ).first()
    if deleted is None:
        raise NotFound(f"There is no {what}.", hint="What was freed before is gone for good.")
    if deleted[0] is None:
        raise Conflict(f"There is {what}, and it was not deleted.", hint="Delete it first.")
    if deleted[0] > until:
        raise Conflict(f"What was asked for, {what}, was deleted at {deleted[0]:%Y-%m-%d %H:%M}: not long enough ago.")


def _may_go(session: Session, table: Table, until: datetime) -> ColumnElement[bool]:
    """Hidden until a time, itself or with its experiment."""
    closed = select(experiments.c.name).where(experiments.c.project == session.project, experiments.c.deleted <= until)
    return and_(table.c.project == session.project, or_(table.c.deleted <= until, table.c.experiment.in_(closed)))


def _columns(table: Table) -> list[ColumnElement[object]]:
    # What MLflow calls the kind of a logged model is another thing.
    return [table.c[name] for name in Candidate.__struct_fields__ if name in table.c and name != "kind"]
