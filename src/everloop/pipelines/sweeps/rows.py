"""The rows of sweeps and trials, read and written in a transaction that is open."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec
from sqlalchemy import bindparam, delete, func, insert, select, update

from everloop.catalog.session import Session
from everloop.kernel.errors import NotFound
from everloop.pipelines.sweeps.entities import SweepDefinition, SweepStatus
from everloop.pipelines.sweeps.tables import sweeps, trials

_COLUMNS = ("number", "changed", "state", "run", "lease", "beat", "started", "ended", "document")


class SweepRow(msgspec.Struct, frozen=True):
    """A sweep as its row holds it."""

    number: int
    name: str
    directions: tuple[int, ...]
    status: SweepStatus
    experiment: str
    run: str
    created: datetime
    ended: datetime | None
    lease: str
    error: str
    definition: str
    attributes: bytes

    @property
    def defined(self) -> SweepDefinition | None:
        """What it does; a bare study does not say."""
        return msgspec.json.decode(self.definition, type=SweepDefinition) if self.definition else None


def by_number(session: Session, number: int) -> SweepRow | None:
    """The sweep of a number, unless there is none."""
    found = session.connection.execute(_BY_NUMBER, {"project": session.project, "number": number}).one_or_none()
    return None if found is None else _row(found._asdict())


def by_name(session: Session, name: str) -> SweepRow | None:
    """The sweep of a name, unless there is none."""
    found = session.connection.execute(_BY_NAME, {"project": session.project, "name": name}).one_or_none()
    return None if found is None else _row(found._asdict())


def named(session: Session, name: str) -> SweepRow:
    """The sweep of a name.

    Raises:
        NotFound: there is none.
    """
    found = by_name(session, name)
    if found is None:
        raise NotFound(f"There is no sweep {name[:80]!r}.", hint="everloop sweeps list names them.")
    return found


def every(session: Session) -> list[SweepRow]:
    """Every sweep, the newest first."""
    mine = select(sweeps).where(sweeps.c.project == session.project, sweeps.c.name.is_not(None))
    found = session.connection.execute(mine.order_by(sweeps.c.number.desc()))
    return [_row(row._asdict()) for row in found]


def add(session: Session, row: SweepRow) -> SweepRow:
    """Keep a new sweep, under the next number."""
    newest = session.scalars(select(func.max(sweeps.c.number)).where(sweeps.c.project == session.project))[0]
    kept = msgspec.structs.replace(row, number=(newest or 0) + 1)
    session.insert(sweeps, kept)
    return kept


def change(session: Session, number: int, **columns: object) -> None:
    """Change columns of a sweep."""
    session.execute(
        update(sweeps).where(sweeps.c.project == session.project, sweeps.c.number == number).values(columns)
    )


def remove(session: Session, number: int) -> None:
    """Remove a sweep with its trials. Its row stays without a name, so that its number is not given again."""
    session.execute(delete(trials).where(trials.c.project == session.project, trials.c.sweep == number))
    change(session, number, name=None)


def trials_after(session: Session, number: int, changed: int) -> Sequence[tuple[object, ...]]:
    """The trials of a sweep that changed after a number, in the order of `TrialRow`'s fields."""
    values = {"project": session.project, "sweep": number, "changed": changed}
    return session.connection.execute(_AFTER, values).all()


def add_trials(session: Session, rows: Sequence[Mapping[str, object]]) -> None:
    """Add trials."""
    if rows:
        session.connection.execute(_ADD, rows)


def write_trials(session: Session, rows: Sequence[Mapping[str, object]]) -> None:
    """Write trials that are there."""
    if rows:
        session.connection.execute(_WRITE, [{f"b_{name}": value for name, value in row.items()} for row in rows])


def beat(session: Session, number: int, lease: str, at: datetime) -> None:
    """Note that a process lives that runs trials."""
    mine = (trials.c.project == session.project) & (trials.c.sweep == number) & (trials.c.lease == lease)
    session.execute(update(trials).where(mine & (trials.c.ended.is_(None))).values(beat=at))


def _row(found: Mapping[str, object]) -> SweepRow:
    return SweepRow(**{name: found[name] for name in SweepRow.__struct_fields__})  # type: ignore[arg-type]  # of the table


_BY_NUMBER = select(sweeps).where(
    sweeps.c.project == bindparam("project"), sweeps.c.number == bindparam("number"), sweeps.c.name.is_not(None)
)
_BY_NAME = select(sweeps).where(sweeps.c.project == bindparam("project"), sweeps.c.name == bindparam("name"))
_AFTER = (
    select(*(trials.c[name] for name in _COLUMNS))
    .where(
        trials.c.project == bindparam("project"),
        trials.c.sweep == bindparam("sweep"),
        trials.c.changed > bindparam("changed"),
    )
    .order_by(trials.c.number)
)
_ADD = insert(trials)
_WRITE = (
    update(trials)
    .where(
        trials.c.project == bindparam("b_project"),
        trials.c.sweep == bindparam("b_sweep"),
        trials.c.number == bindparam("b_number"),
    )
    .values({name: bindparam(f"b_{name}") for name in _COLUMNS[1:]})
)
