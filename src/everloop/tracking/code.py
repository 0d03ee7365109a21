"""The state of the code that a run was made with, read from git."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from everloop.store.service import Store, digest_of
from everloop.tracking.entities import CodeRevision

_SECONDS = 20


def revision_of(folder: Path, store: Store | None = None) -> CodeRevision:
    """The commit that a folder stands at and how its files differ from it; empty outside of a git repository.

    With a store the difference is kept there. Untracked files are named in it with their digests, never with their
    content: they may hold secrets.
    """
    status = _git(folder, "status", "--porcelain=v2", "--branch", "--untracked-files=all", "-z")
    if status is None:
        return CodeRevision()
    lines = status.decode(errors="replace").split("\0")
    headers = dict(line[2:].split(" ", 1) for line in lines if line.startswith("# ") and line.count(" ") > 1)
    changed = [line for line in lines if line and not line.startswith("# ")]
    difference = _difference(folder, changed) if changed else b""
    digest = (store.put(difference) if store else digest_of(difference)) if difference else ""
    revision = headers.get("branch.oid", "")
    return CodeRevision(
        "" if revision == "(initial)" else revision, headers.get("branch.head", ""), bool(changed), digest
    )


def _difference(folder: Path, changed: list[str]) -> bytes:
    root = Path((_git(folder, "rev-parse", "--show-toplevel") or b".").decode().strip())
    # The paths of `status` are relative to the root of the repository.
    untracked = sorted(line[2:] for line in changed if line.startswith("? "))
    named = [f"untracked {path} {_file_digest(root / path)}\n" for path in untracked]
    return (_git(folder, "diff", "HEAD", "--no-ext-diff", "--no-color", "--binary") or b"") + "".join(named).encode()


def _file_digest(path: Path) -> str:
    return digest_of(path.read_bytes()) if path.is_file() else "gone"


def _git(folder: Path, *arguments: str) -> bytes | None:
    command = shutil.which("git")
    if command is None or not folder.is_dir():
        return None
    variables = os.environ | {"GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"}
    try:
        done = subprocess.run(  # a fixed command, no shell
            [command, "-C", str(folder), *arguments], capture_output=True, timeout=_SECONDS, env=variables, check=False
        )
    except subprocess.TimeoutExpired:
        return None
    return done.stdout if done.returncode == 0 else None
