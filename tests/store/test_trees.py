"""Folders as objects: deterministic, compact, and refused when they are not what they should be."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from everloop.kernel.errors import Corrupted, InvalidInput
from everloop.store import trees
from everloop.store.entities import Digest, Entry, Kind, TreeEntry
from everloop.store.paths import check_name, check_path, twins
from everloop.store.service import digest_of

ONE = digest_of(b"one")
GOLDEN = (
    "454c5452310a9492a161a1 62a2 66 78".replace(" ", "")
    + "c440"
    + digest_of(b"a")
    + digest_of(b"b")
    + "920 1cd0100".replace(" ", "")
)

names = st.text(st.characters(blacklist_categories=("Cs", "Cc"), blacklist_characters="/\\"), min_size=1, max_size=20)
plain = names.filter(lambda name: name not in (".", ".."))
kinds: st.SearchStrategy[Kind] = st.sampled_from(("file", "executable", "folder", "link"))
entries = st.lists(
    st.builds(Entry, plain, kinds, st.binary(max_size=3).map(digest_of), st.integers(0, 2**60)),
    unique_by=lambda entry: entry.name,
)
paths = st.lists(st.sampled_from("abc"), min_size=1, max_size=4).map("/".join)


@given(entries)
def test_a_folder_comes_back_by_name(folder: list[Entry]) -> None:
    assert list(trees.decode(trees.encode(folder), ONE)) == sorted(folder)


@given(entries, st.randoms())
def test_equal_folders_are_equal_bytes_in_whatever_order(folder: list[Entry], random: st.DataObject) -> None:
    shuffled = list(folder)
    random.shuffle(shuffled)  # type: ignore[attr-defined]  # Hypothesis hands in a random.Random.
    assert trees.encode(shuffled) == trees.encode(folder)


@given(entries)
def test_names_are_in_the_order_of_their_utf_8(folder: list[Entry]) -> None:
    found = [entry.name for entry in trees.decode(trees.encode(folder), ONE)]
    assert found == sorted(found, key=str.encode)


def test_the_bytes_of_a_folder_are_as_they_were() -> None:
    folder = [Entry("b", "executable", digest_of(b"b"), 256), Entry("a", "file", digest_of(b"a"), 1)]
    assert trees.encode(folder).hex() == GOLDEN


def test_the_address_of_nothing_is_as_it_was() -> None:
    assert trees.encode(()).hex() == "454c5452310a9490a0c40090"


@given(st.binary(max_size=60))
def test_bytes_that_only_begin_as_a_folder_are_refused(rest: bytes) -> None:
    try:
        trees.decode(trees.MAGIC + rest, ONE)
    except (Corrupted, InvalidInput) as error:
        assert error.message  # noqa: PT017  # Either error is right; any other fails the test.


@pytest.mark.parametrize("names", [["a", "a"], ["b", "a"]])
def test_a_folder_with_a_name_twice_or_out_of_order_is_none(names: list[str]) -> None:
    # A link and a folder of one name: what is in the folder would be written wherever the link leads.
    hostile = trees.MAGIC + msgspec.msgpack.encode([names, "ld", bytes(64), [1, 1]])
    with pytest.raises(Corrupted, match="not in order"):
        trees.decode(hostile, ONE)


@given(st.dictionaries(paths, st.binary(max_size=2), max_size=8))
def test_a_tree_is_built_from_the_leaves(files: dict[str, bytes]) -> None:
    kept: dict[Digest, bytes] = {}

    def keep(data: bytes) -> Digest:
        kept[digest_of(data)] = data
        return digest_of(data)

    listed = [TreeEntry(path, digest_of(data), len(data)) for path, data in files.items()]
    if any(other.startswith(f"{path}/") for path in files for other in files):
        with pytest.raises(InvalidInput, match="both"):
            trees.build(listed, keep)
        return
    root = trees.build(listed, keep)
    found = trees.walked(lambda some: [(one, kept[one]) for one in some], trees.decode(kept[root], root))
    assert list(found) == sorted(listed)


def test_the_size_of_a_folder_is_the_sum_below_it() -> None:
    kept: list[bytes] = []
    trees.build([TreeEntry("d/e/a", ONE, 3), TreeEntry("d/b", ONE, 4)], lambda data: kept.append(data) or ONE)
    (folder,) = trees.decode(kept[-1], ONE)
    assert (folder.name, folder.kind, folder.size) == ("d", "folder", 7)


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "a/b", "a\\b", "a\0b", "a\nb", "a\x1fb", "\x7f", "\udcff", "x" * 256, "ä" * 128],
)
def test_a_name_that_no_disk_should_see_is_refused(name: str) -> None:
    with pytest.raises(InvalidInput):
        check_name(name)
    with pytest.raises(InvalidInput):
        trees.encode([Entry(name, "file", ONE, 1)])


@pytest.mark.parametrize("path", ["", "/a", "a/", "a//b", "../a", "a/..", "a/./b", "/etc/passwd"])
def test_a_path_out_of_the_tree_is_refused(path: str) -> None:
    with pytest.raises(InvalidInput, match="not a path inside a tree"):
        check_path(path)


@pytest.mark.parametrize("path", ["a", "a/b", "x" * 255, "ä" * 127, "a b/c", "...", "-", "日本/語"])
def test_plain_paths_are_well(path: str) -> None:
    assert check_path(path) == path


def test_twins_of_case_and_of_unicode_forms_are_found() -> None:
    assert list(twins(["a/B", "a/b", "c"])) == [("a/B", "a/b")]
    assert list(twins(["caf\u00e9", "cafe\u0301"])) == [("caf\u00e9", "cafe\u0301")]
    assert list(twins(["a", "b", "a/b"])) == []
