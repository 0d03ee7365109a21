"""The state of the code that a run was made with, read from git or Mercurial."""

from __future__ import annotations

from pathlib import Path

from everloop.datasets.workspace.revision import code_of
from everloop.store.service import Store, digest_of
from everloop.tracking.entities import CodeRevision


def revision_of(folder: Path, store: Store | None = None) -> CodeRevision:
    """The commit that a folder stands at and how its files differ from it; empty outside of a repository.

    With a store the difference is kept there. Untracked files are named in it with their digests, never with their
    content: they may hold secrets.
    """
    code = code_of(folder)
    digest = (store.put(code.difference) if store else digest_of(code.difference)) if code.difference else ""
    return CodeRevision(code.revision, code.branch, code.dirty, digest)
