"""What every place for blobs promises."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from everloop.app import backends
from everloop.backends.blobs.folder import FolderBlobs
from everloop.kernel.errors import Conflict, InvalidInput, Misconfigured, NotFound, Unavailable
from everloop.store.blobs import GRACE, Blobs, Range
from everloop.store.service import Store
from tests.servers import free_port


def opened(url: str) -> Blobs:
    found: Blobs = backends.load("blobs", urlsplit(url).scheme)(url)
    return found


@pytest.fixture
def blobs(blobs_url: str) -> Blobs:
    return opened(blobs_url)


class TestBlobs:
    def test_what_is_put_can_be_had_back(self, blobs: Blobs) -> None:
        blobs.put("objects/aa/one", b"some bytes")
        assert blobs.get("objects/aa/one") == b"some bytes"
        assert blobs.has("objects/aa/one")

    def test_nothing_at_all_can_be_kept(self, blobs: Blobs) -> None:
        blobs.put("objects/aa/empty", b"")
        assert blobs.get("objects/aa/empty") == b""

    def test_a_megabyte_comes_back_bit_for_bit(self, blobs: Blobs) -> None:
        data = os.urandom(1 << 20)
        blobs.put("objects/aa/large", data)
        assert blobs.get("objects/aa/large") == data

    def test_what_is_put_is_there_for_others(self, blobs: Blobs, blobs_url: str) -> None:
        blobs.put("objects/aa/one", b"some bytes")
        assert opened(blobs_url).get("objects/aa/one") == b"some bytes"

    def test_putting_again_is_harmless(self, blobs: Blobs) -> None:
        blobs.put("objects/aa/one", b"same")
        blobs.put("objects/aa/one", b"same")
        assert [blob.key for blob in blobs.keys("")] == ["objects/aa/one"]

    def test_what_is_not_there_is_not_found(self, blobs: Blobs) -> None:
        with pytest.raises(NotFound, match="objects/aa/none"):
            blobs.get("objects/aa/none")
        assert not blobs.has("objects/aa/none")
        assert not blobs.touch("objects/aa/none")

    def test_what_is_deleted_is_gone(self, blobs: Blobs) -> None:
        blobs.put("objects/aa/one", b"x")
        blobs.delete("objects/aa/one")
        assert not blobs.has("objects/aa/one")

    def test_deleting_what_is_not_there_is_harmless(self, blobs: Blobs) -> None:
        blobs.delete("objects/aa/none")

    def test_many_are_kept_at_once(self, blobs: Blobs) -> None:
        items = [(f"objects/{n % 7:02}/{n}", b"%d" % n) for n in range(150)]
        blobs.put_all(iter(items))
        assert sorted(blob.key for blob in blobs.keys("")) == sorted(key for key, _ in items)

    def test_many_are_fetched_in_the_order_that_was_asked_for(self, blobs: Blobs) -> None:
        keys = [f"objects/aa/{n}" for n in range(100)]
        blobs.put_all((key, key.encode()) for key in keys)
        assert list(blobs.get_all(reversed(keys))) == [key.encode() for key in reversed(keys)]

    def test_fetching_many_finds_out_that_one_is_missing(self, blobs: Blobs) -> None:
        blobs.put("objects/aa/one", b"x")
        with pytest.raises(NotFound):
            list(blobs.get_all(["objects/aa/one", "objects/aa/two"]))

    def test_an_error_while_many_are_made_reaches_the_caller(self, blobs: Blobs) -> None:
        with pytest.raises(InvalidInput):
            blobs.put_all([("objects/aa/one", b"x"), ("../escape", b"y")])

    def test_keys_below_a_prefix_are_listed_once_with_their_sizes(self, blobs: Blobs) -> None:
        for key in ("objects/aa/one", "objects/ab/two", "manifests/aa/one"):
            blobs.put(key, key.encode())
        assert sorted((blob.key, blob.size) for blob in blobs.keys("objects/a")) == [
            ("objects/aa/one", 14),
            ("objects/ab/two", 14),
        ]
        assert len(list(blobs.keys(""))) == 3
        assert list(blobs.keys("nowhere/")) == []

    def test_keys_say_when_they_were_written(self, blobs: Blobs) -> None:
        blobs.put("objects/aa/one", b"x")
        (blob,) = blobs.keys("objects/aa/one")
        assert abs(blob.modified - datetime.now(UTC)) < timedelta(minutes=1)

    def test_what_was_just_written_counts_as_young(self, blobs: Blobs) -> None:
        blobs.put("objects/aa/one", b"x")
        assert blobs.touch("objects/aa/one")

    @pytest.mark.parametrize(("start", "length"), [(0, 3), (3, 4), (9, 1), (0, 10), (7, 100)])
    def test_a_stretch_is_had_without_the_rest(self, blobs: Blobs, start: int, length: int) -> None:
        blobs.put("packs/aa/one", b"0123456789")
        assert blobs.get_range("packs/aa/one", start, length) == b"0123456789"[start : start + length]

    def test_many_stretches_come_in_the_order_that_was_asked_for(self, blobs: Blobs) -> None:
        for name in ("one", "two"):
            blobs.put(f"packs/aa/{name}", name.encode() * 100)
        wanted = [Range(f"packs/aa/{name}", 3 * n, 3) for n in (5, 0, 99) for name in ("two", "one", "one")]
        assert list(blobs.get_ranges(wanted)) == [b"two", b"one", b"one"] * 3

    def test_a_stretch_of_nothing_is_not_found(self, blobs: Blobs) -> None:
        with pytest.raises(NotFound):
            blobs.get_range("packs/aa/none", 0, 1)
        with pytest.raises(NotFound):
            list(blobs.get_ranges([Range("packs/aa/none", 0, 1)]))

    def test_a_key_that_changes_is_made_once(self, blobs: Blobs) -> None:
        tag = blobs.swap("refs/main/flights", b"one", None)
        assert blobs.read_tagged("refs/main/flights") == (b"one", tag)
        with pytest.raises(Conflict, match="refs/main/flights"):
            blobs.swap("refs/main/flights", b"two", None)

    def test_a_key_that_changes_is_only_changed_by_who_knows_it(self, blobs: Blobs) -> None:
        first = blobs.swap("refs/main/flights", b"one", None)
        second = blobs.swap("refs/main/flights", b"two", first)
        with pytest.raises(Conflict):
            blobs.swap("refs/main/flights", b"three", first)
        assert blobs.read_tagged("refs/main/flights") == (b"two", second)

    def test_a_key_that_is_gone_cannot_be_changed(self, blobs: Blobs) -> None:
        tag = blobs.swap("refs/main/flights", b"one", None)
        blobs.delete("refs/main/flights")
        with pytest.raises(NotFound):
            blobs.read_tagged("refs/main/flights")
        with pytest.raises(Conflict):
            blobs.swap("refs/main/flights", b"two", tag)

    def test_of_several_that_swap_at_once_one_wins(self, blobs: Blobs, blobs_url: str) -> None:
        tag = blobs.swap("refs/main/flights", b"before", None)
        places = [opened(blobs_url) for _ in range(4)]

        def attempt(number: int) -> int:
            try:
                places[number].swap("refs/main/flights", b"%d" % number, tag)
            except Conflict:
                return 0
            return 1

        with ThreadPoolExecutor(4) as pool:
            assert sum(pool.map(attempt, range(4))) == 1

    @pytest.mark.parametrize(
        "key", ["", "one", "/etc/passwd", "../one/two", "objects/../../one", "objects//one", "objects/aa/", "a/.hidden"]
    )
    def test_a_key_that_could_leave_the_place_is_refused(self, blobs: Blobs, key: str) -> None:
        for attempt in (blobs.get, blobs.has, blobs.touch, blobs.delete, lambda key: blobs.put(key, b"x")):
            with pytest.raises(InvalidInput, match="not a key"):
                attempt(key)

    def test_readers_never_see_half_an_object(self, blobs: Blobs) -> None:
        whole = os.urandom(1 << 20)
        writer = threading.Thread(target=lambda: [blobs.put(f"objects/aa/{n}", whole) for n in range(10)])
        writer.start()
        seen = []
        while writer.is_alive():
            seen += [blobs.get(blob.key) for blob in blobs.keys("objects/") if blob.size]
        writer.join()
        assert all(data == whole for data in seen)

    def test_a_store_works_over_it(self, blobs: Blobs) -> None:
        store, data = Store(blobs), os.urandom(3 << 20)
        digest = store.put(data)
        assert store.get(digest) == data
        assert store.sweep([digest], dry_run=False, grace=timedelta(0)).removed == 0
        assert store.sweep([], dry_run=False, grace=timedelta(0)).removed > 1
        assert not store.has(digest)


def test_a_folder_keeps_its_age_until_it_is_touched(tmp_path: Path) -> None:
    blobs = FolderBlobs(tmp_path)
    blobs.put("objects/aa/one", b"x")
    os.utime(tmp_path / "objects/aa/one", (0, 0))
    (before,) = blobs.keys("objects/")
    assert blobs.touch("objects/aa/one")
    (after,) = blobs.keys("objects/")
    assert before.modified.year == 1970
    assert after.modified - before.modified > GRACE


def test_caches_beside_the_bytes_are_never_listed(tmp_path: Path) -> None:
    blobs = FolderBlobs(tmp_path)
    blobs.swap("refs/main/flights", b"x", None)
    (tmp_path / ".index").mkdir()
    (tmp_path / ".index" / "packs.db").write_bytes(b"cache")
    assert [blob.key for blob in blobs.keys("")] == ["refs/main/flights"]
    assert blobs.local == tmp_path


def test_a_writer_killed_midway_leaves_nothing_under_the_key(tmp_path: Path) -> None:
    script = (
        "import os, sys; from pathlib import Path; from everloop.backends.blobs import folder\n"
        "folder.os.fdatasync = lambda handle: os.kill(os.getpid(), 9)\n"
        "folder.FolderBlobs(Path(sys.argv[1])).put('objects/aa/one', b'x' * 100_000)"
    )
    assert subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=False).returncode == -9
    blobs = FolderBlobs(tmp_path)
    assert not blobs.has("objects/aa/one")
    (left,) = blobs.keys("")
    assert left.key.startswith("staging/")
    assert Store(blobs).sweep([], dry_run=False, grace=timedelta(0)).freed_bytes == 100_000


def test_a_full_disk_is_said_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_handle: int) -> None:
        raise OSError(28, "No space left on device")

    blobs = FolderBlobs(tmp_path)
    monkeypatch.setattr(os, "fdatasync", full)
    with pytest.raises(Unavailable, match="No space left"):
        blobs.put("objects/aa/one", b"x")
    assert list(blobs.keys("")) == []


def test_a_folder_that_cannot_be_made_is_said_with_its_setting(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(Misconfigured, match="EVERLOOP_STORE_URL"):
        opened((tmp_path / "file" / "store").as_uri())


@pytest.mark.parametrize(
    "url",
    [
        "s3://",
        "s3:///prefix",
        "s3://key:secret@bucket/prefix",
        "s3://:secret@bucket",
        "s3://bucket/p?secret_access_key=abc",
    ],
)
def test_a_wrong_url_is_refused_without_showing_what_may_be_a_secret(url: str) -> None:
    with pytest.raises(Misconfigured) as caught:
        opened(url)
    assert "secret" not in caught.value.message.replace("a key or an option", "")


@pytest.mark.slow
def test_a_missing_bucket_is_a_matter_of_configuration(s3_endpoint: str, s3_url: str) -> None:
    blobs = opened(f"s3://nobodys-bucket/p?endpoint={s3_endpoint}&region=us-east-1")
    with pytest.raises(Misconfigured, match="s3://nobodys-bucket/p"):
        blobs.put("objects/aa/one", b"x")


@pytest.mark.slow
def test_a_server_that_does_not_answer_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hush")
    blobs = opened(f"s3://bucket/p?endpoint=http://127.0.0.1:{free_port()}&region=us-east-1")
    with pytest.raises(Unavailable, match="s3://bucket/p") as caught:
        blobs.get("objects/aa/one")
    assert "hush" not in str(caught.value)
