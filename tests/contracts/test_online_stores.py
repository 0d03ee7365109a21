"""The contract of online stores, kept by every backend."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from everloop.backends.online_stores import lmdb, redis
from everloop.features.onlinestore import OnlineStore
from everloop.kernel.errors import InvalidInput, Misconfigured, Unavailable
from tests.examples import examples

Opener = Callable[[], OnlineStore]
BACKENDS = ["lmdb", pytest.param("redis", marks=pytest.mark.slow)]
_FORK = multiprocessing.get_context("fork")
_SPAWN = multiprocessing.get_context("spawn")


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Redis of our own on a free port, stopped at the end."""
    program = shutil.which("redis-server")
    if program is None:
        pytest.skip("redis-server is not installed: apt-get install redis-server")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    folder = tmp_path_factory.mktemp("redis")
    command = [program, "--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder), "--save", ""]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as server:
        url = f"redis://127.0.0.1:{port}/0"
        _wait_for(url)
        yield url
        server.terminate()


def _wait_for(url: str) -> None:
    for _ in range(200):
        try:
            redis.open_online_store(url).read("t", [b"k"])
            return
        except Unavailable:
            time.sleep(0.05)
    pytest.fail(f"no Redis answered at {url}")


@pytest.fixture(params=BACKENDS)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where an empty store is kept."""
    if request.param == "lmdb":
        return f"lmdb://{tmp_path / 'on line'}"
    found: str = request.getfixturevalue("redis_url")
    redis.redis.Redis.from_url(found).flushall()
    return found


def open_store(url: str) -> OnlineStore:
    """The store at a URL."""
    return lmdb.open_online_store(url) if url.startswith("lmdb") else redis.open_online_store(url)


@pytest.fixture
def store(url: str) -> Iterator[OnlineStore]:
    """An empty store."""
    opened = open_store(url)
    yield opened
    opened.close()


def _write_batches(url: str, count: int) -> None:
    writer = open_store(url)
    for number in range(count):
        writer.write("t", [(b"%d" % key, b"%d" % number) for key in range(50)])


def _write_one(url: str, key: bytes, value: bytes) -> None:
    open_store(url).write("t", [(key, value)])


def _write_much(url: str) -> None:
    open_store(url).write("t", [(b"%d" % at, bytes(1 << 20)) for at in range(80)])


def _use_inherited(inherited: OnlineStore) -> None:
    ok = inherited.read("t", [b"parent"]) == [b"1"]
    inherited.write("t", [(b"child", b"2")])
    os._exit(0 if ok else 1)


class TestOnlineStore:
    """What every online store does."""

    def test_what_was_written_is_read_in_the_order_asked(self, store: OnlineStore) -> None:
        store.write("t", [(b"a", b"1"), (b"b", b"2")])
        assert store.read("t", [b"b", b"x", b"a", b"b"]) == [b"2", None, b"1", b"2"]

    def test_the_last_of_two_writes_stays(self, store: OnlineStore) -> None:
        store.write("t", [(b"a", b"1"), (b"a", b"2")])
        assert store.read("t", [b"a"]) == [b"2"]
        store.write("t", [(b"a", b"3")])
        assert store.read("t", [b"a"]) == [b"3"]

    def test_nothing_is_written_and_read_without_fuss(self, store: OnlineStore) -> None:
        store.write("t", [])
        assert store.read("t", []) == []
        assert store.read("never written", [b"a"]) == [None]

    def test_tables_are_apart(self, store: OnlineStore) -> None:
        store.write("one", [(b"a", b"1")])
        store.write("two", [(b"a", b"2")])
        store.clear("one")
        assert (store.read("one", [b"a"]), store.read("two", [b"a"])) == ([None], [b"2"])

    def test_a_cleared_table_can_be_filled_again(self, store: OnlineStore) -> None:
        store.write("t", [(b"%d" % at, b"x") for at in range(500)])
        store.clear("t")
        store.clear("t")
        assert store.read("t", [b"%d" % at for at in range(500)]) == [None] * 500
        store.write("t", [(b"1", b"y")])
        assert store.read("t", [b"1"]) == [b"y"]

    @settings(max_examples=examples(30), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(st.dictionaries(st.binary(min_size=1, max_size=1200), st.binary(max_size=300), max_size=12))
    def test_keys_and_values_are_any_bytes(self, store: OnlineStore, items: dict[bytes, bytes]) -> None:
        store.write("t", list(items.items()))
        assert store.read("t", list(items)) == list(items.values())

    def test_an_empty_key_is_refused_and_nothing_is_written(self, store: OnlineStore) -> None:
        with pytest.raises(InvalidInput, match="key of the online store is empty"):
            store.write("t", [(b"a", b"1"), (b"", b"2")])
        assert store.read("t", [b"a"]) == [None]

    def test_a_large_batch_is_one_batch(self, store: OnlineStore) -> None:
        store.write("t", [(b"%d" % at, b"v%d" % at) for at in range(25_000)])
        assert store.read("t", [b"0", b"24999"]) == [b"v0", b"v24999"]

    def test_it_grows(self, store: OnlineStore) -> None:
        for at in range(80):
            store.write("t", [(b"%d" % at, bytes([at]) * (1 << 20))])
        assert store.read("t", [b"79"]) == [bytes([79]) * (1 << 20)]

    def test_a_closed_store_opens_again(self, store: OnlineStore) -> None:
        store.write("t", [(b"a", b"1")])
        store.close()
        store.close()
        assert store.read("t", [b"a"]) == [b"1"]

    def test_two_in_one_process_share_what_they_keep(self, store: OnlineStore, url: str) -> None:
        other = open_store(url)
        store.write("t", [(b"a", b"1")])
        assert other.read("t", [b"a"]) == [b"1"]
        other.close()
        assert store.read("t", [b"a"]) == [b"1"]

    @pytest.mark.slow
    def test_another_process_reads_what_is_written_at_once(self, store: OnlineStore, url: str) -> None:
        assert store.read("t", [b"a"]) == [None]
        child = _SPAWN.Process(target=_write_one, args=(url, b"a", b"1"))
        child.start()
        child.join()
        assert store.read("t", [b"a"]) == [b"1"]

    @pytest.mark.slow
    def test_a_reader_follows_when_another_process_makes_it_larger(self, store: OnlineStore, url: str) -> None:
        store.write("t", [(b"a", b"1")])
        child = _SPAWN.Process(target=_write_much, args=(url,))
        child.start()
        child.join()
        assert store.read("t", [b"a", b"79"]) == [b"1", bytes(1 << 20)]
        store.write("t", [(b"b", b"2")])
        assert store.read("t", [b"b"]) == [b"2"]

    def test_one_that_was_open_before_a_fork_works_on_both_sides(self, store: OnlineStore) -> None:
        store.write("t", [(b"parent", b"1")])
        child = _FORK.Process(target=_use_inherited, args=(store,))
        child.start()
        child.join(20)
        assert child.exitcode == 0
        assert store.read("t", [b"parent", b"child"]) == [b"1", b"2"]
        store.write("t", [(b"parent", b"3")])
        assert store.read("t", [b"parent"]) == [b"3"]

    @pytest.mark.slow
    def test_a_reader_never_sees_half_a_batch_nor_does_a_killed_writer_leave_one(
        self, store: OnlineStore, url: str
    ) -> None:
        writer = _SPAWN.Process(target=_write_batches, args=(url, 1_000_000))
        writer.start()
        keys = [b"%d" % key for key in range(50)]
        seen: set[bytes | None] = set()
        while len(seen) < 50:
            found = set(store.read("t", keys))
            assert len(found) == 1
            seen |= found
        os.kill(writer.pid or 0, signal.SIGKILL)
        writer.join()
        assert len(set(store.read("t", keys))) == 1
        store.write("t", [(b"0", b"after")])
        assert store.read("t", [b"0"]) == [b"after"]


@pytest.mark.slow
def test_lmdb_can_be_forked_while_other_threads_read(tmp_path: Path) -> None:
    store = lmdb.open_online_store(str(tmp_path / "online"))
    store.write("t", [(b"parent", b"1")])
    stop = threading.Event()

    def read_on() -> bool:
        seen = True
        while not stop.is_set():
            seen = seen and store.read("t", [b"parent"]) == [b"1"]
        return seen

    with ThreadPoolExecutor(2) as pool:
        readers = [pool.submit(read_on) for _ in range(2)]
        for _ in range(10):
            child = _FORK.Process(target=_use_inherited, args=(store,))
            child.start()
            child.join(20)
            assert child.exitcode == 0
        stop.set()
        assert all(reader.result() for reader in readers)
    assert store.read("t", [b"child"]) == [b"2"]
    store.close()


def test_an_lmdb_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    blocked = lmdb.open_online_store(str(tmp_path / "file" / "online"))
    with pytest.raises(Misconfigured, match="EVERLOOP_ONLINE_STORE_URL"):
        blocked.read("t", [b"a"])


def test_opening_an_lmdb_store_touches_nothing_until_it_is_used(tmp_path: Path) -> None:
    lmdb.open_online_store(f"lmdb://{tmp_path / 'online'}").close()
    assert not (tmp_path / "online").exists()


def test_a_redis_that_does_not_answer_is_unavailable() -> None:
    with pytest.raises(Unavailable, match="online store did not answer"):
        redis.open_online_store("redis://127.0.0.1:1/0").read("t", [b"a"])
