"""Folders of files under versions, in Python: `platform.data.add("images")`, as `everloop data add images`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from everloop.app import settings
from everloop.app.platform import Platform
from everloop.app.remote import RemotePlatform
from everloop.datasets.entities import Snapshot
from everloop.datasets.history.entities import Branch, OnConflict, Tag
from everloop.datasets.remotes.entities import Push
from everloop.datasets.workspace.entities import Added, CheckedOut, FileChange, FolderStatus, LinkMode
from everloop.datasets.workspace.exchange import Exported, export_dvc, export_version, import_dvc
from everloop.datasets.workspace.workspace import Workspace
from everloop.store.service import Store

Folder = str | os.PathLike[str]


class Data:
    """The verbs of working copies. They work on this machine's disk, with the versions of this platform."""

    def __init__(self, platform: Platform | RemotePlatform, project: str) -> None:
        self._versions = _Versions(platform, project)

    def add(self, folder: Folder, name: str = "", note: str = "", branch: str = "") -> Added:
        """Commit a folder as a new version of a dataset. Only files that changed since the last time are read.

        Raises:
            InvalidInput: a file cannot be kept; it is named.
            Conflict: somebody else committed to the branch meanwhile.
        """
        return self._at(folder).add(name, note, branch)

    def status(self, folder: Folder) -> FolderStatus:
        """What was added, modified, removed or renamed since the version that the folder's metafile names."""
        return self._at(folder).status()

    def diff(self, folder: Folder, before: str = "", after: str = "") -> tuple[FileChange, ...]:
        """The files that differ: from the metafile's version to the folder, from `before` to it, or to `after`."""
        return self._at(folder).diff(before, after)

    def checkout(
        self,
        folder: Folder,
        at: str = "",
        *,
        only: tuple[str, ...] = (),
        force: bool = False,
        link: LinkMode = "copy",
        name: str = "",
    ) -> CheckedOut:
        """Make a folder equal to a version; `name` is the dataset where the folder has no metafile yet.

        Raises:
            Refused: changed files that are in no store would be lost.
        """
        return self._at(folder).checkout(at, only=only, force=force, link=link, name=name)

    def log(self, folder: Folder, limit: int = 0) -> list[Snapshot]:
        """The versions that led to where the folder's branch stands, newest first."""
        return self._at(folder).log(limit)

    def tag(self, folder: Folder, tag: str, at: str = "", note: str = "") -> Tag:
        """Name the version that the folder shows, or another."""
        return self._at(folder).tag(tag, at, note)

    def branch(self, folder: Folder, branch: str, at: str = "") -> Branch:
        """Make a branch at the version that the folder shows (or another), and commit to it from now on."""
        return self._at(folder).branch(branch, at)

    def merge(self, folder: Folder, branch: str, on_conflict: OnConflict = "fail") -> CheckedOut:
        """Merge another branch into the folder's branch, and make the folder equal to the result.

        Raises:
            Conflict: both sides changed the same paths differently; they are named.
        """
        return self._at(folder).merge(branch, on_conflict)

    def push(self, folder: Folder, remote: str = "", branch: str = "") -> Push:
        """Bring what a remote lacks of the folder's branch there. Interrupted, it continues.

        Raises:
            Conflict: the remote's branch has gone another way: pull, merge, and push again.
        """
        return self._at(folder).push(remote, branch)

    def pull(self, folder: Folder, remote: str = "", branch: str = "", *, only: str = "") -> CheckedOut:
        """Bring the folder's branch here from a remote, and the folder to the version that its metafile names."""
        return self._at(folder).pull(remote, branch, only=only)

    def import_dvc(self, repository: Folder, name: str = "", only: tuple[str, ...] = ()) -> Snapshot:
        """Commit what a DVC repository tracks (or some paths of it) as a version of a dataset; MD5s are verified."""
        return import_dvc(self._versions, Path(repository), name, only)

    def export(self, dataset: str, target: Folder, at: str = "") -> Exported:
        """Write a version to a folder, or to an archive where the target ends with .zip, .tar or .tar.gz."""
        return export_version(self._versions, dataset, at, Path(target))

    def export_dvc(self, dataset: str, repository: Folder, path: str = "", at: str = "") -> Exported:
        """Write a version into a DVC repository, as DVC 3 keeps it."""
        return export_dvc(self._versions, dataset, at, Path(repository), path)

    def _at(self, folder: Folder) -> Workspace:
        return Workspace(Path(folder), self._versions)


class _Versions:
    """A platform as a working copy sees it."""

    def __init__(self, platform: Platform | RemotePlatform, project: str) -> None:
        self._platform = platform
        self._project = project

    @property
    def home(self) -> Path:
        """The folder for caches: of a server's versions too it is on this machine."""
        if isinstance(self._platform, RemotePlatform):
            return Path(settings.load().values.home)
        return self._platform.resources.home

    @property
    def store(self) -> Store:
        """The store of bytes; a server's is worked with as if it were here, and only what it lacks travels."""
        return self._platform.store if isinstance(self._platform, RemotePlatform) else self._platform.resources.store

    def version(self, dataset: str, number: int) -> None:
        """Nothing: the platform is open, and may be asked for it."""

    def call(self, name: str, arguments: Mapping[str, object]) -> Any:
        """Call a use case."""
        return self._platform.call(name, arguments, project=self._project)
