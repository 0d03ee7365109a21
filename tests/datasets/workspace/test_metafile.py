"""The metafile: a small file that git can merge, written whole or not at all, and refused where it is damaged."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from everloop.datasets.workspace.entities import Metafile
from everloop.datasets.workspace.metafile import (
    find_metafiles,
    folder_of,
    metafile_of,
    parse_metafile,
    read_metafile,
    write_metafile,
)
from everloop.kernel.errors import InvalidInput, NotFound
from everloop.store.entities import Digest
from tests.datasets.workspace.conftest import write

SOME = Metafile(dataset="images", files=3, root=Digest("a" * 64), size=11, commit="b" * 64)
TEXT = """{
  "branch": "main",
  "commit": "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb",
  "dataset": "images",
  "files": 3,
  "format": 1,
  "root": "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
  "size": 11
}
"""


class TestWriting:
    def test_is_a_line_for_each_key(self, tmp_path: Path) -> None:
        write_metafile(tmp_path / "images.everloop", SOME)
        assert (tmp_path / "images.everloop").read_text() == TEXT

    def test_leaves_nothing_else_behind(self, tmp_path: Path) -> None:
        for _ in range(2):
            write_metafile(tmp_path / "images.everloop", SOME)
        assert [path.name for path in tmp_path.iterdir()] == ["images.everloop"]

    def test_that_fails_leaves_what_was_there(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        path = tmp_path / "images.everloop"
        write_metafile(path, SOME)
        monkeypatch.setattr(Path, "replace", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
        with pytest.raises(OSError, match="No space"):
            write_metafile(path, Metafile(dataset="other", files=0, root=Digest("c" * 64), size=0))
        assert read_metafile(path) == SOME

    @given(name=st.text(st.characters(codec="utf-8"), max_size=12), files=st.integers(0, 2**60))
    def test_loses_nothing(self, tmp_path_factory: pytest.TempPathFactory, name: str, files: int) -> None:
        path = tmp_path_factory.getbasetemp() / "any.everloop"
        told = Metafile(dataset=name, files=files, root=Digest("a" * 64), size=files)
        write_metafile(path, told)
        assert read_metafile(path) == told


class TestReading:
    def test_of_none_says_how_to_begin(self, tmp_path: Path) -> None:
        with pytest.raises(NotFound, match="No such file or directory") as missing:
            read_metafile(tmp_path / "images.everloop")
        assert missing.value.hint == "Put the folder under versions: everloop data add images."

    def test_of_a_folder_of_that_name_is_none_either(self, tmp_path: Path) -> None:
        (tmp_path / "images.everloop").mkdir()
        with pytest.raises(NotFound, match="Is a directory"):
            read_metafile(tmp_path / "images.everloop")

    @pytest.mark.parametrize(
        "text",
        [
            *("", "{", "[]", "null", "{}", TEXT.replace('"files": 3', '"files": "three"')),
            *(TEXT.replace('"format": 1', '"format": 2'), TEXT.replace('"size"', '"sizes"'), TEXT[:-3]),
        ],
    )
    def test_of_something_else_is_refused(self, text: str) -> None:
        with pytest.raises(InvalidInput, match=r"images\.everloop is no metafile") as refused:
            parse_metafile(text.encode(), "images.everloop")
        assert refused.value.hint == "Restore it from git."

    def test_with_the_marks_of_a_merge_says_how_to_go_on(self) -> None:
        with pytest.raises(InvalidInput) as refused:
            parse_metafile(b"<<<<<<< HEAD\n" + TEXT.encode(), "x")
        assert "everloop data init" in refused.value.hint

    def test_takes_what_older_ones_left_out(self) -> None:
        told = parse_metafile(b'{"dataset":"d","files":0,"root":"r","size":0}', "x")
        assert (told.branch, told.commit, told.format) == ("main", "", 1)


class TestNames:
    def test_it_stands_beside_its_folder(self) -> None:
        assert metafile_of(Path("data/images")) == Path("data/images.everloop")
        assert metafile_of(Path("data/images.v2")) == Path("data/images.v2.everloop")

    def test_it_may_be_named_in_place_of_its_folder(self, tmp_path: Path) -> None:
        write(tmp_path, {"images.everloop": TEXT})
        assert folder_of(tmp_path / "images.everloop") == folder_of(tmp_path / "images") == tmp_path / "images"

    def test_a_folder_that_is_called_so_is_a_folder(self, tmp_path: Path) -> None:
        (tmp_path / "odd.everloop").mkdir()
        assert folder_of(tmp_path / "odd.everloop") == tmp_path / "odd.everloop"


class TestFinding:
    def found(self, top: Path) -> list[str]:
        return [path.relative_to(top).as_posix() for path in find_metafiles(top)]

    def test_goes_through_folders_in_order(self, tmp_path: Path) -> None:
        write(tmp_path, dict.fromkeys(("b.everloop", "a.everloop", "z/c.everloop", "y/x/d.everloop", "y/e.txt"), ""))
        assert self.found(tmp_path) == ["a.everloop", "b.everloop", "y/x/d.everloop", "z/c.everloop"]

    def test_does_not_look_into_the_data(self, tmp_path: Path) -> None:
        write(tmp_path, dict.fromkeys(("a.everloop", "a/inner.everloop", "a/deep/er.everloop"), ""))
        assert self.found(tmp_path) == ["a.everloop"]

    def test_leaves_out_what_is_hidden_or_ours(self, tmp_path: Path) -> None:
        write(tmp_path, dict.fromkeys((".everloop", ".everloop-a.everloop", ".git/a.everloop", ".venv/b.everloop"), ""))
        assert self.found(tmp_path) == []

    def test_of_a_folder_that_is_not_there_are_none(self, tmp_path: Path) -> None:
        assert find_metafiles(tmp_path / "nowhere") == []
