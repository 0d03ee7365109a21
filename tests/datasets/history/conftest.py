"""A dataset of files and one of rows, and short words for what is done to them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pyarrow as pa
import pytest

from everloop.app.platform import Platform
from everloop.catalog.session import Session
from everloop.datasets.content import commit_table, commit_tree
from everloop.datasets.entities import Change, Snapshot
from everloop.store.entities import Digest, TreeEntry

Files = Mapping[str, str]
CommitFiles = Callable[..., Snapshot]
CommitRows = Callable[..., Snapshot]


def put_files(session: Session, files: Files) -> Digest:
    """A tree of texts by path; a path that ends in / is an empty folder."""
    entries = []
    for path, text in files.items():
        if path.endswith("/"):
            entries.append(TreeEntry(path.rstrip("/"), session.store.put_tree([]), 0, "folder"))
        else:
            entries.append(TreeEntry(path, session.store.put(text.encode()), len(text)))
    return session.store.put_tree(entries)


def read_files(session: Session, digest: Digest) -> dict[str, str]:
    """The texts of a tree by path."""
    entries = session.store.tree(digest)
    return {
        f"{each.path}/" if each.kind == "folder" else each.path: ""
        if each.kind == "folder"
        else session.store.get(each.digest).decode()
        for each in entries
    }


@pytest.fixture
def session(platform: Platform) -> Session:
    """A session that has not begun, as long use cases are given."""
    return platform.session()


@pytest.fixture
def commit_files(session: Session) -> CommitFiles:
    """Commit texts by path to `files`."""

    def commit(files: Files, branch: str = "main", base: int = 0) -> Snapshot:
        change = Change(branch=branch, base=(base,) if base else ())
        return commit_tree(session, "files", put_files(session, files), change)

    return commit


@pytest.fixture
def commit_rows(session: Session) -> CommitRows:
    """Commit a table with an `id` and an `x` to `rows`."""

    def commit(x: Mapping[int, int], branch: str = "main", base: int = 0) -> Snapshot:
        table = pa.table({"id": pa.array(x.keys(), pa.int64()), "x": pa.array(x.values(), pa.int64())})
        return commit_table(session, "rows", table, Change(branch=branch, base=(base,) if base else ()))

    return commit
