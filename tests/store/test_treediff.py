"""What differs between two trees, and that what is equal is never read."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from everloop.backends.blobs.folder import FolderBlobs
from everloop.store import trees
from everloop.store.entities import Digest, TreeEntry
from everloop.store.service import Store, digest_of
from everloop.store.treediff import TreeChange, tree_changes
from tests.examples import examples

names = st.sampled_from(["a", "b", "a-", "a.txt"])
paths = st.lists(names, min_size=1, max_size=3).map("/".join)
files = st.dictionaries(paths, st.sampled_from([b"1", b"2"]), max_size=7)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(FolderBlobs(tmp_path / "store"))


def valid(found: dict[str, bytes]) -> dict[str, bytes]:
    return {path: data for path, data in found.items() if not any(it.startswith(f"{path}/") for it in found)}


def listed(found: dict[str, bytes]) -> dict[str, TreeEntry]:
    return {path: TreeEntry(path, digest_of(data), len(data)) for path, data in found.items()}


@given(before=files.map(valid), after=files.map(valid))
@settings(deadline=None, max_examples=examples(60), suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_changes_are_those_between_the_lists_of_files(
    store: Store, before: dict[str, bytes], after: dict[str, bytes]
) -> None:
    one, other = listed(before), listed(after)
    changes = list(tree_changes(store, store.put_tree(one.values()), store.put_tree(other.values())))
    expected = [path for path in sorted({*one, *other}) if one.get(path) != other.get(path)]
    assert changes == [TreeChange(path, one.get(path), other.get(path)) for path in expected]


@given(found=files.map(valid), below=paths)
@settings(deadline=None, max_examples=examples(40), suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_below_a_folder_only_what_is_there_is_told(store: Store, found: dict[str, bytes], below: str) -> None:
    changes = tree_changes(store, None, store.put_tree(listed(found).values()), below)
    wanted = [path for path in sorted(found) if path == below or path.startswith(f"{below}/")]
    assert [change.path for change in changes] == wanted


def test_what_is_equal_is_not_read(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def tree(last: bytes) -> Digest:
        found = {f"{n}/{m}/f": b"1" for n in range(5) for m in range(5)} | {"4/4/f": last}
        return store.put_tree(listed(found).values())

    before, after = tree(b"1"), tree(b"2")
    read: list[Digest] = []
    columns = store.columns
    monkeypatch.setattr(store, "columns", lambda digest: read.append(digest) or columns(digest))
    assert [change.path for change in tree_changes(store, before, after)] == ["4/4/f"]
    assert len(read) == 6


def test_the_bit_that_lets_a_file_be_run_is_a_change(store: Store) -> None:
    plain, executable = (store.put_tree([TreeEntry("a", digest_of(b"a"), 1, kind)]) for kind in ("file", "executable"))
    (change,) = tree_changes(store, plain, executable)
    assert change.before is not None
    assert change.after is not None
    assert (change.before.kind, change.after.kind) == ("file", "executable")


def test_a_folder_that_is_empty_is_one_entry(store: Store) -> None:
    empty = store.put_tree([TreeEntry("d", trees.EMPTY, 0, "folder")])
    full = store.put_tree([TreeEntry("d/a", digest_of(b"a"), 1)])
    assert store.tree(empty) == (TreeEntry("d", trees.EMPTY, 0, "folder"),)
    assert [(change.path, change.after is not None) for change in tree_changes(store, empty, full)] == [
        ("d", False),
        ("d/a", True),
    ]


def test_a_file_that_becomes_a_folder_goes_and_its_files_come(store: Store) -> None:
    before = store.put_tree([TreeEntry("d", digest_of(b"d"), 1)])
    after = store.put_tree([TreeEntry("d/a", digest_of(b"a"), 1)])
    assert [change.path for change in tree_changes(store, before, after)] == ["d", "d/a"]
