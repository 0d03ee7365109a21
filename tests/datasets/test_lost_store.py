"""A store that lost its bytes gets them back from whoever commits the same content again."""

from __future__ import annotations

import shutil
from collections.abc import Callable

import pyarrow as pa
import pytest

from everloop.catalog.session import Session
from everloop.datasets.content import commit_table, write_table
from everloop.datasets.entities import Change, Snapshot
from everloop.datasets.history.commits import read_commit
from everloop.datasets.parquet import read

SMALL = pa.table({"n": [1, 2, 3]})
LARGE = pa.table({"n": [n * 7_919 % 1_000_003 for n in range(200_000)]})
Writer = Callable[[Session, pa.Table], Snapshot]


def written(session: Session, table: pa.Table) -> Snapshot:
    return write_table(session, "t", table)


def committed(session: Session, table: pa.Table) -> Snapshot:
    return commit_table(session, "t", table, Change())


@pytest.mark.parametrize("what", ["", "packs", "objects"])
@pytest.mark.parametrize("table", [SMALL, LARGE], ids=["small", "large"])
@pytest.mark.parametrize("write", [written, committed])
def test_a_twin_is_put_again(session: Session, write: Writer, table: pa.Table, what: str) -> None:
    first = write(session, table)
    lose(session, what)
    assert write(session, table) == first
    assert read(session.store, first.digest).equals(table)
    assert read_commit(session.store, first.commit).digest == first.digest


def lose(session: Session, what: str) -> None:
    """Remove something below the store's folder, or all of it."""
    place = session.store.blobs.local
    assert place is not None
    for inner in [place / what] if what else [*place.iterdir()]:
        shutil.rmtree(inner, ignore_errors=True)
    (place / "staging").mkdir(exist_ok=True)
    session.store.objects.index.close()
