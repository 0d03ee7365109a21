"""Push: bring what a remote lacks of a branch or tag there, and move its ref when all of it is durable."""

from __future__ import annotations

import msgspec

from everloop.catalog.session import Session
from everloop.datasets.content import snapshot_of
from everloop.datasets.history.commits import commit_of
from everloop.datasets.history.heads import head_of
from everloop.datasets.history.references import tagged
from everloop.datasets.remotes.commits import contents, history
from everloop.datasets.remotes.entities import Push, Pushed, Ref, Remote
from everloop.datasets.remotes.known import remote_of
from everloop.datasets.remotes.places import Places
from everloop.datasets.remotes.refs import refs_of
from everloop.kernel.errors import Conflict, NotFound, Refused
from everloop.kernel.progress import Progress
from everloop.store.entities import Digest
from everloop.store.service import Store
from everloop.store.transfer import Transferred, folders_of, transfer


class Local(msgspec.Struct, frozen=True):
    """What is to be pushed: the commit that a branch or tag stands at here."""

    remote: Remote
    dataset: str
    branch: str
    version: int
    commit: Digest
    is_tag: bool


def push(session: Session, remote: str, dataset: str, branch: str, progress: Progress) -> Push:
    """Push a branch or tag of a dataset.

    Raises:
        Conflict: the remote is ahead, or has gone another way; or somebody moved the ref meanwhile.
        Refused: the remote can only be read.
    """
    with session.begin() as unit:
        local = _local(unit, remote_of(unit, remote), dataset, branch)
    if not local.remote.probe.writes:
        raise Refused(f"Remote {remote!r} can only be read.", hint="Add it again when you may write there.")
    place = session.ports.get(Places).store(local.remote.url)
    refs = refs_of(place.blobs, local.remote.refs, session.random)
    name = f"{session.project}/{dataset}/{branch}"
    before = refs.read(name)
    if before is not None and before.commit == local.commit:
        return Push(remote, name, before.commit, local.commit, Transferred())
    _require_behind(session.store, local, before)
    sent = _send(session.store, place, local, before, progress)
    moved = Ref(
        name,
        local.commit,
        session.principal,
        session.clock.now(),
        session.new_id(),
        "tag" if local.is_tag else "branch",
    )
    refs.move(moved, _commit(before))
    with session.begin() as unit:
        subject = unit.urn("dataset", dataset, local.version)
        unit.emit(Pushed(subject=subject, remote=remote, commit=local.commit, objects=sent.objects, bytes=sent.bytes))
    return Push(remote, name, _commit(before), local.commit, sent)


def _local(unit: Session, remote: Remote, dataset: str, branch: str) -> Local:
    tag = tagged(unit, dataset, branch)
    version = tag or head_of(unit, dataset, branch) or snapshot_of(unit, dataset, 0, branch).version
    return Local(remote, dataset, branch, version, commit_of(unit, dataset, version), bool(tag))


def _require_behind(store: Store, local: Local, before: Ref | None) -> None:
    """Refuse to move a ref to anything but what was made from where it is."""
    if before is None:
        return
    if local.is_tag:
        raise Conflict(
            f"Tag {local.branch!r} of {local.dataset!r} names {before.commit[:12]} at the remote, and "
            f"{local.commit[:12]} here.",
            hint="Tags do not move; take another name.",
        )
    if before.commit not in history(store, local.commit):
        raise Conflict(
            f"{local.branch!r} of {local.dataset!r} is at {before.commit[:12]} at the remote (by {before.by}, "
            f"{before.at:%Y-%m-%d %H:%M} UTC), which version {local.version} here was not made from.",
            hint=f"Pull it (everloop remotes pull {local.remote.name} {local.dataset} --branch {local.branch}), merge, "
            "and push again.",
        )


def _send(store: Store, place: Store, local: Local, before: Ref | None, progress: Progress) -> Transferred:
    there = set(history(store, before.commit)) if before else set()
    fresh = history(store, local.commit, there)
    held = contents(store, fresh.values())
    newest = fresh[local.commit]
    if newest.selection is None and newest.digest not in held:
        raise NotFound(
            f"The content of {local.dataset}@{local.version} is not in the store any more.",
            hint="It was given up, or is damaged: everloop store verify.",
        )
    complete: set[Digest] = set()
    if before is not None and newest.kind == "files":
        complete = folders_of(store, contents(store, history(store, before.commit, there - {before.commit}).values()))
    return transfer(store, place, [*held, *fresh], progress, complete)


def _commit(ref: Ref | None) -> str:
    return ref.commit if ref else ""
