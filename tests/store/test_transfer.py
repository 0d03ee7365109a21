"""From one store to another: only what is missing travels, whole and in packs."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from everloop.backends.blobs.folder import FolderBlobs
from everloop.kernel.errors import Corrupted, NotFound
from everloop.kernel.progress import Unit
from everloop.store.chunks import WHOLE
from everloop.store.entities import Digest, TreeEntry
from everloop.store.repair import repair
from everloop.store.service import Store, digest_of
from everloop.store.transfer import folders_of, transfer
from tests.datasets.remotes.memory import MemoryBlobs

LARGE = os.urandom(3 * WHOLE + 17)
TEXT = b"a line that repeats itself\n" * 500


@pytest.fixture
def source(tmp_path: Path) -> Store:
    return Store(FolderBlobs(tmp_path / "source"))


@pytest.fixture
def target(tmp_path: Path) -> Store:
    return Store(FolderBlobs(tmp_path / "target"))


def kept(store: Store, files: dict[str, bytes]) -> Digest:
    """A tree of files in a store."""
    with store.bulk() as bulk:
        entries = [TreeEntry(path, bulk.put(data), len(data)) for path, data in files.items()]
    return store.put_tree(entries)


def files_of(store: Store, root: Digest) -> dict[str, bytes]:
    return {entry.path: store.get(entry.digest) for entry in store.tree(root)}


FILES = {"a/one.txt": TEXT, "a/b/two.bin": LARGE, "three": b"3", "empty": b""}


def test_a_tree_arrives_with_all_that_is_below_it(source: Store, target: Store) -> None:
    root = kept(source, FILES)
    transfer(source, target, [root])
    assert files_of(target, root) == FILES
    assert target.verify() == []


def test_what_is_there_does_not_travel_again(source: Store, target: Store) -> None:
    root = kept(source, FILES)
    first = transfer(source, target, [root])
    again = transfer(source, target, [root])
    assert first.objects > 4
    assert (again.objects, again.bytes) == (0, 0)


def test_only_what_changed_travels(source: Store, target: Store) -> None:
    transfer(source, target, [kept(source, FILES)])
    sent = transfer(source, target, [kept(source, FILES | {"a/new": b"new"})])
    assert sent.objects == 3  # The file, its folder, the root.
    assert sent.bytes < 1000


def test_a_change_in_a_large_object_sends_some_chunks(source: Store, target: Store) -> None:
    transfer(source, target, [kept(source, FILES)])
    edited = LARGE[: WHOLE + 7] + b"inserted" + LARGE[WHOLE + 7 :]
    sent = transfer(source, target, [kept(source, FILES | {"a/b/two.bin": edited})])
    assert sent.bytes < len(LARGE) / 4


def test_frames_travel_as_they_are_stored(source: Store, target: Store) -> None:
    root = kept(source, {f"{n}.txt": TEXT + b"%d" % n for n in range(50)})
    sent = transfer(source, target, [root])
    assert sent.bytes < 50 * len(TEXT) / 4
    assert sent.bytes <= source.stats().bytes


def test_thousands_of_files_travel_in_a_few_packs(source: Store, target: Store) -> None:
    transfer(source, target, [kept(source, {f"{n % 20}/{n}": b"file %d" % n for n in range(3000)})])
    assert len(list(target.blobs.keys("packs/"))) <= 3


def test_lone_objects_travel_too(source: Store, target: Store) -> None:
    small, large = source.put(b"a commit"), source.put(LARGE)
    transfer(source, target, [small, large])
    assert target.get(small) == b"a commit"
    assert target.get(large) == LARGE


def test_a_file_that_looks_like_a_folder_is_a_file(source: Store, target: Store) -> None:
    folder = source.put_tree([TreeEntry("nothing", Digest("0" * 64), 3)])
    disguised = kept(source, {"file": source.get(folder)})
    transfer(source, target, [disguised])
    assert target.tree(disguised)[0].digest == folder


def test_what_the_source_lacks_is_named_and_nothing_points_to_it(source: Store, target: Store) -> None:
    root = source.put_tree([TreeEntry("gone", Digest("0" * 64), 3)])
    with pytest.raises(NotFound, match="0" * 64):
        transfer(source, target, [root])
    assert not target.has(root)


def damage(store: Store, digest: Digest) -> None:
    """Change a byte of an object on the disk."""
    place = store.objects.index.place(bytes.fromhex(digest))
    folder = store.blobs.local
    assert place is not None
    assert folder is not None
    name = place.pack.name.hex()
    with (folder / "packs" / name[:2] / name[2:]).open("r+b") as file:
        file.seek(place.offset + place.stored // 2)
        byte = file.read(1)[0]
        file.seek(-1, 1)
        file.write(bytes([byte ^ 1]))


def test_what_is_damaged_does_not_travel_and_is_named(source: Store, target: Store) -> None:
    root = kept(source, FILES)
    wrong = next(entry.digest for entry in source.tree(root) if entry.path == "a/one.txt")
    damage(source, wrong)
    with pytest.raises(Corrupted, match=wrong):
        transfer(source, target, [root])
    assert not target.has(root)
    assert not target.has(wrong)


def test_a_recipe_of_something_else_is_refused(source: Store, target: Store) -> None:
    recipe, claimed = source.recipe(source.put(LARGE)), digest_of(b"what was promised")
    assert recipe is not None
    with source.bulk() as bulk:
        bulk.add_recipe(claimed, recipe)
    with pytest.raises(Corrupted, match=claimed):
        transfer(source, target, [claimed])
    assert not target.has(claimed)


class Interrupted(FolderBlobs):
    """A folder whose disk is taken away after some packs."""

    left = 10**9

    def put(self, key: str, data: bytes | bytearray | memoryview) -> None:
        if key.startswith("packs/"):
            self.left -= 1
        if self.left < 0:
            raise InterruptedError(key)
        super().put(key, data)


def test_what_was_interrupted_is_whole_and_continues(source: Store, tmp_path: Path) -> None:
    files = {f"{n}": os.urandom(100_000) for n in range(700)}
    root = kept(source, files)
    blobs = Interrupted(tmp_path / "target")
    blobs.left = 1
    with pytest.raises(InterruptedError):
        transfer(source, Store(blobs), [root])
    blobs.left = 10**9
    there = transfer(source, Store(blobs), [root])
    assert there.there >= 300
    assert there.objects <= 402
    assert Store(blobs).verify() == []


def test_nothing_that_names_others_is_there_before_them(source: Store, tmp_path: Path) -> None:
    root = kept(source, {f"{n}/{n}": os.urandom(2000) for n in range(50)} | FILES)
    for packs in range(6):
        blobs = Interrupted(tmp_path / f"target-{packs}")
        blobs.left = packs
        try:
            transfer(source, Store(blobs), [root])
        except InterruptedError:
            assert not Store(blobs).has(root)
        blobs.left = 10**9
        assert Store(blobs).verify() == []


def test_folders_that_are_complete_are_not_looked_into(source: Store, target: Store) -> None:
    before = kept(source, FILES)
    transfer(source, target, [before])
    after = kept(source, FILES | {"new": b"new"})
    damage(source, next(entry.digest for entry in source.folder(after) if entry.name == "a"))
    with pytest.raises(Corrupted):
        transfer(source, target, [after])
    assert transfer(source, target, [after], complete=folders_of(target, [before])).objects == 2


def test_folders_of_a_tree_are_itself_and_those_below(source: Store) -> None:
    root = kept(source, FILES)
    assert len(folders_of(source, [root])) == 3


def test_progress_is_told_in_bytes_up_to_the_total(source: Store, target: Store) -> None:
    told: list[tuple[int, int | None]] = []

    class Listening:
        def advance(self, done: int, total: int | None, what: str, unit: Unit) -> None:
            assert unit == "bytes"
            told.append((done, total))

    transfer(source, target, [kept(source, FILES)], Listening())
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    assert told[-1][0] == told[-1][1]


@given(files=st.dictionaries(st.sampled_from("abcdefgh"), st.binary(max_size=300), min_size=1), known=st.integers(0, 8))
def test_whatever_the_target_has_it_has_all_afterwards(files: dict[str, bytes], known: int) -> None:
    source, target = Store(MemoryBlobs()), Store(MemoryBlobs())
    root = kept(source, files)
    for data in list(files.values())[:known]:
        target.put(data)
    transfer(source, target, [root])
    assert files_of(target, root) == files


class TestRepair:
    def test_what_is_damaged_is_fetched_from_a_store_that_has_it_whole(self, source: Store, target: Store) -> None:
        root = kept(source, FILES)
        transfer(source, target, [root])
        for entry in source.tree(root):
            if entry.path in ("a/one.txt", "three"):
                damage(source, entry.digest)
        damaged = [each.digest for each in source.verify()]
        mended, lost = repair(source, damaged, target)
        assert (len(mended), lost) == (2, ())
        assert source.verify() == []
        assert source.rebuild_index() > 0
        assert files_of(source, root) == FILES

    def test_a_pack_with_one_object_is_mended_in_place(self, source: Store, target: Store) -> None:
        root = kept(source, {"only": TEXT})
        transfer(source, target, [root])
        digest = source.tree(root)[0].digest
        damage(source, digest)
        assert repair(source, [digest], target)[0] == (digest,)
        assert source.get(digest) == TEXT

    def test_a_loose_object_is_mended(self, source: Store, target: Store, tmp_path: Path) -> None:
        digest = source.put(b"loose")
        target.put(b"loose")
        (tmp_path / "source/objects" / digest[:2] / digest[2:]).write_bytes(b"wrong")
        assert repair(source, [digest], target)[0] == (digest,)
        assert source.get(digest) == b"loose"

    def test_what_is_missing_is_fetched_with_its_chunks(self, source: Store, target: Store) -> None:
        digest = target.put(LARGE)
        assert repair(source, [digest], target)[0] == (digest,)
        assert source.get(digest) == LARGE

    def test_what_nobody_has_is_lost_and_what_is_damaged_there_too_is_not_copied(
        self, source: Store, target: Store
    ) -> None:
        root = kept(source, FILES)
        transfer(source, target, [root])
        digest = next(entry.digest for entry in source.tree(root) if entry.path == "a/one.txt")
        damage(source, digest)
        damage(target, digest)
        assert repair(source, [digest, Digest("0" * 64)], target) == ((), (Digest("0" * 64), digest))
        assert len(source.verify()) == 1
