"""What is not as it should be is named, with what leads to it; and what can be mended is."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from random import Random

import pytest

from everloop.backends.blobs.folder import FolderBlobs
from everloop.kernel.errors import Corrupted
from everloop.store.chunks import WHOLE
from everloop.store.entities import Digest, TreeEntry
from everloop.store.objects import loose_key
from everloop.store.repair import discard_torn, repair
from everloop.store.service import Store

DATA = [Random(n).randbytes(1_000) for n in range(20)]
LARGE = Random(99).randbytes(3 * WHOLE)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(FolderBlobs(tmp_path / "store"))


@pytest.fixture
def tree(store: Store) -> Digest:
    return planted(store)


def planted(store: Store) -> Digest:
    with store.bulk() as bulk:
        files = [TreeEntry(f"{n % 4}/{n}", bulk.put(data), 1_000) for n, data in enumerate(DATA)]
        return store.put_tree([*files, TreeEntry("large", bulk.put(LARGE), len(LARGE))], bulk)


def packs(store: Store, folders: bool) -> Path:
    """The pack of folders and recipes, or that of files."""
    assert store.blobs.local is not None
    found = sorted((blob.size, blob.key) for blob in store.blobs.keys("packs/"))
    return store.blobs.local / found[0 if folders else -1][1]


def kinds(store: Store) -> set[str]:
    return {fault.kind for fault in store.examine().faults}


def test_a_whole_store_has_no_faults(store: Store, tree: Digest) -> None:
    store.put(b"loose")
    assert store.examine().faults == []
    assert store.verify() == []
    assert store.torn() == []


@pytest.mark.parametrize("left", [0, 5, 3_000])
@pytest.mark.parametrize("folders", [True, False])
def test_a_torn_pack_is_named(store: Store, tree: Digest, left: int, folders: bool) -> None:
    pack = packs(store, folders)
    os.truncate(pack, min(left, pack.stat().st_size - 1))
    key = pack.relative_to(pack.parents[2]).as_posix()
    assert [fault.key for fault in store.examine().faults if fault.kind == "torn pack"] == [key]
    assert store.torn() == [key]


def test_parts_that_are_missing_are_named_with_what_leads_to_them(store: Store, tree: Digest) -> None:
    packs(store, folders=False).unlink()
    store.rebuild_index()
    found = store.examine()
    assert found.missing >= 20
    assert all(fault.kind == "missing part" for fault in found.faults)
    assert all(bytes.fromhex(tree) in found.above[bytes.fromhex(fault.digest)] for fault in found.faults)


def test_a_folder_that_cannot_be_read_is_named_with_its_pack(store: Store, tree: Digest) -> None:
    pack = packs(store, folders=True)
    data = bytearray(pack.read_bytes())
    data[10] ^= 1
    pack.write_bytes(data)
    (fault, *_) = [fault for fault in store.examine().faults if fault.kind == "unreadable"]
    assert fault.key.startswith("packs/")
    with pytest.raises(Corrupted):
        store.get(Digest(fault.digest))


def test_an_index_that_knows_wrongly_is_found_and_made_anew(store: Store, tree: Digest, tmp_path: Path) -> None:
    store.objects.index.close()
    with sqlite3.connect(tmp_path / "store/.index/packs.db") as connection:
        connection.execute("UPDATE places SET offset = offset + 1")
    assert "index" in kinds(store)
    store.rebuild_index()
    assert store.examine().faults == []


def test_an_adopted_file_that_is_gone_or_cut_off_is_named(store: Store, tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(LARGE)
    store.adopt(tmp_path / "large", ("hardlink",))
    (adopted,) = (tmp_path / "store/adopted").rglob("*/*")
    adopted.chmod(0o644)
    os.truncate(adopted, WHOLE)
    assert kinds(store) == {"adopted file"}
    adopted.unlink()
    assert kinds(store) == {"adopted file"}


def test_every_byte_that_is_wrong_is_found_and_named(store: Store, tree: Digest, tmp_path: Path) -> None:
    digest = store.put(b"loose")
    (tmp_path / "store" / loose_key(bytes.fromhex(digest))).write_bytes(b"wrong")
    data = bytearray(packs(store, folders=False).read_bytes())
    data[len(data) // 2] ^= 1
    packs(store, folders=False).write_bytes(data)
    found = store.verify()
    assert {damage.key.partition("/")[0] for damage in found} == {"objects", "packs"}
    assert digest in {damage.digest for damage in found}


def test_a_torn_pack_that_the_index_remembers_tells_what_was_in_it(store: Store, tree: Digest) -> None:
    os.truncate(packs(store, folders=False), 5_000)
    assert len(store.verify()) >= 20


@pytest.mark.parametrize("folders", [True, False])
@pytest.mark.parametrize("rebuilt", [True, False])
def test_a_torn_pack_is_mended_from_another_store(
    store: Store, tree: Digest, tmp_path: Path, folders: bool, rebuilt: bool
) -> None:
    other = Store(FolderBlobs(tmp_path / "other"))
    assert planted(other) == tree
    os.truncate(packs(store, folders), 300)
    if rebuilt:
        store.rebuild_index()
    for _ in range(5):
        wanted = set() if store.has(tree) else {tree}
        wanted |= {Digest(fault.digest) for fault in store.examine().faults if fault.digest}
        wanted |= {damage.digest for damage in store.verify()}
        repair(store, wanted, other)
    discard_torn(store)
    assert (store.verify(), store.examine().faults, store.torn()) == ([], [], [])
    assert [store.get(entry.digest) for entry in store.tree(tree)][-1] == LARGE
