"""Looking at folders: what changed is found, whatever the ignore rules and the index say."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from everloop.datasets.workspace.index import Index, Known, content_of, index_path
from everloop.datasets.workspace.reading import hash_bytes, hash_file, read_stable
from everloop.datasets.workspace.scan import scan, within
from tests.datasets.workspace.conftest import write

NAMES = st.sampled_from(["a", "b", "c/d", "c/e", "c/f/g", "h"])


def learn(top: Path, index: Index) -> list[str]:
    """Read all that a scan asks for, as an add does; what was read."""
    found = scan(top, index)
    for seen in found.touched:
        index.need(seen.path).seen(*read_stable(top, seen, hash_bytes, hash_file))
    for path in found.gone:
        index.need(path).gone()
    index.rules = found.rules
    index.commit("root")
    return sorted(seen.path for seen in found.touched)


def test_everything_is_new_to_an_empty_index(tmp_path: Path) -> None:
    write(tmp_path, {"a": "1", "b/c": "2"})
    assert [seen.path for seen in scan(tmp_path, Index(tmp_path / "i")).touched] == ["a", "b/c"]


def test_what_was_learnt_is_not_touched(tmp_path: Path) -> None:
    index = Index(tmp_path / "i")
    top = write(tmp_path / "top", {"a": "1", "b/c": "2"})
    assert learn(top, index) == ["a", "b/c"]
    assert learn(top, index) == []


def test_ignored_files_and_folders_are_not_seen(tmp_path: Path) -> None:
    files = {
        ".everloopignore": "*.tmp\n!keep.tmp\n/cache/\n",
        "a.tmp": "",
        "keep.tmp": "",
        "cache/x": "",
        "b/cache/y": "",
    }
    found = scan(write(tmp_path, files), Index(tmp_path / "i"))
    assert sorted(seen.path for seen in found.touched) == [".everloopignore", "b/cache/y", "keep.tmp"]


def test_rules_of_a_folder_go_before_those_above(tmp_path: Path) -> None:
    files = {".everloopignore": "*.log\n", "b/.everloopignore": "!*.log\n", "x.log": "", "b/x.log": "", "b/c/x.log": ""}
    found = scan(write(tmp_path, files), Index(tmp_path / "i"))
    assert sorted(seen.path for seen in found.touched if seen.path.endswith("log")) == ["b/c/x.log", "b/x.log"]


def test_a_file_that_new_rules_leave_out_is_gone(tmp_path: Path) -> None:
    index = Index(tmp_path / "i")
    top = write(tmp_path / "top", {"a.txt": "1", "b.log": "2"})
    learn(top, index)
    write(top, {".everloopignore": "*.log"})
    assert scan(top, index).gone == ["b.log"]


def test_code_repositories_and_our_own_files_are_in_no_version(tmp_path: Path) -> None:
    files = {".git/config": "", ".hg/x": "", ".everloop-part": "", ".everloop/catalog.db": "", "a": ""}
    assert [seen.path for seen in scan(write(tmp_path, files), Index(tmp_path / "i")).touched] == ["a"]


def test_empty_folders_are_found(tmp_path: Path) -> None:
    (tmp_path / "x" / "y").mkdir(parents=True)
    assert scan(tmp_path, Index(tmp_path / "i")).empty == {"x/y"}


def test_chosen_paths_are_those_and_all_below() -> None:
    assert within("a/b", ("a",))
    assert within("a", ("a",))
    assert not within("ab", ("a",))
    assert within("anything", ())


def test_an_index_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    index = Index(index_path(tmp_path, tmp_path / "data"))
    index.root, index.empty, index.rules = "ab" * 32, {"e"}, {"": b"r"}
    index.folders = {"c": {"d": Known(1, 2, 3, 4, 0o100644, content_of(bytes(32), "file"), b"", 0)}}
    index.save()
    again = Index.load(index.path)
    assert (again.root, again.empty, again.rules, again.folders) == (index.root, {"e"}, {"": b"r"}, index.folders)


def test_a_damaged_index_is_no_index(tmp_path: Path) -> None:
    index = Index(tmp_path / "i")
    index.folders = {"": {"a": Known(1)}}
    index.save()
    data = bytearray(index.path.read_bytes())
    data[-1] ^= 1
    index.path.write_bytes(data)
    assert Index.load(index.path).folders == {}
    index.path.write_bytes(b"rubbish")
    assert Index.load(index.path).folders == {}


def test_a_file_as_young_as_the_index_is_read_again(tmp_path: Path) -> None:
    index = Index(tmp_path / "i")
    top = write(tmp_path / "top", {"a": "1"})
    learn(top, index)
    index.save()
    assert [seen.path for seen in scan(top, Index.load(index.path)).touched] == ["a"]


@given(st.dictionaries(NAMES, st.binary(max_size=4)), st.dictionaries(NAMES, st.binary(max_size=4)))
def test_a_scan_finds_exactly_what_differs(before: dict[str, bytes], after: dict[str, bytes]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        top, index = Path(folder) / "top", Index(Path(folder) / "i")
        top.mkdir()
        learn(write(top, before), index)
        for path in before.keys() - after.keys():
            (top / path).unlink()
        written = {path for path in after if before.get(path) != after[path]}
        for path in written & before.keys():
            (top / path).unlink()
        write(top, {path: after[path] for path in written})
        found = scan(top, index)
        assert {seen.path for seen in found.touched} == written
        assert set(found.gone) == before.keys() - after.keys()


def test_a_look_follows_no_link_to_a_folder(tmp_path: Path) -> None:
    write(tmp_path / "outside", {"secret": "s"})
    top = write(tmp_path / "top", {"a": "1"})
    (top / "link").symlink_to(tmp_path / "outside")
    assert sorted(seen.path for seen in scan(top, Index(tmp_path / "i")).touched) == ["a", "link"]
