"""What one can do with splits: make them, list them, prove them again."""

from __future__ import annotations

from sqlalchemy import select

from everloop.catalog.session import Session
from everloop.datasets.content import resolve, snapshot_at, urn_of
from everloop.datasets.entities import At, Snapshot
from everloop.datasets.splits.entities import Proof, Split, SplitMade, Strategy
from everloop.datasets.splits.tables import splits
from everloop.kernel.ids import Name
from everloop.kernel.usecase import usecase


@usecase("datasets.split", permission="datasets:write", route="POST /datasets/{name}/splits", long=True)
def split(session: Session, name: Name, strategy: Strategy, seed: int = 0, at: At = "") -> Split:
    """Cut a version of a dataset into parts, each a version of its own (`flights.train@1`), with proof that they share
    nothing.

    `at` is a version, tag, branch or time; without it the newest is cut. A part keeps the numbers of its rows, not the
    rows. The same split made again is the same.
    """
    return split_snapshot(session, snapshot_at(session, name, at), strategy, seed)


@usecase("datasets.splits", permission="datasets:read", route="GET /datasets/{name}/splits")
def list_splits(session: Session, name: Name) -> list[Split]:
    """The splits of a dataset's versions, newest first."""
    here = (splits.c.project == session.project) & (splits.c.dataset == resolve(session, name).dataset)
    return session.all(Split, select(splits).where(here).order_by(splits.c.created.desc(), splits.c.id))


@usecase("datasets.prove", permission="datasets:read", route="GET /splits/{id}/proof", long=True)
def prove(session: Session, id: str, duplicates: bool = False) -> Proof:
    """Prove again, from what the store holds now, that the parts of a split share nothing.

    With `duplicates` rows that agree in every column count as shared too, whatever their number.
    """
    from everloop.datasets.splits.written import proved

    return proved(session, split_of(session, id), with_duplicates=duplicates)


def split_snapshot(session: Session, source: Snapshot, strategy: Strategy, seed: int = 0) -> Split:
    """Cut a snapshot into parts; the split that was made of it already is given again."""
    from everloop.datasets.splits.written import id_of, make

    known = find(session, id_of(source, strategy, seed))
    made = known or make(session, source, strategy, seed)
    if known is None:
        with session.begin() as unit:
            unit.insert(splits, made)
            subject = unit.urn("split", made.id)
            event = SplitMade(
                subject=subject, source=urn_of(unit, source), strategy=strategy, seed=seed, parts=made.parts
            )
            unit.emit(event)
    return made


def split_of(session: Session, id: str) -> Split:
    """The split with an id.

    Raises:
        NotFound: there is none.
    """
    with session.begin(write=False) as unit:
        query = select(splits).where((splits.c.project == unit.project) & (splits.c.id == id))
        return unit.one(Split, query, f"There is no split {id!r}.", hint="everloop datasets splits NAME lists some.")


def find(session: Session, id: str) -> Split | None:
    """The split with an id, if there is one."""
    with session.begin(write=False) as unit:
        return unit.first(Split, select(splits).where((splits.c.project == unit.project) & (splits.c.id == id)))
