"""Where branches stand, and stood: the version that each one's next version is made from."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import func, select

from everloop.catalog.session import Session
from everloop.datasets.history.entities import Branch, BranchMoved
from everloop.datasets.history.tables import moves
from everloop.datasets.tables import snapshots
from everloop.kernel.errors import NotFound

MAIN = "main"


def head_of(unit: Session, name: str, branch: str = MAIN, at: datetime | None = None) -> int:
    """The version that a branch of a dataset stands at, or stood at then; 0 when there is no such branch.

    In a catalog from before there were branches no move of main is written down; its newest version until then is it.
    """
    here = (moves.c.project == unit.project) & (moves.c.dataset == name) & (moves.c.branch == branch)
    query = select(moves.c.version).where(here if at is None else here & (moves.c.at <= at))
    found = unit.scalars(query.order_by(moves.c.number.desc()).limit(1))
    if found:
        return int(found[0])
    return _newest(unit, name, at) if branch == MAIN else 0


def move(unit: Session, name: str, branch: str, version: int) -> None:
    """Let a branch stand at a version; the branch is made if it is new, and deleted by version 0."""
    here = (moves.c.project == unit.project) & (moves.c.dataset == name) & (moves.c.branch == branch)
    number = int(unit.scalars(select(func.coalesce(func.max(moves.c.number), 0)).where(here))[0]) + 1
    row = {"dataset": name, "branch": branch, "number": number, "version": version, "at": unit.clock.now()}
    unit.insert(moves, row)


def move_by_hand(unit: Session, name: str, branch: str, version: int) -> None:
    """Let a branch stand at a version that exists already, and say so in the ledger."""
    before = head_of(unit, name, branch)
    move(unit, name, branch, version)
    unit.emit(BranchMoved(subject=unit.urn("dataset", name), branch=branch, before=before, after=version))


def branch_of(unit: Session, name: str, branch: str) -> Branch:
    """A branch of a dataset.

    Raises:
        NotFound: there is no such branch.
    """
    found = next((each for each in branches_of(unit, name) if each.name == branch), None)
    if found is None:
        raise NotFound(f"Dataset {name!r} has no branch {branch!r}.", hint=f"everloop datasets branches {name}.")
    return found


def branches_of(unit: Session, name: str) -> list[Branch]:
    """The branches of a dataset, main first, then by name."""
    here = (moves.c.project == unit.project) & (moves.c.dataset == name)
    rows = unit.connection.execute(select(moves).where(here).order_by(moves.c.number))
    stand = {row.branch: Branch(name, row.branch, row.version, row.at) for row in rows}
    if MAIN not in stand and (newest := _newest(unit, name, None)):
        query = select(snapshots.c.created).where((snapshots.c.project == unit.project) & (snapshots.c.dataset == name))
        stand[MAIN] = Branch(name, MAIN, newest, unit.scalars(query.where(snapshots.c.version == newest))[0])
    return sorted((each for each in stand.values() if each.version), key=lambda each: (each.name != MAIN, each.name))


def _newest(unit: Session, name: str, at: datetime | None) -> int:
    here = (snapshots.c.project == unit.project) & (snapshots.c.dataset == name) & (snapshots.c.branch == MAIN)
    query = select(func.coalesce(func.max(snapshots.c.version), 0))
    return int(unit.scalars(query.where(here if at is None else here & (snapshots.c.created <= at)))[0])
