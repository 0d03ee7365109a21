"""The state of the code beside the data, read from git or Mercurial: which commit, and how the files differ from it."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Literal

import msgspec

from everloop.datasets.workspace.reading import hash_file

_SECONDS = 20
_NULL = "0" * 40
System = Literal["git", "hg", ""]


class Code(msgspec.Struct, frozen=True):
    """A code repository's commit, its branch, whether files differ from it, and the difference itself.

    Untracked files are named in the difference with their digests, never with their content: they may hold secrets.
    Outside of a repository every field is empty.
    """

    system: System = ""
    revision: str = ""
    branch: str = ""
    dirty: bool = False
    difference: bytes = b""


def code_of(folder: Path) -> Code:
    """The state of the git or Mercurial repository that a folder is in."""
    return _git_code(folder) or _mercurial_code(folder) or Code()


def repository_of(folder: Path) -> tuple[System, Path]:
    """The repository that a folder is in: which system keeps it, and its top; empty when there is none."""
    start = folder.resolve()
    for at in (start, *start.parents):
        if (at / ".git").exists():
            return "git", at
        if (at / ".hg").is_dir():
            return "hg", at
    return "", start


def run_git(folder: Path, *arguments: str) -> bytes | None:
    """What git says; nothing where it fails."""
    if not folder.is_dir():
        return None
    return _run("git", "-C", str(folder), *arguments, variables={"GIT_OPTIONAL_LOCKS": "0"})


def _git_code(folder: Path) -> Code | None:
    status = run_git(folder, "status", "--porcelain=v2", "--branch", "--untracked-files=all", "-z")
    if status is None:
        return None
    lines = status.decode(errors="surrogateescape").split("\0")
    headers = dict(line[2:].split(" ", 1) for line in lines if line.startswith("# ") and line.count(" ") > 1)
    changed = [line for line in lines if line and not line.startswith("# ")]
    revision = headers.get("branch.oid", "")
    return Code(
        "git",
        "" if revision == "(initial)" else revision,
        headers.get("branch.head", ""),
        bool(changed),
        _git_difference(folder, changed) if changed else b"",
    )


def _git_difference(folder: Path, changed: list[str]) -> bytes:
    root = Path((run_git(folder, "rev-parse", "--show-toplevel") or b".").decode().strip())
    # The paths of `status` are relative to the root of the repository.
    untracked = [line[2:] for line in changed if line.startswith("? ")]
    patch = run_git(folder, "diff", "HEAD", "--no-ext-diff", "--no-color", "--binary") or b""
    return patch + _named(root, untracked)


def _mercurial_code(folder: Path) -> Code | None:
    system, root = repository_of(folder)
    if system != "hg":
        return None
    found = _hg(root, "log", "-r", ".", "-T", "{node}\\n{branch}")
    status = _hg(root, "status", "--print0")
    if found is None or status is None:
        return None
    revision, _, branch = found.decode().partition("\n")
    changed = [line for line in status.decode(errors="surrogateescape").split("\0") if line]
    untracked = [line[2:] for line in changed if line.startswith("? ")]
    patch = (_hg(root, "diff", "--git") or b"") if changed else b""
    return Code("hg", "" if revision == _NULL else revision, branch, bool(changed), patch + _named(root, untracked))


def _hg(root: Path, *arguments: str) -> bytes | None:
    return _run("hg", "-R", str(root), "--cwd", str(root), *arguments, variables={"HGPLAIN": "1"})


def _named(root: Path, untracked: list[str]) -> bytes:
    lines = [f"untracked {path} {_file_digest(root / path)}\n" for path in sorted(untracked)]
    return "".join(lines).encode(errors="surrogateescape")


def _file_digest(path: Path) -> str:
    try:
        return hash_file(path) if path.is_file() else "gone"
    except OSError:
        return "unreadable"


def _run(program: str, *arguments: str, variables: dict[str, str]) -> bytes | None:
    command = shutil.which(program)
    if command is None:
        return None
    try:
        done = subprocess.run(  # a fixed command, no shell
            [command, *arguments],
            capture_output=True,
            timeout=_SECONDS,
            env=os.environ | variables | {"LC_ALL": "C"},
            check=False,
        )
    except subprocess.TimeoutExpired:
        return None
    return done.stdout if done.returncode == 0 else None
