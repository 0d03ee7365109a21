"""The verbs of a working copy: add, status, diff, checkout, and the history of the dataset that it shows."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from everloop.datasets.workspace.entities import Added, CheckedOut, FileChange, FolderStatus, LinkMode, Metafile, State
from everloop.datasets.workspace.ignore import OURS
from everloop.datasets.workspace.index import Index, index_path
from everloop.datasets.workspace.metafile import folder_of, metafile_of, read_metafile, write_metafile
from everloop.datasets.workspace.scan import scan, within
from everloop.kernel.errors import Conflict, InvalidInput, NotFound, Refused
from everloop.kernel.progress import SILENT, Progress

if TYPE_CHECKING:
    from everloop.datasets.entities import Snapshot
    from everloop.datasets.history.entities import Branch, Merge, OnConflict, Tag
    from everloop.datasets.remotes.entities import Pull, Push
    from everloop.store.entities import Digest
    from everloop.store.service import Store

ONLY = f"{OURS}-only"
"""The file in a folder that lists, a line each, the paths that were checked out, when not all were."""
_NAMED = 10
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9._-]+")


class Versions(Protocol):
    """The platform that keeps the versions. It is asked for when it is needed: most looks at a folder need none."""

    @property
    def home(self) -> Path:
        """The folder for caches."""
        ...

    @property
    def store(self) -> Store:
        """The store of bytes."""
        ...

    def version(self, dataset: str, number: int) -> Metafile | None:
        """A version of files, if it can be had at once; without, it is asked for by a call."""
        ...

    def call(self, name: str, arguments: Mapping[str, object]) -> Any:
        """Call a use case."""
        ...


class Workspace:
    """A folder of files, its metafile, and the platform that keeps its versions."""

    def __init__(self, path: Path, versions: Versions, progress: Progress = SILENT) -> None:
        self.folder = folder_of(path.absolute())
        self.versions = versions
        self._progress = progress

    @property
    def metafile(self) -> Path:
        """Where the metafile is."""
        return metafile_of(self.folder)

    @cached_property
    def index(self) -> Index:
        """What is known of the folder's files."""
        return Index.load(index_path(self.versions.home, self.folder))

    @property
    def only(self) -> tuple[str, ...]:
        """The paths that were checked out; none means all."""
        try:
            return tuple((self.folder / ONLY).read_text().split("\n")[:-1])
        except OSError:
            return ()

    @property
    def dataset(self) -> str:
        """The dataset that the folder shows."""
        return read_metafile(self.metafile).dataset

    def status(self) -> FolderStatus:
        """How the folder stands to the version that its metafile names."""
        named = read_metafile(self.metafile)
        self._require_folder()
        self._take_base(named.root)
        found = scan(self.folder, self.index, self.only)
        from everloop.datasets.workspace.stand import changes_of

        changes = changes_of(self.folder, self.index, found)
        if found.touched:
            self.index.save()
        return FolderStatus(named.dataset, named.branch, named.root, not changes, found.files, tuple(changes))

    def add(self, name: str = "", note: str = "", branch: str = "") -> Added:
        """Commit the folder as the next version of a dataset: the metafile's, or one with the folder's name.

        Raises:
            InvalidInput: a file cannot be kept.
            Conflict: a file keeps changing, or somebody else committed to the branch meanwhile.
        """
        from everloop.datasets.workspace import adding, beside

        self._require_folder()
        if self.versions.home.absolute().is_relative_to(self.folder):
            raise InvalidInput(
                f"{self.folder} holds Everloop's own home: its versions would be in each other.",
                hint="Add the folders of data in it, one by one.",
            )
        before = read_metafile(self.metafile) if self.metafile.exists() else None
        if before is not None:
            self._take_base(before.root, lenient=not self.only)
        dataset = name or (before.dataset if before else default_name(self.folder))
        line = branch or (before.branch if before else "main")
        if before is not None and before.dataset == dataset and line != before.branch:
            self._begin(line)
        remarks = beside.install(self.folder)
        only = self.only
        taken = adding.take(self.versions.store, self.folder, self.index, only, self._progress)
        made = self._commit(dataset, line, taken.root, before, note)
        self.index.commit(taken.root, lambda path: not within(path, only))
        self._settle(made, line)
        return Added(
            dataset,
            made.version,
            made.commit,
            taken.root,
            taken.files,
            taken.size,
            taken.read_files,
            taken.read_bytes,
            (*taken.remarks, *remarks),
        )

    def checkout(
        self, at: str = "", *, only: tuple[str, ...] = (), force: bool = False, link: LinkMode = "copy", name: str = ""
    ) -> CheckedOut:
        """Make the folder equal to a version: the metafile's, or another; files that are equal are not touched.

        Raises:
            Refused: changed files that are in no store would be lost.
        """
        from everloop.datasets.workspace import switching
        from everloop.datasets.workspace.placing import Placer, links_for

        named = read_metafile(self.metafile) if not name or self.metafile.exists() else None
        target = self._target(named, name, at)
        whole = not only or not self.folder.exists() or bool(self.only)
        if named is not None:
            self._take_base(named.root, lenient=True)
        chosen = tuple(path.strip("/") for path in only) or self.only
        try:
            made = switching.plan(self.versions.store, self.folder, self.index, target.root, chosen)
        except NotFound:
            raise self._not_here() from None
        if not force:
            switching.refuse_losses(made)
        links = links_for(self.versions.store, self.versions.home / "workspace" / "links", link)
        placer = Placer(self.versions.store, self.folder, self.index, links)
        written = switching.apply(self.folder, self.index, made, placer, self._progress)
        self.folder.mkdir(parents=True, exist_ok=True)
        if whole and only:
            self._narrow(only)
        return self._checked_out(named, target, whole, written, len(made.removals), link)

    def diff(self, before: str = "", after: str = "") -> tuple[FileChange, ...]:
        """The files that differ between two versions; without `after`, from one (the metafile's) to the folder."""
        if not before:
            return self.status().changes
        named = read_metafile(self.metafile)
        old = self._target(named, "", before).root
        if after:
            return _between(self.versions.store, old, self._target(named, "", after).root)
        self._take_base(old)
        return self._unsaved_changes()

    def log(self, limit: int = 0) -> list[Snapshot]:
        """The versions that led to where the folder's branch stands, newest first."""
        named = read_metafile(self.metafile)
        found: list[Snapshot] = self.versions.call(
            "datasets.log", {"name": named.dataset, "at": named.branch, "limit": limit}
        )
        return found

    def tag(self, tag: str, at: str = "", note: str = "") -> Tag:
        """Name the version that the folder shows, or another."""
        where = at or str(self.version().version)
        made: Tag = self.versions.call("datasets.tag", {"name": self.dataset, "tag": tag, "at": where, "note": note})
        return made

    def branch(self, branch: str, at: str = "") -> Branch:
        """Make a branch at the version that the folder shows, or another, and commit to it from now on.

        The folder's files stay as they are, changed ones too.
        """
        named = read_metafile(self.metafile)
        where = at or str(self.version().version)
        made: Branch = self.versions.call("datasets.branch", {"name": named.dataset, "branch": branch, "at": where})
        if not at:
            write_metafile(self.metafile, msgspec.structs.replace(named, branch=branch))
        return made

    def branches(self) -> list[Branch]:
        """The branches of the folder's dataset."""
        found: list[Branch] = self.versions.call("datasets.branches", {"name": self.dataset})
        return found

    def version(self) -> Snapshot:
        """The version that the metafile names.

        Raises:
            NotFound: this platform does not have it.
        """
        named = read_metafile(self.metafile)
        for snapshot in self.versions.call("datasets.log", {"name": named.dataset}):
            if named.commit in (snapshot.commit, "") and snapshot.digest == named.root:
                found: Snapshot = snapshot
                return found
        raise NotFound(
            f"This platform has no version of {named.dataset!r} with commit {named.commit[:12]}.",
            hint="Pull it first: everloop data pull.",
        )

    def merge(self, branch: str, on_conflict: OnConflict = "fail") -> CheckedOut:
        """Merge another branch into the folder's branch, and make the folder equal to the result.

        Raises:
            Refused: the folder has changes that are in no version.
            Conflict: both sides changed the same paths differently; they are named.
        """
        stands = self.status()
        if branch == stands.branch:
            raise InvalidInput(
                f"{self.folder.name} shows {branch} itself.",
                hint=f"Go to the branch that is to have it first: everloop data checkout {self.folder.name} --at main.",
            )
        if not stands.clean:
            raise Refused(f"{self.folder} has changes.", hint="Add them first: everloop data add.")
        arguments = {"name": stands.dataset, "branch": branch, "into": stands.branch, "on_conflict": on_conflict}
        merged: Merge = self.versions.call("datasets.merge", arguments)
        if merged.outcome == "conflicts":
            paths = ", ".join(conflict.path for conflict in merged.listed[:_NAMED])
            raise Conflict(
                f"{merged.conflicts} paths were changed on both sides: {paths}.",
                hint="Make them equal on one branch, or say whose side wins: --on-conflict ours or theirs.",
            )
        return msgspec.structs.replace(self.checkout(stands.branch), version=merged.version)

    def push(self, remote: str = "", branch: str = "") -> Push:
        """Bring a branch or tag of the folder's dataset (the metafile's branch) to a remote.

        Raises:
            Conflict: the remote's branch has gone another way: pull, merge, and push again.
        """
        named = read_metafile(self.metafile)
        arguments = {"name": remote or self._remote(), "dataset": named.dataset, "branch": branch or named.branch}
        made: Push = self.versions.call("remotes.push", arguments)
        return made

    def pull(self, remote: str = "", branch: str = "", *, only: str = "") -> CheckedOut:
        """Bring a branch from a remote here, and make the folder equal to the version that its metafile names.

        Later versions of the branch come too, and are shown by `checkout` when they are asked for. With `only`, just
        what is at or below this path travels: it becomes a version on a branch of its own, which the folder then shows.
        """
        named = read_metafile(self.metafile)
        arguments = {"name": remote or self._remote(), "dataset": named.dataset, "branch": branch or named.branch}
        pulled: Pull = self.versions.call("remotes.pull", arguments | {"below": only})
        return self.checkout(pulled.branch if only else "")

    def _remote(self) -> str:
        known = [remote.name for remote in self.versions.call("remotes.list", {})]
        if len(known) != 1:
            raise InvalidInput(
                f"There are {len(known)} remotes: which one?" if known else "There is no remote.",
                hint=f"Name one of {', '.join(known)}." if known else "everloop remotes add NAME URL makes one known.",
            )
        return str(known[0])

    def _unsaved_changes(self) -> tuple[FileChange, ...]:
        """The changes against the base that the index has now, which is not the metafile's: nothing is saved."""
        from everloop.datasets.workspace.stand import changes_of

        return tuple(changes_of(self.folder, self.index, scan(self.folder, self.index, self.only)))

    def _target(self, named: Metafile | None, name: str, at: str) -> Metafile:
        """The version to show: the metafile's, or the one that `at` names."""
        if named is not None and not at and name in ("", named.dataset):
            return named
        dataset = name or (named.dataset if named else "")
        line = self._line(dataset, at, named)
        if at.isdecimal() and (found := self.versions.version(dataset, int(at))):
            return msgspec.structs.replace(found, branch=line or found.branch)
        snapshot: Snapshot = self.versions.call("datasets.get", {"name": dataset, "at": at})
        if snapshot.kind != "files":
            raise InvalidInput(f"{dataset}@{snapshot.version} is a table.", hint="Export it: everloop datasets --help.")
        return msgspec.structs.replace(metafile_for(snapshot), branch=line or snapshot.branch)

    def _line(self, dataset: str, at: str, named: Metafile | None) -> str:
        """The branch to go on in: that which `at` names, else that which is shown; "" for that of the version.

        The branch that a version was made on is none to go by: after a merge that only moves on, others stand there.
        """
        if at and not at.isdecimal():
            known: list[Branch] = self.versions.call("datasets.branches", {"name": dataset})
            if at in (branch.name for branch in known):
                return at
        if named is not None and named.dataset == dataset:
            return named.branch
        return "" if at else "main"

    def _begin(self, branch: str) -> None:
        """Make a branch at the version that the folder shows, unless there is one of that name."""
        if branch not in (known.name for known in self.branches()):
            self.branch(branch)

    def _commit(self, dataset: str, branch: str, root: str, before: Metafile | None, note: str) -> Snapshot:
        from everloop.datasets.workspace.beside import noted

        base = self._base_version(dataset, branch, before)
        arguments = {"name": dataset, "digest": root, "branch": branch, "base": base, "note": noted(note, self.folder)}
        try:
            made: Snapshot = self.versions.call("datasets.commit_files", arguments)
        except Conflict as error:
            beside = f"everloop data add {self.folder.name} --branch mine"
            hint = f"{beside} keeps yours on a branch; then go to {branch} (everloop data checkout --at) and merge it."
            raise Conflict(error.message, hint=hint) from None
        return made

    def _base_version(self, dataset: str, branch: str, before: Metafile | None) -> int:
        """The number that this platform gives to the version that the folder was made from; 0 when it has none."""
        if before is None or before.dataset != dataset or before.branch != branch or not before.commit:
            return 0
        known: list[Snapshot] = self.versions.call("datasets.log", {"name": dataset})
        return next((snapshot.version for snapshot in known if snapshot.commit == before.commit), 0)

    def _take_base(self, root: str, *, lenient: bool = False) -> None:
        if self.index.root == root:
            return
        from everloop.datasets.workspace.switching import rebase

        try:
            rebase(self.versions.store, self.index, root)
        except NotFound:
            if not lenient:
                raise self._not_here() from None

    def _not_here(self) -> NotFound:
        return NotFound(
            f"The store does not have the version that {self.metafile.name} names, or not all of it.",
            hint=f"Pull it first: everloop data pull {self.folder.name}.",
        )

    def _settle(self, made: Snapshot, branch: str) -> None:
        """Save what is known, and say in the metafile which version the folder shows: in this order, as the metafile
        may be behind the folder for a moment, but never before it."""
        self.index.save()
        write_metafile(self.metafile, msgspec.structs.replace(metafile_for(made), branch=branch))

    def _checked_out(
        self, named: Metafile | None, target: Metafile, whole: bool, written: int, removed: int, link: LinkMode
    ) -> CheckedOut:
        kept = sum(1 for _, known in self.index.items() if known.content and known.content == known.base) - written
        if whole or named is None:
            self.index.forget()
            self.index.save()
            if named != target:
                write_metafile(self.metafile, target)
        else:  # Some paths of another version: the folder still shows its own, with these changed.
            self._take_base(named.root)
            self.index.save()
        return CheckedOut(target.dataset, 0, target.root, written, removed, kept, link)

    def _narrow(self, only: tuple[str, ...]) -> None:
        chosen = sorted({*self.only, *(path.strip("/") for path in only)})
        (self.folder / ONLY).write_text("".join(f"{path}\n" for path in chosen))

    def _require_folder(self) -> None:
        if not self.folder.is_dir():
            raise NotFound(
                f"There is no folder {self.folder}.",
                hint="everloop data checkout brings it back." if self.metafile.exists() else self._hint_for_no_folder(),
            )

    def _hint_for_no_folder(self) -> str:
        is_file = self.folder.is_file()
        return f"It is a file; a table is kept by everloop add {self.folder.name}." if is_file else "Check the path."


def _between(store: Store, before: Digest, after: Digest) -> tuple[FileChange, ...]:
    from everloop.datasets.history.filediff import file_changes

    states: dict[str, State] = {"added": "added", "removed": "removed", "changed": "modified", "renamed": "renamed"}
    changes = file_changes(store, before, after)
    return tuple(FileChange(change.path, states[change.change], change.was) for change in changes)


def metafile_for(snapshot: Snapshot) -> Metafile:
    """The metafile of a folder that shows a version."""
    return Metafile(
        branch=snapshot.branch,
        commit=snapshot.commit,
        dataset=snapshot.dataset,
        files=snapshot.files,
        root=snapshot.digest,
        size=snapshot.bytes,
    )


def default_name(folder: Path) -> str:
    """A dataset's name out of a folder's."""
    return _NOT_IN_NAMES.sub("-", folder.name).strip("-.") or "data"
