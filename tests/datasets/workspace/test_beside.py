"""Beside git and Mercurial: they ignore the folder, keep and merge the metafile; each version notes the code."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from everloop.datasets.workspace.beside import install_driver, noted
from everloop.datasets.workspace.merging import merge_metafiles
from everloop.datasets.workspace.metafile import find_metafiles, folder_of, metafile_of, parse_metafile, read_metafile
from everloop.datasets.workspace.revision import code_of, repository_of
from everloop.datasets.workspace.workspace import Workspace
from everloop.kernel.errors import Conflict, InvalidInput, NotFound
from tests.datasets.workspace.conftest import Kept, git, read, write

Opened = Callable[[Path], Workspace]
needs_mercurial = pytest.mark.skipif(shutil.which("hg") is None, reason="Mercurial is not installed.")


def hg(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["hg", "--cwd", str(folder), *arguments],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"HGPLAIN": "1", "HGUSER": "A. Author"},
    )
    return done.stdout.strip()


def test_git_sees_the_metafile_and_not_the_folder(opened: Opened, repository: Path, images: Path) -> None:
    opened(images).add()
    seen = git(repository, "status", "--porcelain", "--untracked-files=all")
    assert seen.splitlines() == ["?? .gitattributes", "?? .gitignore", "?? images.everloop"]


def test_a_repository_that_ignores_the_metafile_too_is_left_as_it_is(
    opened: Opened, repository: Path, images: Path
) -> None:
    write(repository, {".gitignore": "/images*\n"})
    assert opened(images).add(note="first").remarks == ()
    assert not (repository / ".gitattributes").exists()
    assert (repository / ".gitignore").read_text() == "/images*\n"
    assert opened(images).log()[0].note == "first"


def test_what_was_changed_in_the_repository_is_told_once(opened: Opened, repository: Path, images: Path) -> None:
    told = " ".join(opened(images).add().remarks)
    assert ".gitignore" in told
    assert "merge driver" in told
    write(images, {"a.txt": "changed"})
    assert opened(images).add().remarks == ()


def test_a_version_notes_the_commit_of_the_code(opened: Opened, repository: Path, images: Path) -> None:
    write(repository, {"code.py": "1"})
    opened(images).add(note="before")
    git(repository, "add", "-A")
    git(repository, "commit", "-qm", "first")
    write(images, {"a.txt": "changed"})
    opened(images).add(note="after")
    newest, first = opened(images).log()
    assert newest.note == f"after\n\nCode: git {git(repository, 'rev-parse', 'HEAD')} on main"
    assert "before the first commit on main, changed (difference " in first.note


def test_untracked_files_are_named_and_not_quoted(repository: Path) -> None:
    write(repository, {"secret.env": "TOKEN=1", ".gitignore": "images/\n"})
    code = code_of(repository)
    assert (code.system, code.dirty) == ("git", True)
    assert b"untracked secret.env " in code.difference
    assert b"TOKEN" not in code.difference


def test_outside_of_a_repository_there_is_nothing_to_note(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert noted("words", tmp_path / "data") == "words"
    assert install_driver(tmp_path) == ()


@needs_mercurial
@pytest.mark.slow
def test_mercurial_sees_the_metafile_and_not_the_folder(opened: Opened, images: Path) -> None:
    hg(images.parent, "init")
    told = " ".join(opened(images).add().remarks)
    assert hg(images.parent, "status").splitlines() == ["? .hgignore", "? images.everloop"]
    assert "hgrc" in told


@needs_mercurial
@pytest.mark.slow
def test_a_version_notes_mercurial_s_commit_and_what_differs(opened: Opened, images: Path) -> None:
    top = images.parent
    hg(top, "init")
    opened(images).add()
    hg(top, "commit", "-A", "-m", "first")
    write(images, {"a.txt": "changed"})
    write(top, {"new.py": "x = 1"})
    opened(images).add()
    revision = hg(top, "log", "-r", ".", "-T", "{node}")
    assert f"Code: hg {revision} on default, changed" in opened(images).log()[0].note
    code = code_of(top)
    assert b"untracked new.py" in code.difference
    assert b"images.everloop" in code.difference


@needs_mercurial
def test_the_repository_that_is_nearest_counts(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    (tmp_path / "inner").mkdir()
    hg(tmp_path / "inner", "init")
    assert repository_of(tmp_path / "inner") == ("hg", tmp_path / "inner")
    assert repository_of(tmp_path) == ("git", tmp_path)


def sides(opened: Opened, images: Path, ours: dict[str, str], theirs: dict[str, str]) -> list[Path]:
    """The metafiles of a version and of two that were made from it."""
    found = []
    for number, files in enumerate(({}, ours, theirs)):
        opened(images).checkout("1", force=True) if number else None
        opened(images).branch(f"side{number}") if number else None
        opened(write(images, files)).add()
        found.append(images.with_name(f"side{number}"))
        shutil.copy(metafile_of(images), found[-1])
    return found


def test_metafiles_merge_as_their_trees_do(opened: Opened, images: Path, versions: Kept) -> None:
    files = sides(opened, images, {"a.txt": "ours"}, {"b.txt": "theirs", "new.txt": "new"})
    assert merge_metafiles(versions, files[0], files[1], files[2]) == []
    shutil.copy(files[1], metafile_of(images))
    opened(images).checkout(force=True)
    assert read(images) == {"a.txt": "ours", "b.txt": "theirs", "deep/er/c.txt": "three", "new.txt": "new"}
    assert read_metafile(metafile_of(images)).files == 4


def test_a_path_that_both_sides_changed_is_a_conflict(opened: Opened, images: Path, versions: Kept) -> None:
    files = sides(opened, images, {"a.txt": "ours"}, {"a.txt": "theirs"})
    before = files[1].read_bytes()
    assert merge_metafiles(versions, files[0], files[1], files[2]) == ["a.txt"]
    assert files[1].read_bytes() == before


def test_metafiles_of_two_datasets_do_not_merge(opened: Opened, images: Path, versions: Kept) -> None:
    opened(images).add()
    other = write(images.with_name("other"), {"x": "1"})
    opened(other).add()
    with pytest.raises(InvalidInput, match="two datasets"):
        merge_metafiles(versions, metafile_of(images), metafile_of(images), metafile_of(other))


def test_a_branch_is_merged_into_the_folder_s(opened: Opened, images: Path) -> None:
    opened(images).add()
    opened(images).branch("trial")
    write(images, {"new.txt": "tried"})
    opened(images).add()
    opened(images).checkout("main")
    write(images, {"a.txt": "changed"})
    opened(images).add()
    opened(images).merge("trial")
    assert (read(images)["new.txt"], read(images)["a.txt"]) == ("tried", "changed")
    assert opened(images).status().clean


def test_conflicts_of_a_merge_are_listed_and_nothing_changes(opened: Opened, images: Path) -> None:
    opened(images).add()
    opened(images).branch("trial")
    opened(write(images, {"a.txt": "tried"})).add()
    opened(images).checkout("main")
    opened(write(images, {"a.txt": "changed"})).add()
    with pytest.raises(Conflict, match=r"a\.txt"):
        opened(images).merge("trial")
    assert read(images)["a.txt"] == "changed"
    opened(images).merge("trial", "theirs")
    assert read(images)["a.txt"] == "tried"


def test_a_metafile_is_a_line_for_each_key_in_order(opened: Opened, images: Path) -> None:
    opened(images).add()
    lines = metafile_of(images).read_text().splitlines()
    keys = [line.split('"')[1] for line in lines[1:-1]]
    assert keys == sorted(keys) == ["branch", "commit", "dataset", "files", "format", "root", "size"]


def test_a_metafile_with_marks_of_a_merge_says_how_to_go_on() -> None:
    with pytest.raises(InvalidInput, match="everloop data init"):
        parse_metafile(b"{\n<<<<<<< ours\n", "images.everloop")


def test_metafiles_are_found_below_a_folder(tmp_path: Path) -> None:
    write(tmp_path, {"b.everloop": "", "x/a.everloop": "", "b/not/this.everloop": "", ".everloop/not": ""})
    assert find_metafiles(tmp_path) == [tmp_path / "b.everloop", tmp_path / "x" / "a.everloop"]


def test_a_metafile_may_be_named_in_place_of_its_folder(tmp_path: Path) -> None:
    write(tmp_path, {"images.everloop": ""})
    assert folder_of(tmp_path / "images.everloop") == tmp_path / "images"
    with pytest.raises(NotFound, match="everloop data add"):
        read_metafile(tmp_path / "none.everloop")
