"""Pull: bring what a remote's branch or tag has here, as versions of this platform, or only what is below a path."""

from __future__ import annotations

import re

import msgspec
from sqlalchemy import select

from everloop.catalog.session import Session
from everloop.datasets.content import insert_version, newest_version, snapshot_of, urn_of
from everloop.datasets.entities import Snapshot
from everloop.datasets.history import heads
from everloop.datasets.history.adoption import adopt, known_as
from everloop.datasets.history.ancestry import ancestry, bases_of
from everloop.datasets.history.commits import Commit, read_commit, write_commit
from everloop.datasets.history.heads import head_of
from everloop.datasets.history.service import tag
from everloop.datasets.remotes.commits import contents, history
from everloop.datasets.remotes.entities import Pull, Pulled, Ref
from everloop.datasets.remotes.known import remote_of
from everloop.datasets.remotes.places import Places
from everloop.datasets.remotes.refs import refs_of
from everloop.datasets.tables import snapshots
from everloop.kernel.errors import InvalidInput, NotFound, Refused
from everloop.kernel.progress import Progress
from everloop.store.entities import Digest, TreeEntry
from everloop.store.paths import check_path
from everloop.store.service import Store
from everloop.store.transfer import Transferred, folders_of, transfer


class Distant(msgspec.Struct, frozen=True):
    """What is to be pulled: a ref of a remote, and where its bytes are."""

    remote: str
    dataset: str
    branch: str
    ref: Ref


def pull(session: Session, remote: str, dataset: str, branch: str, progress: Progress) -> Pull:
    """Pull a branch or tag of a dataset.

    A branch here that the remote's was made from is moved forward. One that has gone another way stays, and the
    remote's stands beside it as `remote.branch`, for a merge.

    Raises:
        NotFound: the remote has no such ref, or lacks what it points to.
        Corrupted: what the remote has is damaged; nothing of it is taken.
    """
    distant, place = _found(session, remote, dataset, branch)
    received = _receive(session, place, distant, progress)
    with session.begin(write=False) as unit:
        before = newest_version(unit, dataset)
    (newest,) = adopt(session, [distant.ref.commit])
    with session.begin() as unit:
        stands = _name(unit, distant, newest)
        _tell(unit, distant, newest, received)
        versions = tuple(range(before + 1, newest_version(unit, dataset) + 1))
    return Pull(remote, distant.ref.name, distant.ref.commit, stands, newest.version, versions, received)


def pull_part(session: Session, remote: str, dataset: str, branch: str, below: str, progress: Progress) -> Pull:
    """Pull only what is below a path: a version of its own, on a branch of its own (`main.path`), without history.

    Raises:
        NotFound: the remote has no such ref, or nothing there.
        InvalidInput: the dataset holds rows.
    """
    check_path(below)
    distant, place = _found(session, remote, dataset, branch)
    commit = read_commit(place, distant.ref.commit)
    if commit.kind != "files":
        raise InvalidInput(f"{dataset!r} is a table; only files have paths.", hint="Pull all of it.")
    part = _part(place, commit.digest, below)
    received = transfer(place, session.store, [part.digest], progress)
    entries = [part]
    if part.kind == "folder":
        inside = session.store.tree(part.digest)
        entries = [msgspec.structs.replace(entry, path=f"{below}/{entry.path}") for entry in inside]
    root = session.store.put_tree(entries)
    with session.begin() as unit:
        made = _alone(unit, distant, root, entries, below)
        _tell(unit, distant, made, received)
    return Pull(remote, distant.ref.name, distant.ref.commit, made.branch, made.version, (made.version,), received)


def _found(session: Session, remote: str, dataset: str, branch: str) -> tuple[Distant, Store]:
    with session.begin(write=False) as unit:
        known = remote_of(unit, remote)
    place = session.ports.get(Places).store(known.url)
    refs = refs_of(place.blobs, known.refs, session.random)
    name = f"{session.project}/{dataset}/{branch}"
    ref = refs.read(name)
    if ref is None:
        there = [each.name for each in refs.below(f"{session.project}/{dataset}/")]
        elsewhere = [each.name for each in refs.below("") if each.name.split("/")[1:2] == [dataset]]
        told = f"It has {', '.join(there)}." if there else "It has nothing of it."
        if not there and elsewhere:
            told = f"It has {elsewhere[0]}, of another project: --project {elsewhere[0].partition('/')[0]}."
        raise NotFound(f"Remote {remote!r} has no {name}.", hint=told)
    return Distant(remote, dataset, branch, ref), place


def _receive(session: Session, place: Store, distant: Distant, progress: Progress) -> Transferred:
    """Bring the commits that are not here, and what they hold."""
    newest = distant.ref.commit
    with session.begin(write=False) as unit:
        if known_as(unit, newest) is not None:
            return Transferred()
        base = head_of(unit, distant.dataset, distant.branch)
        held = snapshot_of(unit, distant.dataset, base) if base else None
        here = (snapshots.c.project == unit.project) & (snapshots.c.dataset == distant.dataset)
        known = set(unit.scalars(select(snapshots.c.commit).where(here)))
    fresh = history(place, newest, known)
    _require_own(fresh, distant)
    needed = contents(place, fresh.values())
    commit = fresh[newest]
    if commit.selection is None and commit.digest not in needed:
        raise NotFound(
            f"Remote {distant.remote!r} does not have the content of {distant.ref.name} any more.",
            hint="Push it again from a platform that has it.",
        )
    complete = folders_of(session.store, [held.digest]) if held is not None and held.kind == "files" else ()
    return transfer(place, session.store, [*needed, *fresh], progress, complete)


def _require_own(fresh: dict[Digest, Commit], distant: Distant) -> None:
    """Refuse a history that would write into other datasets."""
    for address, commit in fresh.items():
        if commit.dataset != distant.dataset:
            raise Refused(
                f"Commit {address[:12]} at the remote is of dataset {commit.dataset!r}, not of {distant.dataset!r}.",
                hint="Somebody has written the ref by hand; do not trust this remote.",
            )


def _name(unit: Session, distant: Distant, newest: Snapshot) -> str:
    """Let the branch or tag here stand at what was pulled; the name under which it can be had."""
    if distant.ref.kind == "tag":
        return tag(unit, distant.dataset, distant.branch, str(newest.version)).name
    head = head_of(unit, distant.dataset, distant.branch)
    if head == newest.version or newest.version in ancestry(bases_of(unit, distant.dataset), head):
        return distant.branch
    ahead = not head or head in ancestry(bases_of(unit, distant.dataset), newest.version)
    stands = distant.branch if ahead else f"{distant.remote}.{distant.branch}"
    heads.move_by_hand(unit, distant.dataset, stands, newest.version)
    return stands


def _tell(unit: Session, distant: Distant, newest: Snapshot, received: Transferred) -> None:
    unit.emit(
        Pulled(
            subject=urn_of(unit, newest),
            remote=distant.remote,
            commit=distant.ref.commit,
            objects=received.objects,
            bytes=received.bytes,
        )
    )


def _part(place: Store, root: Digest, below: str) -> TreeEntry:
    """What stands at a path of a tree; only the folders on the way are read."""
    here = TreeEntry("", root, 0, "folder")
    for name in below.split("/"):
        entries = place.folder(here.digest) if here.kind == "folder" else ()
        entry = next((each for each in entries if each.name == name), None)
        if entry is None:
            raise NotFound(f"There is no {below!r} in it.", hint="Paths are relative, such as train/cats.")
        here = TreeEntry(below, entry.digest, entry.size, entry.kind)
    return here


def _alone(unit: Session, distant: Distant, root: Digest, entries: list[TreeEntry], below: str) -> Snapshot:
    """A version that holds a part; pulling the same part again gives the same version."""
    branch = re.sub(r"[^A-Za-z0-9._-]", "-", f"{distant.branch}.{below}")[:128]
    head = head_of(unit, distant.dataset, branch)
    if head:
        known = snapshot_of(unit, distant.dataset, head)
        if known.digest == root:
            return known
    draft = Snapshot(
        dataset=distant.dataset,
        version=newest_version(unit, distant.dataset) + 1,
        digest=root,
        rows=0,
        bytes=sum(entry.size for entry in entries),
        columns=(),
        parents=(),
        note=f"{below} of {distant.ref.commit} at {distant.remote}",
        created=unit.clock.now(),
        kind="files",
        files=len(entries),
        base=(head,) if head else (),
        branch=branch,
        author=unit.principal,
    )
    made = msgspec.structs.replace(draft, commit=write_commit(unit, draft))
    insert_version(unit, made, None)
    heads.move_by_hand(unit, distant.dataset, branch, made.version)
    return made
