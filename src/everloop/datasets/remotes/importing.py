"""Import without download: a version whose files are references, later checked against their source or fetched."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby, islice
from pathlib import Path

from everloop.catalog.session import Session
from everloop.datasets.content import commit_content, require_files, snapshot_at, urn_of
from everloop.datasets.entities import Change, Content, Snapshot
from everloop.datasets.remotes.entities import ImportCheck
from everloop.datasets.remotes.reach import Reach, shown, without_secrets
from everloop.datasets.remotes.sources import Reference, Source, Sources, decoded, encoded, same
from everloop.kernel.errors import Corrupted, NotFound
from everloop.kernel.progress import Progress
from everloop.store.chunks import WHOLE
from everloop.store.entities import Digest, TreeEntry

_NAMED = 1000
_AT_ONCE = 8
Fetched = tuple[str, bytes | Path]


def import_url(session: Session, name: str, url: str, note: str) -> Snapshot:
    """Commit what lies under a URL, by reference: nothing of it is downloaded."""
    size, entries = 0, []
    with session.store.bulk() as bulk:
        for reference in _source(session, without_secrets(url)).listed():
            data = encoded(reference)
            entries.append(TreeEntry(reference.path, bulk.put(data), len(data)))
            size += reference.size
    root = session.store.put_tree(entries)
    content = Content("files", root, size, files=len(entries))
    return commit_content(session, name, content, Change(note or f"Imported from {shown(url)}, by reference"))


def verify(session: Session, name: str, at: str) -> ImportCheck:
    """Compare a version's references with what their sources tell now."""
    snapshot = require_files(snapshot_at(session, name, at))
    known = _references(session, snapshot.digest)
    now = {
        (origin, found.path): found
        for origin in {reference.origin for reference in known.values()}
        for found in _listed(session, origin)
    }
    missing = [path for path, each in known.items() if (each.origin, each.path) not in now]
    changed = [
        path
        for path, each in known.items()
        if (found := now.get((each.origin, each.path))) is not None and not same(each, found)
    ]
    there = {(each.origin, each.path) for each in known.values()}
    added = sorted(path for origin, path in now if (origin, path) not in there)
    return ImportCheck(
        dataset=name,
        version=snapshot.version,
        files=len(known),
        changed=tuple(sorted(changed)[:_NAMED]),
        missing=tuple(sorted(missing)[:_NAMED]),
        added=tuple(added[:_NAMED]),
        passed=not changed and not missing,
    )


def materialize(session: Session, name: str, at: str, note: str, progress: Progress) -> Snapshot:
    """Fetch the bytes that a version's references stand for, and commit them as the next version.

    What an interrupted attempt has fetched is in the store, and is fetched again: sources give no digests.
    """
    snapshot = require_files(snapshot_at(session, name, at))
    known = _references(session, snapshot.digest)
    total, done, entries = sum(each.size for each in known.values()), 0, []
    with session.store.bulk() as bulk, tempfile.TemporaryDirectory(dir=session.home) as folder:
        for path, fetched in _fetch(session, known, Path(folder)):
            digest = bulk.put(fetched) if isinstance(fetched, bytes) else bulk.put_file(fetched)
            if isinstance(fetched, Path):
                fetched.unlink()
            entries.append(TreeEntry(path, digest, known[path].size))
            done += known[path].size
            progress.advance(done, total, "fetched", "bytes")
    root = session.store.put_tree(entries)
    content = Content("files", root, total, files=len(entries))
    change = Change(note or f"The bytes of version {snapshot.version}", (urn_of(session, snapshot),))
    return commit_content(session, name, content, change)


def _source(session: Session, url: str) -> Source:
    return session.ports.get(Sources).open(url, session.ports.get(Reach))


def _listed(session: Session, origin: str) -> Iterator[Reference]:
    """What is there now; nothing when all of it is gone."""
    try:
        yield from _source(session, origin).listed()
    except NotFound:
        return


def _references(session: Session, root: Digest) -> dict[str, Reference]:
    """The references of a tree, by path."""
    entries = session.store.tree(root)
    by_digest = dict(session.store.get_many({entry.digest for entry in entries}))
    return {entry.path: decoded(by_digest[entry.digest], entry.path) for entry in entries}


def _fetch(session: Session, known: dict[str, Reference], folder: Path) -> Iterator[Fetched]:
    """The bytes of references, some at a time: small ones in memory, large ones in files."""
    by_origin = sorted(known.items(), key=lambda item: item[1].origin)
    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="fetch") as pool:
        for origin, group in groupby(by_origin, lambda item: item[1].origin):
            source = _source(session, origin)
            numbered = enumerate(group)
            while some := list(islice(numbered, 2 * _AT_ONCE)):
                jobs = [(source, path, each, folder / f"{number}") for number, (path, each) in some]
                yield from pool.map(lambda job: _read(*job), jobs)


def _read(source: Source, path: str, reference: Reference, spare: Path) -> Fetched:
    parts = source.read(reference)
    if reference.size <= WHOLE:
        return path, b"".join(_up_to(parts, reference))
    with spare.open("wb") as file:
        for part in _up_to(parts, reference):
            file.write(part)
    return path, spare


def _up_to(parts: Iterable[bytes], reference: Reference) -> Iterator[bytes]:
    """The parts, as long as they are no more than was said."""
    size = 0
    for part in parts:
        size += len(part)
        if size > reference.size:
            break
        yield part
    _require_size(reference, size)


def _require_size(reference: Reference, size: int) -> None:
    if size != reference.size:
        raise Corrupted(
            f"{reference.path} of {shown(reference.origin)} has other than the {reference.size} bytes that it had.",
            hint="Import it again.",
        )
