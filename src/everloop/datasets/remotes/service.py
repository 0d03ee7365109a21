"""What one can do with remotes: name them, push versions to them and pull versions from them."""

from __future__ import annotations

from sqlalchemy import delete, select

from everloop.catalog.session import Session
from everloop.datasets.entities import At, Snapshot
from everloop.datasets.history.heads import MAIN
from everloop.datasets.remotes import importing, pulling, pushing
from everloop.datasets.remotes import probe as probing
from everloop.datasets.remotes.commits import roots_at
from everloop.datasets.remotes.entities import (
    ImportCheck,
    Pull,
    Push,
    Ref,
    Remote,
    RemoteAdded,
    RemoteRemoved,
)
from everloop.datasets.remotes.known import remote_of
from everloop.datasets.remotes.places import Places
from everloop.datasets.remotes.reach import Reach, shown, without_secrets
from everloop.datasets.remotes.refs import refs_of
from everloop.datasets.remotes.tables import remotes
from everloop.kernel.durations import duration
from everloop.kernel.errors import Conflict, Refused
from everloop.kernel.ids import Name
from everloop.kernel.progress import Progress
from everloop.kernel.usecase import usecase
from everloop.store.entities import SweepReport
from everloop.store.service import Store


@usecase("remotes.add", permission="remotes:manage", route="PUT /remotes/{name}", long=True)
def add(session: Session, name: Name, url: str) -> Remote:
    """Give a place a name, after trying what it can do: read, list, write, and write under conditions.

    `url` is s3://bucket/prefix?endpoint=…&region=…, gs://bucket/prefix, az://container/prefix or file:///path; keys and
    secrets come from the usual variables of each cloud, never from the URL.
    """
    session.ports.get(Reach).check(without_secrets(url))
    blobs = session.ports.get(Places).blobs(url)
    found = probing.probe(blobs, session.new_id())
    remote = Remote(name, url, probing.settle(blobs, found), found, session.clock.now())
    with session.begin() as unit:
        here = (remotes.c.project == unit.project) & (remotes.c.name == name)
        before = unit.first(Remote, select(remotes).where(here))
        if before is not None and before.url != url:
            raise Conflict(f"Remote {name!r} is {shown(before.url)}.", hint="Remove it first, or choose another name.")
        unit.execute(delete(remotes).where(here))
        unit.insert(remotes, remote)
        unit.emit(RemoteAdded(subject=unit.urn("remote", name), url=shown(url), refs=remote.refs))
    return remote


@usecase("remotes.list", permission="remotes:read", route="GET /remotes")
def list_remotes(session: Session) -> list[Remote]:
    """The remotes of the project, by name."""
    return session.all(Remote, select(remotes).where(remotes.c.project == session.project).order_by(remotes.c.name))


@usecase("remotes.get", permission="remotes:read", route="GET /remotes/{name}")
def get(session: Session, name: Name) -> Remote:
    """A remote, with what it was found to do."""
    return remote_of(session, name)


@usecase("remotes.remove", permission="remotes:manage", route="DELETE /remotes/{name}")
def remove(session: Session, name: Name) -> Remote:
    """Forget a remote; what it holds stays there."""
    known = remote_of(session, name)
    session.execute(delete(remotes).where((remotes.c.project == session.project) & (remotes.c.name == name)))
    session.emit(RemoteRemoved(subject=session.urn("remote", name)))
    return known


@usecase("remotes.refs", permission="remotes:read", route="GET /remotes/{name}/refs", long=True)
def refs(session: Session, name: Name, dataset: str = "") -> list[Ref]:
    """The branches and tags that a remote holds of this project (of one dataset, if named), and where they point."""
    with session.begin(write=False) as unit:
        remote = remote_of(unit, name)
    kept = refs_of(session.ports.get(Places).blobs(remote.url), remote.refs, session.random)
    return kept.below(f"{session.project}/{dataset}/" if dataset else f"{session.project}/")


@usecase("remotes.push", permission="remotes:write", route="POST /remotes/{name}/pushes", long=True)
def push(session: Session, name: Name, dataset: Name, branch: Name = MAIN) -> Push:
    """Bring what a remote lacks of a branch or tag there, then point its ref to it. Interrupted, it continues.

    Raises:
        Conflict: the remote's branch is not what ours was made from: pull, merge, and push again.
    """
    return pushing.push(session, name, dataset, branch, session.ports.get(Progress))


@usecase("remotes.pull", permission="remotes:write", route="POST /remotes/{name}/pulls", long=True)
def pull(session: Session, name: Name, dataset: Name, branch: Name = MAIN, below: str = "") -> Pull:
    """Bring a branch or tag of a remote here as versions, or only the files below a path. Interrupted, it continues.

    Where the branch here has gone another way it stays, and the remote's stands beside it as `remote.branch`, to be
    merged. The files below a path become a version of their own on a branch of their own.
    """
    progress = session.ports.get(Progress)
    if below:
        return pulling.pull_part(session, name, dataset, branch, below, progress)
    return pulling.pull(session, name, dataset, branch, progress)


@usecase("datasets.import_url", permission="datasets:import", route="POST /datasets/{name}/imports", long=True)
def import_url(session: Session, name: Name, url: str, note: str = "") -> Snapshot:
    """Commit the files under a URL without downloading them: each by its size and ETag (or when it was modified).

    `url` is https://host/file, s3://bucket/prefix, gs://…, az://… or file:///folder. A server reaches only public
    addresses, unless its owner set EVERLOOP_PRIVATE_SOURCES=true.
    """
    return importing.import_url(session, name, url, note)


@usecase("datasets.verify_import", permission="datasets:import", route="GET /datasets/{name}/imports", long=True)
def verify_import(session: Session, name: Name, at: At = "") -> ImportCheck:
    """Whether the files that a version refers to are still what they were, and which are changed, missing or new."""
    return importing.verify(session, name, str(at))


@usecase("datasets.materialize", permission="datasets:import", route="POST /datasets/{name}/downloads", long=True)
def materialize(session: Session, name: Name, at: At = "", note: str = "") -> Snapshot:
    """Download what a version refers to, and commit the bytes as the next version; what has changed is refused."""
    return importing.materialize(session, name, str(at), note, session.ports.get(Progress))


@usecase("remotes.gc", permission="remotes:manage", route="POST /remotes/{name}/gc", long=True)
def gc(session: Session, name: Name, dry_run: bool = True, grace: str = "7d") -> SweepReport:
    """Free what no branch and no tag of any project at a remote leads to, or tell how much that is; see `store.gc`.

    `grace` spares what was pushed so lately that a ref may be about to point to it. Use it only for places that are
    nobody's own store: what a catalog elsewhere refers to is not known here.

    Raises:
        Refused: it is this platform's own store.
    """
    with session.begin(write=False) as unit:
        place = session.ports.get(Places).store(remote_of(unit, name).url)
    if _is_ours(session, place):
        raise Refused(
            f"Remote {name!r} is the store of this platform itself: it holds what no ref leads to.",
            hint="everloop store gc keeps what the catalog refers to.",
        )
    sweep = place.planned_sweep(roots_at(place), duration(grace), session.ports.get(Progress))
    return sweep.report() if dry_run else sweep.carry_out()


def _is_ours(session: Session, place: Store) -> bool:
    """Whether a place is our own store, however its URL is written: what is put in the one shows up in the other."""
    key = f"marks/{session.new_id()}"
    session.store.blobs.put(key, b"")
    try:
        return place.blobs.has(key)
    finally:
        session.store.blobs.delete(key)
