"""Garbage collection with packs: each object is needed or not by itself."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from random import Random

import pytest

from everloop.backends.blobs.folder import FolderBlobs
from everloop.store.chunks import WHOLE
from everloop.store.entities import Digest, TreeEntry
from everloop.store.service import Store, digest_of
from tests.store.aging import age

NOW = timedelta(0)
DATA = [Random(n).randbytes(1_000) for n in range(10)]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(FolderBlobs(tmp_path / "store"))


def packed(store: Store, *data: bytes) -> list[Digest]:
    with store.bulk() as bulk:
        return [bulk.put(item) for item in data]


def pack_files(store: Store) -> list[str]:
    return sorted(blob.key for blob in store.blobs.keys("packs/"))


def test_a_pack_with_nothing_needed_goes(store: Store) -> None:
    packed(store, *DATA)
    report = store.sweep([], dry_run=False, grace=NOW)
    assert report.removed == len(DATA)
    assert report.freed_bytes > 10_000
    assert (pack_files(store), list(store.digests())) == ([], [])


def test_a_pack_that_is_mostly_needed_stays(store: Store) -> None:
    digests = packed(store, *DATA)
    before = pack_files(store)
    assert store.sweep(digests[1:], dry_run=False, grace=NOW).removed == 0
    assert pack_files(store) == before


def test_a_pack_that_is_mostly_not_needed_is_written_anew(store: Store) -> None:
    digests = packed(store, *DATA)
    report = store.sweep(digests[:2], dry_run=False, grace=NOW)
    assert (report.removed, report.freed_bytes, report.kept) == (8, 8_000, 2)
    assert sorted(store.digests()) == sorted(digests[:2])
    assert [store.get(digest) for digest in digests[:2]] == DATA[:2]


def test_a_dry_run_says_the_same_and_changes_nothing(store: Store) -> None:
    digests = packed(store, *DATA)
    before = pack_files(store)
    planned = store.sweep(digests[:2], dry_run=True, grace=NOW)
    assert pack_files(store) == before
    done = store.sweep(digests[:2], dry_run=False, grace=NOW)
    assert (planned.kept, planned.removed, planned.freed_bytes) == (done.kept, done.removed, done.freed_bytes)


def test_a_folder_that_nobody_needs_never_stays_without_its_files(store: Store) -> None:
    with store.bulk() as bulk:
        trees = [store.put_tree([TreeEntry("a", bulk.put(data), 1_000)], bulk) for data in DATA]
    store.sweep(trees[:9], dry_run=False, grace=NOW)
    assert not store.has(trees[9])
    assert [store.get(store.tree(tree)[0].digest) for tree in trees[:9]] == DATA[:9]


def test_a_large_object_that_nobody_needs_never_stays_without_its_chunks(store: Store) -> None:
    one, other = packed(store, Random(1).randbytes(2 * WHOLE), Random(2).randbytes(2 * WHOLE))
    store.sweep([one], dry_run=False, grace=NOW)
    assert (store.has(one), store.has(other)) == (True, False)
    assert store.verify() == []


def test_a_folder_of_very_many_names_keeps_its_files(store: Store) -> None:
    file = store.put(b"file")
    root = store.put_tree([TreeEntry(f"{n:09}", file, 4) for n in range(30_000)])
    assert store.recipe(root) is not None
    store.sweep([root], dry_run=False, grace=NOW)
    assert store.get(file) == b"file"
    assert len(store.tree(root)) == 30_000


def test_what_is_loose_and_old_is_packed(store: Store, tmp_path: Path) -> None:
    digests = [store.put(b"%d" % n) for n in range(20)]
    age(tmp_path / "store")
    assert store.sweep(digests, dry_run=False).removed == 0
    assert list(store.blobs.keys("objects/")) == []
    assert [store.get(digest) for digest in digests] == [b"%d" % n for n in range(20)]


def test_what_is_young_stays_loose(store: Store) -> None:
    digests = [store.put(b"%d" % n) for n in range(20)]
    store.sweep(digests, dry_run=False)
    assert len(list(store.blobs.keys("objects/"))) == 20


def test_what_is_packed_and_old_and_put_again_counts_as_young(store: Store, tmp_path: Path) -> None:
    digests = packed(store, *DATA)
    age(tmp_path / "store")
    store.sweep([], dry_run=False)
    age(tmp_path / "store")
    store.put(DATA[0])
    packed(store, DATA[1])
    assert store.sweep([], dry_run=False).removed == 8
    assert {digest for digest in digests if store.has(digest)} == set(digests[:2])


def test_what_was_put_again_long_ago_goes(store: Store, tmp_path: Path) -> None:
    for _ in range(2):
        packed(store, *DATA)
    for removed in (0, len(DATA)):
        age(tmp_path / "store")
        assert store.sweep([], dry_run=False).removed == removed
    assert list(store.blobs.keys("leases/")) == []


def test_what_somebody_comes_to_rely_on_while_packs_go_stays(store: Store, tmp_path: Path) -> None:
    packed(store, *DATA)
    age(tmp_path / "store")
    store.sweep([], dry_run=False)
    age(tmp_path / "store")
    planned = store.planned_sweep([])
    packed(Store(FolderBlobs(tmp_path / "store")), DATA[3])
    assert planned.report().removed == len(DATA)
    assert planned.carry_out().removed == 0
    assert store.get(digest_of(DATA[3])) == DATA[3]


def test_a_damaged_object_in_a_pack_that_would_go_keeps_the_pack(store: Store, tmp_path: Path) -> None:
    digests = packed(store, *DATA)
    (key,) = pack_files(store)
    pack = tmp_path / "store" / key
    damaged = bytearray(pack.read_bytes())
    damaged[10] ^= 1
    pack.write_bytes(damaged)
    store.sweep(digests[:2], dry_run=False, grace=NOW)
    assert pack_files(store) == [key]
    assert store.get(digests[1]) == DATA[1]


def test_keys_that_are_no_objects_are_nobodys_to_sweep(store: Store) -> None:
    store.blobs.swap("refs/main/flights", b"a reference", None)
    store.sweep([], dry_run=False, grace=NOW)
    assert store.blobs.get("refs/main/flights") == b"a reference"
