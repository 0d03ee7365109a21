"""The state of the code, read from real git repositories."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from everloop.catalog.session import Session
from everloop.store.entities import Digest
from everloop.tracking.code import revision_of
from everloop.tracking.entities import CodeRevision


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"]
    done = subprocess.run(["git", "-C", str(folder), *identity, *arguments], check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "code"
    folder.mkdir()
    git(folder, "init", "-q", "-b", "trunk")
    (folder / "a.py").write_text("one\n")
    git(folder, "add", ".")
    git(folder, "commit", "-q", "-m", "first")
    return folder


def test_a_clean_repository_has_a_revision_and_a_branch(repository: Path) -> None:
    assert revision_of(repository) == CodeRevision(git(repository, "rev-parse", "HEAD"), "trunk", False, "")


def test_a_changed_file_makes_it_dirty_and_the_difference_is_kept(repository: Path, session: Session) -> None:
    (repository / "a.py").write_text("two\n")
    found = revision_of(repository, session.store)
    assert found.dirty
    assert b"-one\n+two\n" in session.store.get(Digest(found.diff_digest))
    assert revision_of(repository).diff_digest == found.diff_digest


def test_a_staged_file_makes_it_dirty_too(repository: Path) -> None:
    (repository / "a.py").write_text("two\n")
    before = revision_of(repository)
    git(repository, "add", "a.py")
    assert revision_of(repository) == before


def test_an_untracked_file_is_named_but_its_content_is_not_kept(repository: Path, session: Session) -> None:
    (repository / "deep").mkdir()
    (repository / "deep" / ".env").write_text("TOKEN=s3cret\n")
    found = revision_of(repository / "deep", session.store)
    kept = session.store.get(Digest(found.diff_digest))
    assert found.dirty
    assert b"untracked deep/.env" in kept
    assert b"s3cret" not in kept
    (repository / "deep" / ".env").write_text("TOKEN=other\n")
    assert revision_of(repository).diff_digest != found.diff_digest


def test_an_ignored_file_does_not_make_it_dirty(repository: Path) -> None:
    (repository / ".git" / "info" / "exclude").write_text("*.log\n")
    (repository / "a.log").write_text("x")
    assert not revision_of(repository).dirty


def test_a_repository_without_a_commit_has_no_revision(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q", "-b", "trunk")
    (tmp_path / "a").write_text("x")
    found = revision_of(tmp_path)
    assert (found.revision, found.branch, found.dirty) == ("", "trunk", True)


def test_a_folder_outside_of_git_has_nothing(tmp_path: Path) -> None:
    assert revision_of(tmp_path) == CodeRevision()
    assert revision_of(tmp_path / "gone") == CodeRevision()


def test_without_git_there_is_nothing(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert revision_of(repository) == CodeRevision()
