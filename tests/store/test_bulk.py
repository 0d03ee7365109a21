"""Many objects at once: into packs, durable at flush, whatever happens in between."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from random import Random

import pytest

from everloop.backends.blobs.folder import FolderBlobs
from everloop.kernel.errors import Conflict, Corrupted, NotFound, Unavailable
from everloop.store import bulk as bulk_module
from everloop.store import packs
from everloop.store.chunks import WHOLE
from everloop.store.entities import TreeEntry
from everloop.store.objects import raw_digest, raw_of
from everloop.store.service import Store, digest_of

SMALL = [Random(n).randbytes(n * 7) for n in range(300)]
LARGE = Random(1).randbytes(3 * WHOLE + 17)
FROZEN = bytes.fromhex(
    "454c504b310a6f6e6528b52ffd20a05d00002074776f20010099294704d33fb48ab5adff269ae172b29a6913ff04f6f26620"
    "7a7a8e976f2ecd571d4492060000000000000003000000030000000000e94644ccf49f32f7ce16670edbe946a254abec7f54"
    "02c0f137ebe408055acc82090000000000000014000000a00000000100026764cdca2a60144cf44887d513f1808a0a96bf3c"
    "f73223211a5740cfab2b4f64000000454c504b310a"
)
"""A pack of the first day: `one` as it is, and forty times `two ` as a zstd frame."""


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(FolderBlobs(tmp_path / "store"))


def files(tmp_path: Path, kind: str = "") -> list[Path]:
    return [path for path in (tmp_path / "store" / kind).rglob("*") if path.is_file() and ".index" not in path.parts]


def test_what_goes_in_comes_out_of_one_pack(store: Store, tmp_path: Path) -> None:
    with store.bulk() as bulk:
        digests = [bulk.put(data) for data in SMALL]
    assert [store.get(digest) for digest in digests] == SMALL
    assert dict(store.get_many(digests)) == dict(zip(digests, SMALL, strict=True))
    assert len(files(tmp_path)) == 1


def test_nothing_new_writes_no_pack(store: Store, tmp_path: Path) -> None:
    for _ in range(2):
        with store.bulk() as bulk:
            assert [bulk.put(data) for data in SMALL] == list(map(digest_of, SMALL))
    assert len(files(tmp_path, "packs")) == 1


def test_large_objects_come_back_and_share_their_chunks(store: Store, tmp_path: Path) -> None:
    with store.bulk() as bulk:
        first, second = bulk.put(LARGE), bulk.put(LARGE[:WHOLE] + b"edit" + LARGE[WHOLE:])
    assert store.get(first) == LARGE
    assert store.get(second)[WHOLE : WHOLE + 4] == b"edit"
    assert sum(path.stat().st_size for path in files(tmp_path)) < len(LARGE) * 1.2


def test_a_file_is_cut_where_the_same_bytes_in_memory_are(store: Store, tmp_path: Path) -> None:
    data = Random(2).randbytes(20 * WHOLE)
    (tmp_path / "file").write_bytes(data)
    with store.bulk() as bulk:
        digest = bulk.put_file(tmp_path / "file")
    other = Store(FolderBlobs(tmp_path / "other"))
    other.put(data)
    assert other.recipe(digest) == store.recipe(digest)
    assert sorted(other.digests()) == sorted(store.digests())


def test_packs_are_closed_at_their_size(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packs, "TARGET", 10_000)
    with store.bulk() as bulk:
        digests = [bulk.put(data) for data in SMALL]
    assert len(files(tmp_path)) > 10
    assert [store.get(digest) for digest in digests] == SMALL


def test_folders_lie_in_packs_of_their_own(store: Store, tmp_path: Path) -> None:
    with store.bulk() as bulk:
        digest = bulk.put(b"file")
        root = store.put_tree([TreeEntry(f"{n}/a", digest, 4) for n in range(5)], bulk)
    assert len(files(tmp_path, "packs")) == 2
    assert [entry.path for entry in store.tree(root)] == [f"{n}/a" for n in range(5)]


def test_text_is_kept_smaller_and_noise_as_it_is(store: Store, tmp_path: Path) -> None:
    text = b"".join(b"%d,2013-01-01,JFK,LAX\n" % n for n in range(200_000))
    with store.bulk() as bulk:
        digest = bulk.put(text)
    assert store.get(digest) == text
    assert sum(path.stat().st_size for path in files(tmp_path)) < len(text) / 2


def test_a_pack_of_the_first_day_is_read(tmp_path: Path) -> None:
    key = packs.key(bytes.fromhex("026764cdca2a60144cf44887d513f1808a0a96bf3cf73223211a5740cfab2b4f"))
    FolderBlobs(tmp_path / "store").put(key, FROZEN)
    store = Store(FolderBlobs(tmp_path / "store"))
    assert store.get(digest_of(b"one")) == b"one"
    assert store.get(digest_of(b"two " * 40)) == b"two " * 40


def test_another_store_object_sees_what_was_flushed(store: Store, tmp_path: Path) -> None:
    other = Store(FolderBlobs(tmp_path / "store"))
    with store.bulk() as bulk:
        digest = bulk.put(b"flushed")
        assert not other.has(digest)
        bulk.flush()
        assert other.get(digest) == b"flushed"


def test_an_index_that_is_lost_is_made_from_the_packs(store: Store, tmp_path: Path) -> None:
    with store.bulk() as bulk:
        digests = [bulk.put(data) for data in [*SMALL, LARGE]]
    for path in (tmp_path / "store" / ".index").iterdir():
        path.unlink()
    assert [Store(FolderBlobs(tmp_path / "store")).get(digest) for digest in digests] == [*SMALL, LARGE]


def test_an_index_that_is_damaged_is_made_anew(store: Store, tmp_path: Path) -> None:
    with store.bulk() as bulk:
        digest = bulk.put(b"kept")
    store.objects.index.close()
    (tmp_path / "store" / ".index" / "packs.db").write_bytes(b"no database" * 1000)
    assert Store(FolderBlobs(tmp_path / "store")).get(digest) == b"kept"


def test_an_object_that_is_nowhere_is_named(store: Store) -> None:
    with pytest.raises(NotFound, match=digest_of(b"never")):
        list(store.get_many([digest_of(b"never")]))
    assert store.missing([digest_of(b"never"), store.put(b"there")]) == {digest_of(b"never")}


def test_a_bulk_that_fails_leaves_a_store_that_works(store: Store) -> None:
    with pytest.raises(ZeroDivisionError), store.bulk() as bulk:  # noqa: PT012  # The block is what fails.
        bulk.put(b"before")
        raise ZeroDivisionError
    with store.bulk() as bulk:
        digest = bulk.put(b"before")
    assert store.get(digest) == b"before"
    assert store.verify() == []


def test_a_full_disk_is_said_and_leaves_nothing_half_there(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fdatasync", full)
        with pytest.raises(Unavailable, match="No space left"), store.bulk() as bulk:
            bulk.put(b"x" * 1000)
    assert files(tmp_path) == []
    with store.bulk() as bulk:
        bulk.put(b"x" * 1000)
    assert store.verify() == []


def test_a_damaged_object_is_named_with_its_pack_and_the_others_are_had(store: Store, tmp_path: Path) -> None:
    with store.bulk() as bulk:
        digests = [bulk.put(data) for data in SMALL]
    place = store.objects.index.place(bytes.fromhex(digests[200]))
    assert place is not None
    (pack,) = files(tmp_path, "packs")
    damaged = bytearray(pack.read_bytes())
    damaged[place.offset] ^= 1
    pack.write_bytes(damaged)
    with pytest.raises(Corrupted, match=f"{digests[200]} in packs/{pack.parent.name}/{pack.name}"):
        store.get(digests[200])
    assert [damage.digest for damage in store.verify()] == [digests[200]]
    assert store.get(digests[201]) == SMALL[201]


def test_a_pack_that_was_cut_off_is_reported_and_stops_nobody(store: Store, tmp_path: Path) -> None:
    with store.bulk() as bulk:
        lost = bulk.put(b"lost" * 100)
    (pack,) = files(tmp_path, "packs")
    pack.write_bytes(pack.read_bytes()[:50])
    assert store.rebuild_index() == 0
    with pytest.raises(NotFound):
        store.get(lost)
    with store.bulk() as bulk:
        assert store.get(store.put(b"still works")) == b"still works"
        bulk.put(b"this too")
    assert store.has(digest_of(b"this too"))


def test_a_pack_that_another_swept_is_noticed(store: Store, tmp_path: Path) -> None:
    with store.bulk() as bulk:
        gone, kept = bulk.put(b"gone"), store.put(b"loose")
    (pack,) = files(tmp_path, "packs")
    pack.unlink()
    with pytest.raises(NotFound):
        store.get(gone)
    assert dict(store.get_many([kept])) == {kept: b"loose"}
    with store.bulk() as bulk:
        bulk.put(b"gone")
    assert store.get(gone) == b"gone"


def test_what_is_put_again_is_there_again_when_its_pack_was_taken_away(store: Store, tmp_path: Path) -> None:
    with store.bulk() as bulk:
        digest = bulk.put(b"in a pack")
    (pack,) = files(tmp_path, "packs")
    pack.unlink()
    assert store.put(b"in a pack") == digest
    assert store.get(digest) == b"in a pack"


def test_a_bulk_says_which_packs_hold_what_it_was_given(store: Store, tmp_path: Path) -> None:
    with store.bulk() as first:
        digest = first.put(b"one")
    with store.bulk() as second:
        second.put(b"one")
        second.put(b"two")
    assert first.packs < second.packs == store.objects.index.packs().keys()
    with store.bulk() as third:
        assert third.rely([raw_of(digest), raw_digest(b"three")]) == {raw_digest(b"three")}
    assert third.packs == first.packs


def test_a_sweep_between_finding_and_flushing_is_noticed(store: Store, tmp_path: Path) -> None:
    with store.bulk() as bulk:
        bulk.put(b"there before")
    with pytest.raises(Conflict, match="sweep"), store.bulk() as bulk:  # noqa: PT012  # Its end is what fails.
        bulk.put(b"there before")
        bulk._sift()
        store.sweep([], dry_run=False, grace=timedelta(0))


@pytest.mark.slow
@pytest.mark.parametrize("packs_before", [0, 1, 3])
def test_a_writer_killed_in_the_middle_leaves_a_store_that_works(tmp_path: Path, packs_before: int) -> None:
    script = f"""
import os, sys
from pathlib import Path
from random import Random
from everloop.backends.blobs import folder
from everloop.store import packs
from everloop.store.service import Store
packs.TARGET = 5_000
sync, left = os.fdatasync, [{packs_before}]
def killed(handle):
    if not left[0]:
        os.kill(os.getpid(), 9)
    left[0] -= 1
    sync(handle)
folder.os.fdatasync = killed
with Store(folder.FolderBlobs(Path(sys.argv[1]))).bulk() as bulk:
    for n in range(3_000):
        bulk.put(Random(n).randbytes(50))
"""
    ran = subprocess.run([sys.executable, "-c", script, str(tmp_path / "store")], check=False)
    assert ran.returncode == -signal.SIGKILL
    store = Store(FolderBlobs(tmp_path / "store"))
    assert store.verify() == []
    assert all(store.get(digest) for digest in list(store.digests()))
    with store.bulk() as bulk:
        digests = [bulk.put(Random(n).randbytes(50)) for n in range(3_000)]
    assert store.missing(digests) == set()
    assert store.verify() == []


def test_the_writer_is_told_how_far_it_is(store: Store) -> None:
    told: list[tuple[int, str]] = []

    class Listener:
        def advance(self, done: int, total: int | None, what: str, unit: str) -> None:
            told.append((done, unit))

    with store.bulk(Listener()) as bulk:
        bulk.put(LARGE)
    assert told[-1][1] == "bytes"
    assert told[-1][0] >= len(LARGE)


def test_only_so_many_packs_are_in_memory(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packs, "TARGET", 1_000)
    most = 0
    with store.bulk() as bulk:
        for data in SMALL:
            bulk.put(data)
            most = max(most, len(bulk._flights))
    assert most <= bulk_module._IN_FLIGHT
