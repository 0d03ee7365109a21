"""Packs written anew: small ones together, copies once, loose objects packed; interrupted anywhere, nothing is lost."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from random import Random

import pytest

from everloop.backends.blobs import folder as folder_module
from everloop.backends.blobs.folder import FolderBlobs
from everloop.kernel.errors import Corrupted, Unavailable
from everloop.store import packs
from everloop.store.entities import Digest, TreeEntry
from everloop.store.frames import Frame, FrameWriter
from everloop.store.service import Store, digest_of
from tests.store.aging import age

NOW = timedelta(0)
DATA = [Random(n).randbytes(1_000) for n in range(20)]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(FolderBlobs(tmp_path))


def packed(store: Store, *data: bytes) -> list[Digest]:
    with store.bulk() as bulk:
        return [bulk.put(item) for item in data]


def pack_files(store: Store) -> list[str]:
    return sorted(blob.key for blob in store.blobs.keys("packs/"))


def copied(store: Store, *data: bytes) -> None:
    """A second copy of objects, as two writers at the same time make one."""
    writer = FrameWriter(store.objects)
    for item in [*data, b"another"]:
        writer.add(Frame(bytes.fromhex(digest_of(item)), len(item), packs.RAW, packs.WHOLE, item))
    writer.flush()
    writer.close()


def test_many_small_packs_become_one(store: Store, tmp_path: Path) -> None:
    digests = [packed(store, item)[0] for item in DATA]
    age(tmp_path)
    store.sweep(digests, dry_run=False)
    assert len(pack_files(store)) == 1
    assert [store.get(digest) for digest in digests] == DATA


def test_a_few_small_packs_stay(store: Store, tmp_path: Path) -> None:
    digests = [packed(store, item)[0] for item in DATA[:5]]
    before = pack_files(store)
    age(tmp_path)
    store.sweep(digests, dry_run=False)
    assert pack_files(store) == before


def test_small_packs_that_are_young_stay(store: Store) -> None:
    digests = [packed(store, item)[0] for item in DATA]
    store.sweep(digests, dry_run=False)
    assert len(pack_files(store)) == len(DATA)


def test_folders_stay_apart_from_files_when_packs_are_merged(store: Store, tmp_path: Path) -> None:
    trees = []
    for number, item in enumerate(DATA):
        with store.bulk() as bulk:
            trees.append(store.put_tree([TreeEntry(f"{number}/a", bulk.put(item), 1_000)], bulk))
    age(tmp_path)
    store.sweep(trees, dry_run=False)
    assert len(pack_files(store)) == 2
    assert [store.get(store.tree(tree)[0].digest) for tree in trees] == DATA


def test_what_two_packs_hold_is_kept_once(store: Store, tmp_path: Path) -> None:
    digests = packed(store, *DATA)
    copied(store, *DATA[:15])
    before = store.stats().bytes
    age(tmp_path)
    store.sweep([*digests, digest_of(b"another")], dry_run=False)
    assert store.stats().bytes < before - 12_000
    assert store.stats().objects == 21
    assert [store.get(digest) for digest in digests] == DATA


def test_a_sweep_of_a_tidy_store_changes_nothing(store: Store, tmp_path: Path) -> None:
    digests = packed(store, *DATA)
    before = pack_files(store)
    for _ in range(3):
        age(tmp_path)
        store.sweep(digests, dry_run=False)
    assert pack_files(store) == before


def test_thoroughly_what_is_dead_goes_from_packs_that_are_mostly_needed(store: Store) -> None:
    digests = packed(store, *DATA)
    store.planned_sweep(digests[1:], NOW).carry_out()
    assert store.has(digests[0])
    done = store.planned_sweep(digests[1:], NOW, thorough=True).carry_out()
    assert (done.removed, store.has(digests[0])) == (1, False)
    assert [store.get(digest) for digest in digests[1:]] == DATA[1:]


def test_a_full_disk_while_packs_are_written_anew_loses_nothing(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digests = packed(store, *DATA)
    planned = store.planned_sweep(digests[:5], NOW)

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(folder_module.os, "fdatasync", full)
    with pytest.raises(Unavailable, match="No space"):
        planned.carry_out()
    monkeypatch.undo()
    assert [store.get(digest) for digest in digests] == DATA
    assert store.sweep(digests[:5], dry_run=False, grace=NOW).removed == 15


def test_a_pack_that_was_torn_is_whole_when_its_files_are_added_again(store: Store, tmp_path: Path) -> None:
    digests = packed(store, *DATA)
    (key,) = pack_files(store)
    os.truncate(tmp_path / key, 5_000)
    store.rebuild_index()
    assert packed(store, *DATA) == digests
    store.rebuild_index()
    assert [store.get(digest) for digest in digests] == DATA


@pytest.mark.parametrize("damage", ["torn", "folder"])
def test_nothing_is_freed_while_a_folder_cannot_be_read(store: Store, tmp_path: Path, damage: str) -> None:
    """What only a damaged folder leads to would be lost, although the folder may be mended from a remote."""
    with store.bulk() as bulk:
        tree = store.put_tree([TreeEntry(f"{n}/a", bulk.put(item), 1_000) for n, item in enumerate(DATA)], bulk)
    pack = next(tmp_path / key for key in pack_files(store) if (tmp_path / key).stat().st_size < 10_000)
    if damage == "torn":
        os.truncate(pack, 500)
    else:
        pack.write_bytes(pack.read_bytes().replace(b"\x91\xa1a", b"\x91\xa1b"))
    with pytest.raises(Corrupted, match="nothing was freed"):
        store.sweep([tree], dry_run=False, grace=NOW)
    assert store.missing([digest_of(item) for item in DATA]) == set()


KILLED = """
import os, random, sys
from datetime import timedelta
from pathlib import Path
from everloop.backends.blobs.folder import FolderBlobs
from everloop.store.frames import Frame, FrameWriter
from everloop.store.service import Store
left = random.Random(int(sys.argv[3])).randrange(1, 80)
def dying(method):
    def call(*arguments):
        global left
        left -= 1
        if not left:
            os.kill(os.getpid(), 9)
        return method(*arguments)
    return call
for name in ("put", "delete", "_replace", "touch"):
    setattr(FolderBlobs, name, dying(getattr(FolderBlobs, name)))
store = Store(FolderBlobs(Path(sys.argv[1])))
if sys.argv[2] == "undelete":
    store.undelete("all")
store.sweep(sys.argv[4:], dry_run=False, grace=timedelta(0 if sys.argv[2] == "now" else 1))
"""


def mixed(store: Store) -> tuple[list[Digest], dict[Digest, bytes]]:
    """Trees in small packs and loose objects; the roots, and what they lead to."""
    roots, needed = [], {}
    for number in range(24):
        with store.bulk() as bulk:
            files = [Random(100 * number + n).randbytes(700) for n in range(6)]
            entries = [TreeEntry(f"{n}/a", bulk.put(data), 700) for n, data in enumerate(files)]
            tree = store.put_tree(entries, bulk)
        if number % 3:
            roots.append(tree)
            needed |= dict(zip((entry.digest for entry in entries), files, strict=True))
    for number in range(40):
        digest = store.put(b"loose %d" % number)
        if number % 2:
            roots.append(digest)
            needed[digest] = b"loose %d" % number
    return roots, needed


@pytest.mark.slow
@pytest.mark.parametrize("what", ["now", "trash", "undelete"])
@pytest.mark.parametrize("seed", range(4))
def test_a_sweep_that_is_killed_anywhere_loses_nothing_and_the_next_goes_on(
    store: Store, tmp_path: Path, what: str, seed: int
) -> None:
    roots, needed = mixed(store)
    age(tmp_path)
    if what != "now":
        store.sweep(roots, dry_run=False)
        age(tmp_path)
    for attempt in range(3):
        killed = [sys.executable, "-c", KILLED, str(tmp_path), what, str(10 * seed + attempt), *roots]
        code = subprocess.run(killed, check=False, capture_output=True).returncode
        assert code in (0, -signal.SIGKILL)
        fresh = Store(FolderBlobs(tmp_path))
        fresh.rebuild_index()
        assert {digest: fresh.get(digest) for digest in needed} == needed
        assert fresh.verify(needed) == []
        assert [fault for fault in fresh.examine().faults if fault.kind != "missing part"] == []
    age(tmp_path)
    Store(FolderBlobs(tmp_path)).sweep(roots, dry_run=False, grace=NOW)
    assert Store(FolderBlobs(tmp_path)).missing(roots) == set()
    assert len([*store.blobs.keys("removals/"), *store.blobs.keys("staging/")]) == 0
    assert Store(FolderBlobs(tmp_path)).examine().faults == []
