"""The state of the code beside the data, as git tells it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from everloop.datasets.workspace import revision
from everloop.datasets.workspace.revision import Code, code_of, repository_of, run_git
from everloop.store.service import digest_of
from tests.datasets.workspace.conftest import git, write


@pytest.fixture
def committed(repository: Path) -> Path:
    """A repository with one commit."""
    write(repository, {"train.py": "one\n", ".gitignore": "images\n"})
    git(repository, "add", ".")
    git(repository, "commit", "-qm", "first")
    return repository


class TestGit:
    def test_a_commit_is_told_with_its_branch(self, committed: Path) -> None:
        assert code_of(committed) == Code("git", git(committed, "rev-parse", "HEAD"), "main")

    def test_a_folder_inside_tells_the_same(self, committed: Path) -> None:
        inner = committed / "src" / "deep"
        inner.mkdir(parents=True)
        assert code_of(inner) == code_of(committed)

    def test_before_the_first_commit_there_is_no_revision(self, repository: Path) -> None:
        shutil.rmtree(repository / "images")
        assert code_of(repository) == Code("git", "", "main")

    def test_without_a_branch_it_says_so(self, committed: Path) -> None:
        git(committed, "checkout", "-q", "--detach")
        assert code_of(committed).branch == "(detached)"

    def test_what_differs_can_be_applied_to_the_commit(self, committed: Path, tmp_path: Path) -> None:
        write(committed, {"train.py": "two\n"})
        found = code_of(committed)
        assert found.dirty
        git(tmp_path, "clone", "-q", str(committed), "copy")
        subprocess.run(["git", "-C", str(tmp_path / "copy"), "apply"], input=found.difference, check=True)
        assert (tmp_path / "copy" / "train.py").read_text() == "two\n"

    def test_what_is_staged_differs_too(self, committed: Path) -> None:
        write(committed, {"train.py": "two\n"})
        git(committed, "add", "train.py")
        assert b"+two" in code_of(committed).difference

    def test_a_renamed_file_is_a_difference_and_no_untracked_one(self, committed: Path) -> None:
        git(committed, "mv", "train.py", "fit.py")
        found = code_of(committed)
        assert found.dirty
        assert b"untracked" not in found.difference

    def test_untracked_files_are_told_by_their_digests_in_order(self, committed: Path) -> None:
        write(committed, {"b.py": "secret", "a b.py": "other", "src/é.py": "third"})
        lines = code_of(committed / "images").difference.decode().splitlines()
        wanted = [("a b.py", b"other"), ("b.py", b"secret"), ("src/é.py", b"third")]
        assert lines == [f"untracked {name} {digest_of(data)}" for name, data in wanted]

    def test_a_link_to_nothing_is_gone(self, committed: Path) -> None:
        (committed / "dangling").symlink_to("nowhere")
        assert code_of(committed).difference == b"untracked dangling gone\n"

    def test_a_file_that_cannot_be_read_is_said_to_be_so(
        self, committed: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        write(committed, {"locked.py": "x"})
        monkeypatch.setattr(revision, "hash_file", lambda _: (_ for _ in ()).throw(PermissionError(13, "denied")))
        assert code_of(committed).difference == b"untracked locked.py unreadable\n"

    def test_what_git_ignores_is_no_difference(self, committed: Path) -> None:
        write(committed, {"images/new.jpg": "x"})
        assert not code_of(committed).dirty

    def test_people_s_own_settings_change_nothing(self, committed: Path) -> None:
        write(committed, {"train.py": "two\n", "new.py": "x"})
        plain = code_of(committed)
        for setting in ("color.ui=always", "diff.noprefix=true", "status.showUntrackedFiles=no", "diff.external=false"):
            git(committed, "config", *setting.split("="))
        found = code_of(committed)
        assert (found.revision, found.dirty) == (plain.revision, True)
        assert b"untracked new.py" in found.difference
        assert b"\x1b[" not in found.difference


class TestRepositories:
    def test_outside_of_any_there_is_none(self, tmp_path: Path) -> None:
        assert repository_of(tmp_path) == ("", tmp_path.resolve())
        assert code_of(tmp_path) == Code()

    def test_a_worktree_has_a_file_and_is_one_all_the_same(self, tmp_path: Path) -> None:
        write(tmp_path, {".git": "gitdir: elsewhere"})
        assert repository_of(tmp_path / "deep" / "er")[0] == "git"

    def test_a_file_called_hg_is_none(self, tmp_path: Path) -> None:
        write(tmp_path, {".hg": ""})
        assert repository_of(tmp_path)[0] == ""

    def test_a_repository_that_is_broken_is_none(self, tmp_path: Path) -> None:
        (tmp_path / ".git").mkdir()
        assert code_of(tmp_path) == Code()


class TestRunning:
    def test_where_git_is_not_installed_nothing_is_said(self, committed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(shutil, "which", lambda _: None)
        assert run_git(committed, "status") is None
        assert code_of(committed) == Code()

    def test_a_program_that_hangs_is_not_waited_for(self, committed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def hangs(*_: object, **__: object) -> None:
            raise subprocess.TimeoutExpired("git", 20)

        monkeypatch.setattr(subprocess, "run", hangs)
        assert run_git(committed, "status") is None

    def test_a_folder_that_is_not_there_has_nothing_to_say(self, tmp_path: Path) -> None:
        assert run_git(tmp_path / "nowhere", "status") is None

    def test_what_fails_says_nothing(self, committed: Path) -> None:
        assert run_git(committed, "rev-parse", "--verify", "nowhere") is None
