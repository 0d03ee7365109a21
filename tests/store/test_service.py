"""Bytes by content: in, out verified, folders, and what nobody needs any more."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest
from blake3 import blake3

from everloop.backends.blobs.folder import FolderBlobs
from everloop.kernel.errors import Conflict, Corrupted, InvalidInput, NotFound
from everloop.store import trees
from everloop.store.chunks import WHOLE
from everloop.store.entities import Digest, Entry, TreeEntry
from everloop.store.service import Store, digest_of
from everloop.store.treediff import tree_changes
from tests.store.aging import age

NOW = timedelta(0)
LARGE = os.urandom(3 * WHOLE + 17)


@pytest.fixture
def blobs(tmp_path: Path) -> FolderBlobs:
    return FolderBlobs(tmp_path / "store")


@pytest.fixture
def store(blobs: FolderBlobs) -> Store:
    return Store(blobs)


def written(folder: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


class TestObjects:
    @pytest.mark.parametrize("data", [b"", b"x", os.urandom(WHOLE), os.urandom(WHOLE + 1), LARGE])
    def test_bytes_come_back(self, store: Store, data: bytes) -> None:
        digest = store.put(data)
        assert store.get(digest) == data
        assert digest == blake3(data).hexdigest()

    def test_equal_bytes_have_one_address_and_are_kept_once(self, store: Store) -> None:
        assert store.put(LARGE) == store.put(memoryview(LARGE))
        before = store.stats()
        store.put(LARGE)
        assert store.stats() == before

    def test_an_edit_in_the_middle_of_a_large_object_costs_a_few_chunks(self, store: Store) -> None:
        store.put(LARGE)
        before = store.stats().bytes
        store.put(LARGE[:1_000_000] + b"inserted" + LARGE[1_000_000:])
        assert store.stats().bytes - before < len(LARGE) / 5

    def test_what_was_never_put_is_not_found(self, store: Store) -> None:
        with pytest.raises(NotFound, match="no object"):
            store.get(digest_of(b"never"))
        assert not store.has(digest_of(b"never"))

    @pytest.mark.parametrize("address", ["", "abc", "../../../etc/passwd", "A" * 64, "0" * 63 + "g", "0" * 65])
    def test_what_is_no_address_is_refused(self, store: Store, address: str) -> None:
        for attempt in (store.get, store.has, store.tree):
            with pytest.raises(InvalidInput, match="not an address"):
                attempt(Digest(address))

    @pytest.mark.parametrize("data", [b"small", LARGE])
    def test_a_flipped_bit_is_noticed(self, store: Store, data: bytes, tmp_path: Path) -> None:
        digest = store.put(data)
        files = [path for path in (tmp_path / "store").rglob("*") if path.is_file() and ".index" not in path.parts]
        victim = max(files, key=lambda path: path.stat().st_size)
        damaged = bytearray(victim.read_bytes())
        damaged[len(damaged) // 2] ^= 1
        victim.write_bytes(damaged)
        with pytest.raises(Corrupted):
            store.get(digest)

    def test_a_recipe_that_names_other_chunks_is_noticed(self, store: Store, tmp_path: Path) -> None:
        one, other = digest_of(LARGE), store.put(LARGE[::-1])
        recipe = store.recipe(other)
        assert recipe is not None
        with store.bulk() as bulk:
            bulk.add_recipe(one, recipe)
        for attempt in (store.get, lambda digest: store.write_to(digest, tmp_path / "out")):
            with pytest.raises(Corrupted, match="other chunks"):
                attempt(one)
        assert not (tmp_path / "out").exists()


class TestFiles:
    @pytest.mark.parametrize("size", [0, 5, WHOLE, WHOLE + 1, 5 * WHOLE])
    def test_a_file_has_the_address_of_its_bytes(self, store: Store, tmp_path: Path, size: int) -> None:
        data = os.urandom(size)
        (tmp_path / "file").write_bytes(data)
        assert store.put_file(tmp_path / "file") == digest_of(data)
        assert store.get(digest_of(data)) == data

    def test_a_large_file_is_cut_where_the_same_bytes_in_memory_are(self, store: Store, tmp_path: Path) -> None:
        (tmp_path / "file").write_bytes(LARGE)
        store.put_file(tmp_path / "file")
        before = store.stats()
        other = Store(FolderBlobs(tmp_path / "other"))
        other.put(LARGE)
        assert sorted(other.digests()) == sorted(store.digests())
        assert other.stats() == before

    @pytest.mark.parametrize("size", [50, len(LARGE)])
    def test_a_file_that_changes_while_it_is_read_is_said(
        self, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
    ) -> None:
        path = tmp_path / "file"
        path.write_bytes(LARGE[:size])
        fstat = os.fstat

        def grows(handle: int) -> os.stat_result:
            found = fstat(handle)
            path.open("ab").write(b"more")
            return found

        monkeypatch.setattr("everloop.store.bulk.os.fstat", grows)
        with pytest.raises(Conflict, match="changed while it was read"), store.bulk() as bulk:
            bulk.put_file(path)

    def test_a_missing_file_is_not_found(self, store: Store, tmp_path: Path) -> None:
        with pytest.raises(NotFound, match="nothing_here"):
            store.put_file(tmp_path / "nothing_here")

    @pytest.mark.parametrize("data", [b"small", LARGE])
    def test_an_object_is_written_to_a_file(self, store: Store, tmp_path: Path, data: bytes) -> None:
        store.write_to(store.put(data), tmp_path / "out")
        assert (tmp_path / "out").read_bytes() == data
        assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["out"]

    def test_a_failed_write_leaves_the_file_that_was_there(self, store: Store, tmp_path: Path) -> None:
        (tmp_path / "out").write_bytes(b"before")
        with pytest.raises(NotFound):
            store.write_to(digest_of(b"never"), tmp_path / "out")
        assert (tmp_path / "out").read_bytes() == b"before"


class TestTrees:
    FILES = {"a.txt": b"a", "deep/er/b.bin": LARGE, "deep/c": b""}

    def test_a_folder_comes_back(self, store: Store, tmp_path: Path) -> None:
        digest = store.put_folder(written(tmp_path / "in", self.FILES))
        store.checkout(digest, tmp_path / "out")
        found = {
            p.relative_to(tmp_path / "out").as_posix(): p.read_bytes()
            for p in (tmp_path / "out").rglob("*")
            if p.is_file()
        }
        assert found == self.FILES

    def test_equal_folders_have_equal_addresses(self, store: Store, tmp_path: Path) -> None:
        one = store.put_folder(written(tmp_path / "one", self.FILES))
        other = store.put_folder(written(tmp_path / "other", dict(reversed(self.FILES.items()))))
        assert one == other

    def test_a_tree_lists_its_files_by_path(self, store: Store, tmp_path: Path) -> None:
        tree = store.tree(store.put_folder(written(tmp_path / "in", self.FILES)))
        assert [(entry.path, entry.size) for entry in tree] == [
            ("a.txt", 1),
            ("deep/c", 0),
            ("deep/er/b.bin", len(LARGE)),
        ]

    def test_links_are_not_followed(self, store: Store, tmp_path: Path) -> None:
        folder = written(tmp_path / "in", {"a": b"a"})
        (folder / "passwd").symlink_to("/etc/passwd")
        assert [entry.path for entry in store.tree(store.put_folder(folder))] == ["a"]

    @pytest.mark.parametrize("path", ["../up", "/etc/passwd", "a/../../b", "", "a\\b", "a\0b"])
    def test_a_path_out_of_the_tree_is_refused(self, store: Store, path: str, tmp_path: Path) -> None:
        with pytest.raises(InvalidInput):
            store.put_tree([TreeEntry(path, store.put(b"x"), 1)])
        smuggled = store.put(msgspec.json.encode([TreeEntry(path, store.put(b"x"), 1)]))
        with pytest.raises(InvalidInput):
            store.checkout(smuggled, tmp_path / "deep" / "out")

    @pytest.mark.parametrize("paths", [("a", "a"), ("a", "a/b")])
    def test_two_files_cannot_have_one_path(self, store: Store, paths: tuple[str, str]) -> None:
        with pytest.raises(InvalidInput, match="both"):
            store.put_tree([TreeEntry(path, store.put(path.encode()), 1) for path in paths])

    def test_what_is_no_tree_is_said(self, store: Store) -> None:
        with pytest.raises(Corrupted, match="not a tree"):
            store.tree(store.put(b"hello"))


class TestSweep:
    def test_what_roots_reach_stays_and_the_rest_goes(self, store: Store, tmp_path: Path) -> None:
        tree = store.put_folder(written(tmp_path / "in", TestTrees.FILES))
        alone, lost = store.put(b"alone"), store.put(b"lost")
        report = store.sweep([tree, alone], dry_run=False, grace=NOW)
        assert (report.removed, report.freed_bytes) == (1, 4)
        assert not store.has(lost)
        store.checkout(tree, tmp_path / "out")
        assert store.get(alone) == b"alone"

    def test_a_dry_run_says_the_same_and_removes_nothing(self, store: Store) -> None:
        digests = [store.put(LARGE), store.put(b"lost")]
        planned = store.sweep([], dry_run=True, grace=NOW)
        assert all(store.has(digest) for digest in digests)
        done = store.sweep([], dry_run=False, grace=NOW)
        assert (planned.removed, planned.freed_bytes, planned.dry_run) == (done.removed, done.freed_bytes, True)

    def test_a_tree_of_more_than_a_megabyte_is_known_as_a_tree(self, store: Store) -> None:
        files = [TreeEntry(f"{number:07}", store.put(b"%d" % (number % 50)), 2) for number in range(11_000)]
        tree = store.put_tree(files)
        assert len(msgspec.json.encode(files)) > WHOLE
        assert store.sweep([tree], dry_run=False, grace=NOW).removed == 0
        assert store.get(store.tree(tree)[49].digest) == b"49"

    def test_chunks_that_two_objects_share_stay_for_the_one_that_is_left(self, store: Store) -> None:
        kept, lost = store.put(LARGE), store.put(LARGE + b"more")
        assert store.sweep([kept], dry_run=False, grace=NOW).removed > 0
        assert store.get(kept) == LARGE
        assert not store.has(lost)

    def test_json_that_only_looks_like_a_tree_does_not_stop_it(self, store: Store) -> None:
        digest = store.put(b'[{"path": "x"}, {"path":')
        lookalike = store.put(b'[{"path"')
        assert store.sweep([digest, lookalike], dry_run=False, grace=NOW).removed == 0

    def test_a_root_that_is_not_there_is_no_matter(self, store: Store) -> None:
        assert store.sweep([digest_of(b"never")], dry_run=False, grace=NOW).removed == 0

    def test_what_is_young_stays_with_all_it_needs(self, store: Store, tmp_path: Path) -> None:
        files = store.put_folder(written(tmp_path / "in", TestTrees.FILES))
        age(tmp_path / "store")
        store.sweep([], dry_run=False)
        age(tmp_path / "store")
        young = store.put_tree(store.tree(files)[:2])
        assert store.sweep([], dry_run=False).removed > 0
        assert [store.has(entry.digest) for entry in store.tree(young)] == [True, True]

    @pytest.mark.parametrize("data", [b"small", LARGE])
    def test_what_is_old_and_put_again_counts_as_young(self, store: Store, tmp_path: Path, data: bytes) -> None:
        digest = store.put(data)
        age(tmp_path / "store")
        store.put(data)
        store.sweep([], dry_run=False)
        assert store.get(digest) == data

    def test_what_is_old_and_not_needed_goes(self, store: Store, tmp_path: Path) -> None:
        digest = store.put(LARGE)
        for there in (True, False):
            age(tmp_path / "store")
            store.sweep([], dry_run=False)
            assert store.has(digest) == there

    def test_what_is_touched_between_listing_and_deleting_stays(self, store: Store, tmp_path: Path) -> None:
        digest = store.put(b"needed after all")
        for _ in range(2):
            age(tmp_path / "store")
            planned = store.planned_sweep([])
            store.put(b"needed after all")
            assert planned.carry_out().removed == 0
        assert store.get(digest) == b"needed after all"


class TestHostileTrees:
    def test_a_checkout_makes_no_link_out_of_its_folder(self, store: Store, tmp_path: Path) -> None:
        root = store.put_tree([TreeEntry("evil", store.put(b"/etc"), 4, "link")])
        with pytest.raises(InvalidInput, match="leads out"):
            store.checkout(root, tmp_path / "out")

    def test_a_checkout_writes_through_no_link_that_is_there(self, store: Store, tmp_path: Path) -> None:
        (tmp_path / "other").mkdir()
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "a").symlink_to(tmp_path / "other")
        root = store.put_tree([TreeEntry("a/b/file", store.put(b"x"), 1)])
        with pytest.raises(Conflict, match="is a link"):
            store.checkout(root, tmp_path / "out")
        assert not list((tmp_path / "other").iterdir())

    def test_a_chain_of_folders_without_end_is_refused(self, store: Store) -> None:
        inner = store.put_tree([TreeEntry("leaf", store.put(b"x"), 1)])
        for _ in range(2000):
            inner = store.put(trees.encode([Entry("x", "folder", inner, 1)]))
        with pytest.raises(InvalidInput, match="folders deep"):
            store.tree(inner)
        with pytest.raises(InvalidInput, match="folders deep"):
            list(tree_changes(store, None, inner))
