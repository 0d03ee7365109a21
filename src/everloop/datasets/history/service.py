"""What one can do with the history of a dataset: files, branches, tags, reverts, differences, merges."""

from __future__ import annotations

import sys
from collections import Counter
from itertools import islice

import msgspec
from sqlalchemy import delete, select

from everloop.catalog.session import Session
from everloop.datasets.content import (
    commit_content,
    commit_tree,
    content_of,
    newest_version,
    read_table,
    require_files,
    snapshot_at,
)
from everloop.datasets.entities import At, Change, Snapshot
from everloop.datasets.history import heads
from everloop.datasets.history.columns import columns_diff
from everloop.datasets.history.entities import (
    Branch,
    FileEntry,
    FilesDiff,
    Merge,
    OnConflict,
    RowDiff,
    Tag,
    VersionTagged,
)
from everloop.datasets.history.filediff import entry_of, file_changes
from everloop.datasets.history.heads import MAIN, head_of
from everloop.datasets.history.keys import expected_keys
from everloop.datasets.history.merge import Wish
from everloop.datasets.history.merge import merge as merge_branches
from everloop.datasets.history.references import require_new_name, tagged
from everloop.datasets.history.rowdiff import difference
from everloop.datasets.history.tables import tags
from everloop.kernel.errors import Conflict, InvalidInput, NotFound
from everloop.kernel.ids import Name
from everloop.kernel.usecase import usecase
from everloop.store.entities import Digest
from everloop.store.treediff import tree_changes


@usecase("datasets.commit_files", permission="datasets:write", route="POST /datasets/{name}/trees", long=True)
def commit_files(
    session: Session, name: Name, digest: Digest, note: str = "", branch: Name = MAIN, base: int = 0
) -> Snapshot:
    """Commit a tree of files that is in the store as the next version of a branch; what its head holds gives the head.

    `base` is the version that the change was made from: when the branch has moved on since, the commit is refused.
    """
    return commit_tree(session, name, digest, Change(note=note, branch=branch, base=(base,) if base else ()))


@usecase("datasets.files", permission="datasets:read", route="GET /datasets/{name}/files")
def files(session: Session, name: Name, at: At = "", below: str = "", limit: int = 1000) -> list[FileEntry]:
    """The files of a version, by path: all, or those below a folder."""
    snapshot = require_files(snapshot_at(session, name, at))
    wanted = min(limit, sys.maxsize) if limit > 0 else None
    changes = islice(tree_changes(session.store, None, snapshot.digest, below), wanted)
    return [entry for change in changes if (entry := entry_of(change.after))]


@usecase("datasets.diff_files", permission="datasets:read", route="GET /datasets/{name}/diff/files", long=True)
def diff_files(
    session: Session, name: Name, before: At, after: At = "", below: str = "", limit: int = 1000
) -> FilesDiff:
    """Which files came, went, changed or were renamed between two versions, all or those below a folder."""
    with session.begin(write=False) as unit:
        old, new = (require_files(snapshot_at(unit, name, each)) for each in (before, after))
    changes = file_changes(session.store, old.digest, new.digest, below)
    counts = Counter(change.change for change in changes)
    return FilesDiff(
        dataset=name,
        before=old.version,
        after=new.version,
        added=counts["added"],
        removed=counts["removed"],
        changed=counts["changed"],
        renamed=counts["renamed"],
        bytes_added=sum(change.after.size for change in changes if change.after and change.change != "renamed"),
        bytes_removed=sum(change.before.size for change in changes if change.before and change.change != "renamed"),
        files=tuple(changes[: max(limit, 0)]),
    )


@usecase("datasets.diff_rows", permission="datasets:read", route="GET /datasets/{name}/diff/rows", long=True)
def diff_rows(
    session: Session, name: Name, before: At, after: At = "", keys: tuple[str, ...] = (), limit: int = 20
) -> RowDiff:
    """Which rows came, went or changed between two versions, with the cells that changed.

    Rows are matched by the keys: those given, or what is expected to be unique, or else all columns of both.
    """
    with session.begin(write=False) as unit:
        old, new = snapshot_at(unit, name, before), snapshot_at(unit, name, after)
        by = keys or expected_keys(unit, old, new)
    columns = columns_diff(old, new)
    found = difference(read_table(session, old), read_table(session, new), by, max(limit, 0))
    return RowDiff(columns=columns, keys=tuple(by), **msgspec.structs.asdict(found))


@usecase("datasets.revert", permission="datasets:write", route="POST /datasets/{name}/reverts", long=True)
def revert(session: Session, name: Name, version: At, note: str = "", branch: Name = MAIN) -> Snapshot:
    """Make what an older version holds the next version of a branch; nothing of what came between is lost."""
    with session.begin(write=False) as unit:
        old = snapshot_at(unit, name, version)
        content = content_of(unit, old)
    table = read_table(session, old) if old.kind == "table" else None
    change = Change(note=note or f"Back to version {old.version}", branch=branch)
    return commit_content(session, name, content, change, table)


@usecase("datasets.branch", permission="datasets:write", route="PUT /datasets/{name}/branches/{branch}")
def branch(session: Session, name: Name, branch: Name, at: At = "") -> Branch:
    """Make a branch that stands at a version (the newest of main); one that stands elsewhere is not moved.

    Raises:
        Conflict: there is such a branch and it stands elsewhere, or a tag has the name.
    """
    snapshot = snapshot_at(session, name, at)
    stands = head_of(session, name, branch)
    if stands and stands != snapshot.version:
        raise Conflict(
            f"Branch {branch!r} of {name!r} stands at version {stands}.",
            hint=f"Merge into it, or delete it first: everloop datasets delete-branch {name} {branch}.",
        )
    if not stands:
        require_new_name(branch)
        if tagged(session, name, branch):
            raise Conflict(f"A tag of {name!r} has the name {branch!r}.", hint="Take another name.")
        heads.move_by_hand(session, name, branch, snapshot.version)
    return heads.branch_of(session, name, branch)


@usecase("datasets.branches", permission="datasets:read", route="GET /datasets/{name}/branches")
def branches(session: Session, name: Name) -> list[Branch]:
    """The branches of a dataset, main first, then by name."""
    _require(session, name)
    return heads.branches_of(session, name)


@usecase("datasets.delete_branch", permission="datasets:write", route="DELETE /datasets/{name}/branches/{branch}")
def delete_branch(session: Session, name: Name, branch: Name) -> None:
    """Delete a branch; its versions stay, by their numbers."""
    if branch == MAIN:
        raise InvalidInput("The branch main cannot be deleted.", hint="Revert it to what it should hold.")
    heads.branch_of(session, name, branch)
    heads.move_by_hand(session, name, branch, 0)


@usecase("datasets.tag", permission="datasets:write", route="PUT /datasets/{name}/tags/{tag}")
def tag(session: Session, name: Name, tag: Name, at: At = "", note: str = "", force: bool = False) -> Tag:
    """Name a version (the newest of main) for good; only `force` gives the name to another version.

    Raises:
        Conflict: the tag names another version, or a branch has the name.
    """
    require_new_name(tag)
    snapshot = snapshot_at(session, name, at)
    names = tagged(session, name, tag)
    if names and names != snapshot.version and not force:
        raise Conflict(f"Tag {tag!r} of {name!r} names version {names}.", hint="Move it with force, or take another.")
    if head_of(session, name, tag):
        raise Conflict(f"A branch of {name!r} has the name {tag!r}.", hint="Take another name.")
    if names != snapshot.version:
        _name(session, name, tag, snapshot.version, note)
    here = (tags.c.project == session.project) & (tags.c.dataset == name) & (tags.c.name == tag)
    return session.one(Tag, select(tags).where(here), f"Dataset {name!r} has no tag {tag!r}.")


@usecase("datasets.untag", permission="datasets:write", route="DELETE /datasets/{name}/tags/{tag}")
def untag(session: Session, name: Name, tag: Name) -> None:
    """Take a name away from a version."""
    if not tagged(session, name, tag):
        raise NotFound(f"Dataset {name!r} has no tag {tag!r}.", hint=f"everloop datasets tags {name} lists them.")
    _name(session, name, tag, 0, "")


@usecase("datasets.tags", permission="datasets:read", route="GET /datasets/{name}/tags")
def list_tags(session: Session, name: Name) -> list[Tag]:
    """The tags of a dataset, by name."""
    _require(session, name)
    query = select(tags).where((tags.c.project == session.project) & (tags.c.dataset == name))
    return session.all(Tag, query.order_by(tags.c.name))


@usecase("datasets.merge", permission="datasets:write", route="POST /datasets/{name}/merges", long=True)
def merge(
    session: Session,
    name: Name,
    branch: Name,
    into: Name = MAIN,
    keys: tuple[str, ...] = (),
    on_conflict: OnConflict = "fail",
    dry_run: bool = False,
) -> Merge:
    """Bring what a branch has into another: files by path, tables row by row and cell by cell.

    Both sides are compared with the newest version that led to both. What they disagree on is listed, and nothing
    changes, unless `on_conflict` says whose side wins. Rows are matched by the keys: those given, or what is expected
    to be unique, or else all columns. A branch that has nothing of its own is moved forward.
    """
    return merge_branches(session, name, branch, into, Wish(keys, on_conflict, dry_run))


def _name(session: Session, name: str, tag: str, version: int, note: str) -> None:
    """Let a tag name a version, and none when that is 0."""
    before = tagged(session, name, tag)
    here = (tags.c.project == session.project) & (tags.c.dataset == name) & (tags.c.name == tag)
    session.execute(delete(tags).where(here))
    if version:
        session.insert(tags, Tag(name, tag, version, note, session.principal, session.clock.now()))
    subject = session.urn("dataset", name, version or before)
    session.emit(VersionTagged(subject=subject, tag=tag, before=before, after=version))


def _require(session: Session, name: str) -> None:
    """Make sure that there is such a dataset, on whichever branches: of a pulled one main may not be here."""
    if not newest_version(session, name):
        snapshot_at(session, name)
