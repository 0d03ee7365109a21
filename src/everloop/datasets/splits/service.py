"""What one can do with splits and subjects: cut and prove; find, erase and purge."""

from __future__ import annotations

from sqlalchemy import select

from everloop.catalog.session import Session
from everloop.datasets.content import resolve, snapshot_at, urn_of
from everloop.datasets.entities import At, Snapshot
from everloop.datasets.splits.entities import (
    ErasureReport,
    Proof,
    PurgeReport,
    Split,
    SplitMade,
    Strategy,
    Subject,
    SubjectReport,
)
from everloop.datasets.splits.tables import splits
from everloop.kernel.errors import InvalidInput, NotFound
from everloop.kernel.ids import Name
from everloop.kernel.usecase import usecase

_SEEDS = 1 << 63


@usecase("datasets.split", permission="datasets:write", route="POST /datasets/{name}/splits", long=True)
def split(session: Session, name: Name, strategy: Strategy, seed: int = 0, at: At = "") -> Split:
    """Cut a version into parts, each a version of its own (`flights.train@1`), with proof that they share nothing.

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


@usecase("datasets.subject", permission="datasets:read", route="POST /datasets/{name}/subjects", long=True)
def subject(session: Session, name: Name, column: str, value: str) -> SubjectReport:
    """Everywhere that a subject is: the versions and files that hold rows with the value, and what was made of them.

    Every dataset of the project with a column of that name is looked into; what follows is told by lineage: runs,
    models, deployments. Then the online store and the logs of predictions are asked.
    """
    from everloop.datasets.splits.subjects import report

    return report(session, name, Subject(column, value))


@usecase("datasets.erase_subject", permission="governance:manage", route="POST /datasets/{name}/erasures", long=True)
def erase_subject(
    session: Session, name: Name, column: str, value: str, also: tuple[str, ...] = (), dry_run: bool = True
) -> ErasureReport:
    """Write new versions without a subject's rows where branches stand, and tell what still holds it.

    That is done to the dataset, to those that it came from or that came from it, and to those in `also`. Older versions
    stay until they are purged, models until they are retrained.
    """
    from everloop.datasets.splits.erasure import erase

    return erase(session, name, Subject(column, value), also, dry_run=dry_run)


@usecase(
    "datasets.purge", permission="governance:manage", route="POST /datasets/{name}/snapshots/{version}/purge", long=True
)
def purge(session: Session, name: Name, version: int, reason: str) -> PurgeReport:
    """Give up the bytes of a version for good; its name and what led to it stay, and reading it tells the reason.

    The next garbage collection frees them, but for what other versions hold as well.
    """
    from everloop.datasets.splits import erasure

    return erasure.purge(session, name, version, reason)


def split_snapshot(session: Session, source: Snapshot, strategy: Strategy, seed: int = 0) -> Split:
    """Cut a snapshot into parts; the split that was made of it already is given again.

    Raises:
        InvalidInput: the seed has more than 64 bits, or the strategy makes no sense.
    """
    from everloop.datasets.splits.written import id_of, make

    if not -_SEEDS <= seed < _SEEDS:
        raise InvalidInput(f"A seed of {seed.bit_length()} bits is out of range.", hint="63 bits and a sign are kept.")
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


def split_with(session: Session, part: str) -> tuple[Split, str] | None:
    """The newest split that a version is a part of, by URN, and which one."""
    try:
        snapshot = resolve(session, part)
    except (NotFound, InvalidInput):
        return None
    for parent in snapshot.parents:
        name, _, version = parent.removeprefix(f"dataset:{session.project}/").rpartition("@")
        if version.isdecimal():
            of = (splits.c.dataset == name) & (splits.c.version == int(version))
            with session.begin(write=False) as unit:
                query = select(splits).where((splits.c.project == unit.project) & of)
                made = unit.all(Split, query.order_by(splits.c.created.desc()))
            found = [(each, one.name) for each in made for one in each.parts if one.snapshot == part]
            if found:
                return found[0]
    return None


def find(session: Session, id: str) -> Split | None:
    """The split with an id, if there is one."""
    with session.begin(write=False) as unit:
        return unit.first(Split, select(splits).where((splits.c.project == unit.project) & (splits.c.id == id)))
