"""The index is a cache: shared by processes, forked with them, and only ever as good as the packs' footers."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from everloop.backends.blobs.folder import FolderBlobs
from everloop.kernel.errors import Unavailable
from everloop.store.index import Index, PackInfo
from everloop.store.packs import Row
from everloop.store.service import Store, digest_of

ONE = PackInfo(b"1" * 32, 100, False)
OTHER = PackInfo(b"2" * 32, 200, True)


def rows(*numbers: int) -> list[Row]:
    return [Row(number.to_bytes(32, "big"), number * 10, 10, 10, 0, 0) for number in numbers]


@pytest.fixture
def index(tmp_path: Path) -> Index:
    return Index(tmp_path / "index.db")


def test_objects_are_found_where_their_pack_says(index: Index) -> None:
    index.add(ONE, rows(1, 2))
    index.add(OTHER, rows(3))
    places = index.find({row.digest for row in rows(1, 3, 4)})
    assert {place.digest: (place.offset, place.pack) for place in places.values()} == {
        rows(1)[0].digest: (10, ONE),
        rows(3)[0].digest: (30, OTHER),
    }


def test_more_than_one_query_takes_are_found(index: Index) -> None:
    many = rows(*range(5_000))
    index.add(ONE, many)
    assert index.known([row.digest for row in rows(*range(4_000, 8_000))]) == {row.digest for row in many[4_000:]}


def test_learning_a_pack_again_changes_nothing(index: Index) -> None:
    for _ in range(2):
        index.add(ONE, rows(1, 2))
    assert index.totals() == (2, 100)


def test_what_was_forgotten_is_not_found_and_what_another_pack_has_is(index: Index) -> None:
    index.add(ONE, rows(1, 2))
    index.add(OTHER, rows(2, 3))
    index.forget([ONE.name])
    assert index.digests() == {row.digest for row in rows(2, 3)}
    index.tidy()
    assert index.place(rows(2)[0].digest) is not None
    assert index.place(rows(1)[0].digest) is None


def test_what_another_connection_learns_and_forgets_is_seen(index: Index, tmp_path: Path) -> None:
    other = Index(tmp_path / "index.db")
    assert index.packs() == {}
    other.add(ONE, rows(1))
    assert index.known([rows(1)[0].digest]) != set()
    other.forget([ONE.name])
    assert index.known([rows(1)[0].digest]) == set()


def test_without_a_place_it_lives_in_memory() -> None:
    index = Index(None)
    index.add(ONE, rows(1))
    assert index.packs() == {ONE.name: ONE}
    index.clear()
    assert index.packs() == {}


def test_threads_share_it(index: Index) -> None:
    def learn(number: int) -> None:
        index.add(PackInfo(bytes([number]) * 32, 1, False), rows(number))
        assert index.place(rows(number)[0].digest) is not None

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(learn, range(40)))
    assert index.totals() == (40, 40)


def test_a_forked_process_asks_by_itself(index: Index) -> None:
    index.add(ONE, rows(1))
    child = os.fork()
    if child == 0:
        index.add(OTHER, rows(2))
        os._exit(0 if len(index.packs()) == 2 else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert len(index.packs()) == 2


def test_an_index_of_another_version_is_made_anew(index: Index, tmp_path: Path) -> None:
    index.add(ONE, rows(1))
    index._opened().execute("PRAGMA user_version = 99")
    index.close()
    assert Index(tmp_path / "index.db").packs() == {}


def test_bytes_that_are_no_database_are_thrown_away(tmp_path: Path) -> None:
    (tmp_path / "index.db").write_bytes(b"no database" * 1_000)
    index = Index(tmp_path / "index.db")
    index.add(ONE, rows(1))
    assert index.totals() == (1, 100)


def test_an_index_that_cannot_be_opened_is_said(tmp_path: Path) -> None:
    (tmp_path / "index.db").mkdir()
    with pytest.raises(Unavailable, match="it is a cache"):
        Index(tmp_path / "index.db").packs()


@pytest.mark.slow
def test_processes_add_at_the_same_time(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from everloop.backends.blobs.folder import FolderBlobs\n"
        "from everloop.store.service import Store\n"
        "for n in range(10):\n"
        "    with Store(FolderBlobs(Path(sys.argv[1]))).bulk() as bulk:\n"
        "        [bulk.put(b'%d of everybody' % m) for m in range(n * 10)]\n"
        "        bulk.put(sys.argv[2].encode() + b'%d' % n)\n"
    )
    store = tmp_path / "store"
    running = [subprocess.Popen([sys.executable, "-c", script, str(store), name]) for name in ("a", "b", "c")]
    assert [process.wait() for process in running] == [0, 0, 0]
    opened = Store(FolderBlobs(store))
    assert all(opened.has(digest_of(f"{name}{n}".encode())) for name in "abc" for n in range(10))
    assert opened.verify() == []
