"""Erasing a subject: new versions without its rows, and old versions given up."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import numpy as np
from sqlalchemy import delete, select, update

from everloop.catalog.session import Session
from everloop.datasets import partprofiles
from everloop.datasets.content import (
    commit_content,
    commit_table,
    read_table,
    require_kept,
    resolve,
    snapshot_of,
    urn_of,
)
from everloop.datasets.entities import Change, Purge, Snapshot
from everloop.datasets.history.heads import branches_of
from everloop.datasets.parquet import put_table
from everloop.datasets.quality.gating import keeping
from everloop.datasets.splits.entities import (
    Erased,
    ErasureReport,
    Holding,
    PurgeReport,
    SnapshotPurged,
    Subject,
    SubjectErased,
    SubjectReport,
)
from everloop.datasets.splits.selection import unpacked
from everloop.datasets.splits.subjects import files_of, matching, report
from everloop.datasets.splits.written import part_content
from everloop.datasets.tables import profiles, snapshots
from everloop.kernel.errors import Refused

if TYPE_CHECKING:
    import pyarrow as pa

_NOTE = "Rows of a subject erased"


def erase(session: Session, name: str, subject: Subject, also: tuple[str, ...], *, dry_run: bool) -> ErasureReport:
    """New versions of the heads that hold a subject, without its rows; nothing is written in a dry run.

    Erased from are the dataset, those that it was derived from or that were derived from it, and the ones in `also`.
    Tables that are elsewhere are left as they are.
    """
    found = report(session, name, subject)
    chosen = [each for each in found.holdings if each.heads and _is_chosen(each, also)]
    here = [each for each in chosen if resolve(session, each.snapshot).foreign is None]
    planned = [Erased(each.snapshot, branch, each.rows) for each in here for branch in each.heads]
    if dry_run:
        leaving = frozenset(each.before for each in planned)
        return ErasureReport(subject, name, True, tuple(planned), found, _freed(found, leaving=leaving))
    erased = tuple(msgspec.structs.replace(each, after=_erased(session, each, subject)) for each in planned)
    if erased:
        with session.begin() as unit:
            unit.emit(SubjectErased(subject=unit.urn("dataset", name), column=subject.column, erased=erased))
    remaining = report(session, name, subject)
    return ErasureReport(subject, name, False, erased, remaining, _freed(remaining))


def purge(session: Session, name: str, version: int, reason: str) -> PurgeReport:
    """Give up the bytes of a version: it stays in the history as a name, and reading it says why.

    The bytes go with the next garbage collection, but for those that other versions have too.

    Raises:
        Refused: a branch stands at it.
        NotFound: there is no such version, or it was purged already.
    """
    with session.begin() as unit:
        snapshot = snapshot_of(unit, name, version)
        _require_purgeable(unit, snapshot)
        kept_by = _sharing(unit, snapshot)
        now = unit.clock.now()
        here = (snapshots.c.project == unit.project) & (snapshots.c.dataset == name)
        gone = {
            "digest": "",
            "layers": (),
            "selection": None,
            "foreign": None,
            "purged": Purge(now, unit.principal, reason),
        }
        unit.execute(update(snapshots).where(here & (snapshots.c.version == version)).values(**gone))
        mine = (profiles.c.project == unit.project) & (profiles.c.dataset == name)
        unit.execute(delete(profiles).where(mine & (profiles.c.version == version)))
        partprofiles.forget(unit, snapshot)
        urn = urn_of(unit, snapshot)
        unit.emit(SnapshotPurged(subject=urn, digest=snapshot.digest, reason=reason, kept_by=kept_by))
    return PurgeReport(urn, reason, 0 if kept_by else snapshot.bytes, kept_by, now)


def _is_chosen(holding: Holding, also: tuple[str, ...]) -> bool:
    return holding.related or holding.snapshot.partition("/")[2].rpartition("@")[0] in also


def _erased(session: Session, erased: Erased, subject: Subject) -> str:
    """The same as `_without`, whatever is expected of the rest: no gate may keep a subject's rows."""
    with keeping(resolve(session, erased.before).dataset):
        return _without(session, erased, subject)


def _without(session: Session, erased: Erased, subject: Subject) -> str:
    """The URN of the version after a head, which has its rows but those of the subject."""
    head = resolve(session, erased.before)
    change = Change(_NOTE, (erased.before,), erased.branch, (head.version,))
    if head.selection is not None:
        return urn_of(session, _part_without(session, head, subject, change))
    table = read_table(session, head)
    return urn_of(session, commit_table(session, head.dataset, table.filter(_others(table, subject)), change))


def _part_without(session: Session, head: Snapshot, subject: Subject, change: Change) -> Snapshot:
    """A part of a split, made a part of its source without the rows: so it costs as little as before."""
    selection = head.selection
    if selection is None:
        raise Refused(f"{head.dataset}@{head.version} is no part of a split.")
    source = msgspec.structs.replace(head, digest=selection.source, selection=None)
    table = read_table(session, source)
    others = _others(table, subject)
    kept = put_table(session.store, table.filter(others))
    whole = msgspec.structs.replace(source, digest=kept.digest, bytes=kept.bytes, rows=kept.rows, layers=())
    mask = unpacked(session.store.get(selection.rows))[np.asarray(others)]
    return commit_content(session, head.dataset, part_content(session, whole, mask), change)


def _others(table: pa.Table, subject: Subject) -> pa.Array:
    import pyarrow as pa

    mask = matching(table, subject)
    return pa.array(np.ones(table.num_rows, dtype=bool) if mask is None else ~mask)


def _freed(found: SubjectReport, *, leaving: frozenset[str] = frozenset()) -> int:
    """The bytes of the files that only versions hold at which no branch stands, or that branches are leaving."""
    sizes: dict[str, int] = {}
    staying: set[str] = set()
    for holding in found.holdings:
        for place in holding.places:
            sizes[place.file] = max(sizes.get(place.file, 0), place.bytes)
            if holding.heads and holding.snapshot not in leaving:
                staying.add(place.file)
    return sum(size for file, size in sizes.items() if file not in staying)


def _require_purgeable(unit: Session, snapshot: Snapshot) -> None:
    require_kept(snapshot)
    standing = [branch.name for branch in branches_of(unit, snapshot.dataset) if branch.version == snapshot.version]
    if standing:
        raise Refused(
            f"Branch {standing[0]!r} of {snapshot.dataset!r} stands at version {snapshot.version}.",
            hint="Commit a version without what is to go first, or delete the branch.",
        )


def _sharing(unit: Session, snapshot: Snapshot) -> tuple[str, ...]:
    """The other versions that have bytes in common with one."""
    mine = {part.digest for part in files_of(snapshot)}
    here = (snapshots.c.project == unit.project) & (snapshots.c.digest != "")
    every = unit.all(Snapshot, select(snapshots).where(here))
    others = [each for each in every if (each.dataset, each.version) != (snapshot.dataset, snapshot.version)]
    return tuple(urn_of(unit, each) for each in others if mine & {part.digest for part in files_of(each)})
