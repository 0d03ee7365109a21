"""Merging branches: what both made of their newest common version, as a version that has both as its base."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec

from everloop.catalog.session import Session
from everloop.datasets.content import (
    commit_content,
    content_of,
    read_table,
    snapshot_at,
    snapshot_of,
    table_content,
    urn_of,
)
from everloop.datasets.entities import Change, Content, Snapshot
from everloop.datasets.formats import normalised
from everloop.datasets.gates import Candidate, before_commit
from everloop.datasets.history import heads
from everloop.datasets.history.ancestry import bases_of, common_ancestor
from everloop.datasets.history.entities import Merge, MergeConflict, OnConflict
from everloop.datasets.history.filediff import Extent, extent
from everloop.datasets.history.filemerge import merge_trees
from everloop.datasets.history.keys import expected_keys
from everloop.datasets.history.rowmerge import merge_rows
from everloop.datasets.history.tablefiles import settle_rows
from everloop.datasets.parquet import put_table
from everloop.kernel.errors import Conflict, InvalidInput

if TYPE_CHECKING:
    import pyarrow as pa

LISTED = 100
"""So many conflicts are listed; all are counted."""


class Wish(msgspec.Struct, frozen=True):
    """How to merge: the rows' keys, whose side wins a conflict, and whether to do it at all."""

    keys: tuple[str, ...] = ()
    on_conflict: OnConflict = "fail"
    dry_run: bool = False


@dataclass(frozen=True)
class Sides:
    """The versions that take part: theirs comes into the branch that stands at ours; the base may be nothing."""

    branch: str
    into: str
    base: Snapshot | None
    ours: Snapshot
    theirs: Snapshot


@dataclass
class Outcome:
    """The merged content (of a table with its rows), and what the sides disagree on."""

    content: Content
    table: pa.Table | None = None
    count: int = 0
    listed: Sequence[MergeConflict] = field(default_factory=list)


def merge(session: Session, name: str, branch: str, into: str, wish: Wish) -> Merge:
    """Bring what a branch (or a version, or a tag) has into another branch.

    Raises:
        InvalidInput: one side is a table and the other files, or the keys do not tell rows apart.
        Conflict: somebody committed to the branch meanwhile.
        Refused: a gate said no.
    """
    with session.begin(write=False) as unit:
        ours, theirs = snapshot_of(unit, name, branch=into), snapshot_at(unit, name, branch)
        found = common_ancestor(bases_of(unit, name), ours.version, theirs.version)
        sides = Sides(branch, into, snapshot_of(unit, name, found) if found else None, ours, theirs)
        wish = wish if wish.keys else msgspec.structs.replace(wish, keys=expected_keys(unit, ours, theirs))
    if found == theirs.version:
        return _answer(sides, "nothing", ours.version, wish)
    if found == ours.version:
        return _forward(session, sides, wish)
    if ours.kind != theirs.kind:
        raise InvalidInput(
            f"{name}@{ours.version} holds {ours.kind} and {name}@{theirs.version} {theirs.kind}.",
            hint="Only versions of one kind can be merged.",
        )
    return _three_way(session, sides, wish)


def _forward(session: Session, sides: Sides, wish: Wish) -> Merge:
    """Our branch has nothing that theirs lacks: it moves to where theirs stands."""
    name = sides.ours.dataset
    if not wish.dry_run:
        with session.begin(write=False) as unit:
            content = content_of(unit, sides.theirs)
        before_commit(session, Candidate(name, sides.into, content, _rows(session, sides.theirs), "merge"))
        with session.begin() as unit:
            stands = heads.head_of(unit, name, sides.into)
            if stands != sides.ours.version:
                raise Conflict(
                    f"Branch {sides.into!r} of {name!r} moved to version {stands} meanwhile.", hint="Merge again."
                )
            heads.move_by_hand(unit, name, sides.into, sides.theirs.version)
    return _answer(sides, "forwarded", sides.ours.version if wish.dry_run else sides.theirs.version, wish)


def _three_way(session: Session, sides: Sides, wish: Wish) -> Merge:
    merged = _merged(session, sides, wish)
    stands = sides.ours.version
    if merged.count and wish.on_conflict == "fail":
        return _answer(sides, "conflicts", stands, wish, merged)
    if not wish.dry_run:
        change = Change(
            note=f"Merge {sides.branch} into {sides.into}",
            parents=(urn_of(session, sides.ours), urn_of(session, sides.theirs)),
            branch=sides.into,
            base=(sides.ours.version, sides.theirs.version),
        )
        stands = commit_content(session, sides.ours.dataset, merged.content, change, merged.table).version
    return _answer(sides, "merged", stands, wish, merged)


def _merged(session: Session, sides: Sides, wish: Wish) -> Outcome:
    """The content of both sides; what only one of them changed is taken as it is, without being read."""
    base = sides.base.digest if sides.base else None
    if sides.theirs.digest in (base, sides.ours.digest):
        return _taken(session, sides.ours)
    if sides.ours.digest == base:
        return _taken(session, sides.theirs)
    return _merged_files(session, sides, wish) if sides.ours.kind == "files" else _merged_rows(session, sides, wish)


def _taken(session: Session, side: Snapshot) -> Outcome:
    with session.begin(write=False) as unit:
        content = content_of(unit, side)
    return Outcome(content, _rows(session, side))


def _rows(session: Session, side: Snapshot) -> pa.Table | None:
    return read_table(session, side) if side.kind == "table" else None


def _merged_rows(session: Session, sides: Sides, wish: Wish) -> Outcome:
    ours, theirs = (read_table(session, side) for side in (sides.ours, sides.theirs))
    has_base = sides.base is not None and sides.base.kind == "table"
    base = read_table(session, sides.base) if has_base and sides.base else ours.slice(0, 0)
    merged = merge_rows(base, ours, theirs, wish.keys, wish.on_conflict)
    plain = normalised(merged.table)
    part = put_table(session.store, plain)
    content = table_content(session, plain, part.digest, part.bytes)
    return Outcome(content, plain, merged.count, merged.listed)


def _merged_files(session: Session, sides: Sides, wish: Wish) -> Outcome:
    base = sides.base.digest if sides.base and sides.base.kind == "files" else None
    settle = settle_rows(session, wish.keys, wish.on_conflict)
    merged = merge_trees(session.store, base, (sides.ours.digest, sides.theirs.digest), settle, wish.on_conflict)
    known = (sides.ours.digest, Extent(sides.ours.files, sides.ours.bytes))
    size = extent(session.store, merged.digest, known)
    content = Content("files", merged.digest, size.bytes, files=size.files)
    return Outcome(content, None, len(merged.conflicts), merged.conflicts)


def _answer(sides: Sides, outcome: str, version: int, wish: Wish, merged: Outcome | None = None) -> Merge:
    found = {
        "dataset": sides.ours.dataset,
        "branch": sides.branch,
        "into": sides.into,
        "outcome": outcome,
        "kind": sides.ours.kind,
        "base": sides.base.version if sides.base else 0,
        "ours": sides.ours.version,
        "theirs": sides.theirs.version,
        "version": version,
        "conflicts": merged.count if merged else 0,
        "listed": msgspec.to_builtins(merged.listed[:LISTED]) if merged else [],
        "dry_run": wish.dry_run,
    }
    return msgspec.convert(found, Merge)
