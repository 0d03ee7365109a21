"""`everloop data …` as from a shell, beside a git repository."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from everloop.cli.bars import TerminalBars, progress
from everloop.cli.door import Door
from everloop.kernel.progress import SILENT
from tests.cli.conftest import Everloop
from tests.datasets.workspace.conftest import git, read, write


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a folder of data in it, as the current folder."""
    write(tmp_path / "work", {"images/a.txt": "one", "images/b.txt": "two"})
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "work"


def test_a_day_with_a_folder(bare: Everloop, work: Path) -> None:
    assert "images@1: 2 files" in bare("data", "add", "images", "-m", "first").out
    assert "clean" in bare("data", "status").out
    write(work, {"images/a.txt": "changed", "images/c.txt": "new"})
    assert bare("data", "status").out.split()[-4:] == ["M", "a.txt", "A", "c.txt"]
    assert bare("data", "add", "images", "--json").json["version"] == 2
    assert "1 files written, 1 removed" in bare("data", "checkout", "images", "--at", "1").out
    assert read(work / "images") == {"a.txt": "one", "b.txt": "two"}
    assert [row["version"] for row in bare("data", "log", "images", "--json").json] == [2, 1]


def test_add_takes_tables_and_folders(bare: Everloop, work: Path) -> None:
    write(work, {"table.csv": "a,b\n1,2\n"})
    assert bare("add", "table.csv", "--json").json["rows"] == 1
    assert bare("add", "images", "--json").json["files"] == 2


def test_checkout_without_a_folder_brings_all_back(bare: Everloop, work: Path) -> None:
    write(work, {"deep/sounds/x.wav": "x"})
    bare("data", "add", "images")
    bare("data", "add", "deep/sounds")
    before = read(work / "images"), read(work / "deep")
    shutil.rmtree(work / "images")
    shutil.rmtree(work / "deep" / "sounds")
    assert [one["written"] for one in bare("data", "checkout", "--json").json] == [2, 1]
    assert (read(work / "images"), read(work / "deep")) == before


def test_differences_are_shown_as_git_does(bare: Everloop, work: Path) -> None:
    bare("data", "add", "images")
    (work / "images" / "a.txt").rename(work / "images" / "z.txt")
    assert bare("data", "diff", "images").out.strip() == "R a.txt → z.txt"
    bare("data", "add", "images")
    assert bare("data", "diff", "images", "1", "2", "--json").json[0]["state"] == "renamed"


def test_tags_and_branches(bare: Everloop, work: Path) -> None:
    bare("data", "add", "images")
    assert bare("data", "tag", "images", "golden", "--json").json["version"] == 1
    assert bare("data", "branch", "images", "trial", "--json").json["name"] == "trial"
    write(work, {"images/a.txt": "tried"})
    bare("data", "add", "images")
    assert [b["name"] for b in bare("data", "branch", "images", "--json").json] == ["main", "trial"]
    bare("data", "checkout", "images", "--at", "main")
    assert bare("data", "merge", "images", "trial", "--json").json["written"] == 1
    assert read(work / "images")["a.txt"] == "tried"


def test_changed_files_are_not_overwritten_and_the_exit_code_says_so(bare: Everloop, work: Path) -> None:
    bare("data", "add", "images")
    write(work, {"images/a.txt": "precious"})
    ran = bare("data", "checkout", "images", "--json")
    assert (ran.code, "--force" in ran.problem["hint"]) == (6, True)


def test_where_there_is_no_metafile_the_way_to_one_is_said(bare: Everloop, work: Path) -> None:
    ran = bare("data", "status", "--json")
    assert (ran.code, "everloop data add" in ran.problem["hint"]) == (3, True)


def test_init_installs_the_merge_driver(bare: Everloop, work: Path) -> None:
    git(work, "init", "-q")
    assert ".gitattributes" in bare("data", "init").out
    assert "merge-driver" in git(work, "config", "merge.everloop.driver")
    assert bare("data", "init").out.strip() == "Nothing was to be done."


@pytest.fixture
def merging(work: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder as a git repository whose merge driver finds this `everloop`."""
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    git(work, "init", "-q", "-b", "main")
    git(work, "config", "user.name", "A. Author")
    git(work, "config", "user.email", "a@example.org")
    write(work, {".gitignore": ".everloop/\n"})
    return work


def commit(bare: Everloop, work: Path, branch: str, files: dict[str, str]) -> None:
    """Change the data on a branch of the code, and of the dataset."""
    made = bare("data", "add", str(write(work / "images", files)), "--branch", branch)
    assert made.code == 0, made.err
    git(work, "add", "-A")
    git(work, "commit", "-qm", branch)


@pytest.mark.slow
def test_git_merges_two_branches_of_data(bare: Everloop, merging: Path) -> None:
    commit(bare, merging, "main", {})
    git(merging, "checkout", "-qb", "side")
    commit(bare, merging, "side", {"a.txt": "side"})
    git(merging, "checkout", "-q", "main")
    assert bare("data", "checkout").code == 0
    commit(bare, merging, "main", {"b.txt": "main"})
    git(merging, "merge", "-q", "side", "-m", "both")
    assert bare("data", "checkout").code == 0
    assert read(merging / "images") == {"a.txt": "side", "b.txt": "main"}


@pytest.mark.slow
def test_git_is_told_which_paths_of_the_data_are_in_conflict(bare: Everloop, merging: Path) -> None:
    commit(bare, merging, "main", {})
    git(merging, "checkout", "-qb", "side")
    commit(bare, merging, "side", {"a.txt": "side"})
    git(merging, "checkout", "-q", "main")
    bare("data", "checkout")
    commit(bare, merging, "main", {"a.txt": "main"})
    ran = subprocess.run(["git", "merge", "side"], cwd=merging, capture_output=True, text=True, check=False)
    assert (ran.returncode, "both sides changed a.txt" in ran.stderr) == (1, True)


def test_nobody_is_shown_bars_where_no_terminal_is() -> None:
    with progress(Door()) as shown:
        assert shown is SILENT


def test_bars_follow_the_work() -> None:
    from rich.progress import Progress as Bars

    bars = Bars(disable=True)
    told = TerminalBars(bars)
    told.advance(1, 4, "reading", "bytes")
    told.advance(3, 4, "reading", "bytes")
    assert [(task.description, task.completed, task.total) for task in bars.tasks] == [("reading", 3, 4)]


@pytest.mark.slow
def test_status_does_not_load_the_platform(bare: Everloop, work: Path) -> None:
    bare("data", "add", "images")
    code = (
        "import sys; sys.argv = ['everloop', 'data', 'status']\nfrom everloop.cli.main import main\n"
        "try: main()\nexcept SystemExit: print(sorted({'sqlalchemy', 'numpy', 'rich'} & set(sys.modules)))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.splitlines()[-1] == "[]"
