"""`everloop data …`: a folder of files whose versions the store keeps, beside git or Mercurial."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from everloop.cli import telling
from everloop.cli.bars import progress
from everloop.cli.door import Command, Door, this_door
from everloop.cli.naming import Suggesting
from everloop.kernel.errors import InvalidInput, NotFound

if TYPE_CHECKING:
    from everloop.datasets.workspace.entities import CheckedOut, FileChange, Metafile
    from everloop.datasets.workspace.workspace import Workspace
    from everloop.kernel.progress import Progress
    from everloop.store.service import Store

_LETTERS = {"added": ("A", "green"), "modified": ("M", "yellow"), "removed": ("D", "red"), "renamed": ("R", "cyan")}
_FOLDER = click.argument("folder", type=click.Path(path_type=Path))


class DoorVersions:
    """The door's platform as a working copy sees it: it is opened only when something is asked of it."""

    def __init__(self, door: Door) -> None:
        self._door = door

    @cached_property
    def home(self) -> Path:
        """The folder for caches."""
        return Path(self._door.settings.values.home)

    @cached_property
    def store(self) -> Store:
        """The store of bytes; a server's is worked with as if it were here, and only what it lacks travels."""
        values = self._door.settings.values
        if not (self._door.is_open or values.url):
            from everloop.app.storage import open_store, prepare_home

            prepare_home(self.home)
            return open_store(values)
        from everloop.app.platform import Platform

        platform = self._door.platform
        return platform.resources.store if isinstance(platform, Platform) else platform.store

    def version(self, dataset: str, number: int) -> Metafile | None:
        """A version of files, when the catalog in the home tells without the platform being opened."""
        values = self._door.settings.values
        if self._door.is_open or values.url or values.database_url:
            return None
        from everloop.app.storage import catalog_file
        from everloop.datasets.workspace.lookup import version_in

        return version_in(catalog_file(values), values.project, dataset, number)

    def call(self, name: str, arguments: Mapping[str, object]) -> Any:
        """Call a use case."""
        return self._door.call(name, arguments)


@click.group(cls=Suggesting)
def data() -> None:
    """Folders of files: their versions are in the store, and a small metafile beside each folder is for git."""


@data.command(cls=Command)
@_FOLDER
@click.option("--name", default="", help="The dataset's name; the folder's if not given.")
@click.option("--note", "-m", default="", help="What is new in it.")
@click.option("--branch", default="", help="The branch to commit to; the metafile's if not given.")
def add(folder: Path, name: str, note: str, branch: str) -> None:
    """Commit a folder as a new version of a dataset. Only files that changed since the last time are read."""
    add_folder(folder, name, note, branch)


@data.command(cls=Command)
@click.argument("folders", nargs=-1, type=click.Path(path_type=Path))
def status(folders: tuple[Path, ...]) -> None:
    """What was added, modified, removed or renamed since the version that the metafile names."""
    door = this_door()
    found = [workspace(folder, door).status() for folder in folders or _all_folders()]
    if door.json:
        door.show(found)
        return
    for one in found:
        standing = "clean" if one.clean else f"{len(one.changes):,} changes"
        click.echo(f"{one.dataset} on {one.branch}: {standing}, {one.files:,} files")
        _show_changes(one.changes)


@data.command(cls=Command)
@_FOLDER
@click.argument("before", default="")
@click.argument("after", default="")
def diff(folder: Path, before: str, after: str) -> None:
    """The files that differ: from the metafile's version to the folder, from BEFORE to the folder, or to AFTER."""
    door = this_door()
    found = workspace(folder, door).diff(before, after)
    if door.json:
        door.show(found)
        return
    _show_changes(found)


@data.command(cls=Command)
@click.argument("folders", nargs=-1, type=click.Path(path_type=Path))
@click.option("--at", default="", help="A version, tag, branch or time; the metafile's version if not given.")
@click.option("--name", default="", help="The dataset, for a folder that has no metafile yet.")
@click.option("--only", multiple=True, metavar="PATH", help="Only what is at or below this path of the version.")
@click.option(
    "--link",
    type=click.Choice(["copy", "hardlink", "reflink", "auto"]),
    default="copy",
    help="How files get their bytes.",
)
@click.option("--force", is_flag=True, help="Overwrite changed files, even when no store has what is in them.")
def checkout(folders: tuple[Path, ...], at: str, name: str, only: tuple[str, ...], link: Any, force: bool) -> None:
    """Make folders equal to a version. Files that are equal already are not touched."""
    door = this_door()
    with progress(door) as bars:
        found = [
            workspace(folder, door, bars).checkout(at, only=only, force=force, link=link, name=name)
            for folder in folders or _all_folders()
        ]
    if door.json:
        door.show(found)
        return
    for one in found:
        _show_checked_out(door, one)


@data.command(cls=Command)
@_FOLDER
@click.option("--limit", default=0, help="How many; all if not given.")
def log(folder: Path, limit: int) -> None:
    """The versions that led to where the folder's branch stands, newest first."""
    door = this_door()
    found = workspace(folder, door).log(limit)
    door.show(found if door.json else telling.history(found))


@data.command(cls=Command)
@_FOLDER
@click.argument("tag")
@click.option("--at", default="", help="The version; the metafile's if not given.")
@click.option("--note", "-m", default="", help="Why it has this name.")
def tag(folder: Path, tag: str, at: str, note: str) -> None:
    """Name the version that the folder shows, or another."""
    door = this_door()
    made = workspace(folder, door).tag(tag, at, note)
    door.show(made if door.json else telling.tag(made))


@data.command(cls=Command)
@_FOLDER
@click.argument("branch", default="")
@click.option("--at", default="", help="Where the branch begins; the metafile's version if not given.")
def branch(folder: Path, branch: str, at: str) -> None:
    """The branches of the folder's dataset; with a name, make that branch and go on in it."""
    door = this_door()
    here = workspace(folder, door)
    if not branch:
        door.show(here.branches())
        return
    made = here.branch(branch, at)
    door.show(made if door.json else telling.branch(made))


@data.command(cls=Command)
@_FOLDER
@click.argument("branch")
@click.option(
    "--on-conflict", type=click.Choice(["fail", "ours", "theirs"]), default="fail", help="Whose side wins, if any."
)
def merge(folder: Path, branch: str, on_conflict: Any) -> None:
    """Merge another branch into the folder's branch, and show the result."""
    door = this_door()
    with progress(door) as bars:
        made = workspace(folder, door, bars).merge(branch, on_conflict)
    _show_checked_out(door, made)


@data.command(cls=Command)
@_FOLDER
@click.argument("remote", default="")
@click.option("--branch", default="", help="The branch or tag; the metafile's branch if not given.")
def push(folder: Path, remote: str, branch: str) -> None:
    """Bring what a remote lacks of the folder's branch there. Interrupted, it continues."""
    door = this_door()
    with _told(door) as bars:
        made = workspace(folder, door, bars).push(remote, branch)
    door.show(made if door.json else telling.push(made))


@data.command(cls=Command)
@click.argument("folder", type=click.Path(path_type=Path))
@click.argument("remote", default="")
@click.option("--branch", default="", help="The branch or tag; the metafile's branch if not given.")
@click.option("--only", default="", metavar="PATH", help="Only what is at or below this path of the version.")
def pull(folder: Path, remote: str, branch: str, only: str) -> None:
    """Bring the folder's branch here from a remote, and the folder to the version that its metafile names."""
    door = this_door()
    with _told(door) as bars:
        made = workspace(folder, door, bars).pull(remote, branch, only=only)
    _show_checked_out(door, made)


@data.command(cls=Command, name="import")
@click.argument("source", type=click.Path(path_type=Path))
@click.option("--dvc", is_flag=True, help="The source is a DVC repository.")
@click.option("--name", default="", help="The dataset's name; the source's if not given.")
@click.option("--only", multiple=True, metavar="PATH", help="Only what is at or below this path.")
def import_(source: Path, dvc: bool, name: str, only: tuple[str, ...]) -> None:
    """Commit what a DVC repository tracks as a version of a dataset; every MD5 is verified."""
    from everloop.datasets.workspace.exchange import import_dvc

    if not dvc:
        raise InvalidInput(
            "Say what the source is.", hint="--dvc, or everloop datasets import-url for places elsewhere."
        )
    door = this_door()
    with progress(door) as bars:
        made = import_dvc(DoorVersions(door), source, name, only, bars)
    door.show(made) if door.json else click.echo(f"{made.dataset}@{made.version}: {made.files:,} files.")


@data.command(cls=Command)
@click.argument("dataset", metavar="DATASET[@REF]")
@click.argument("target", type=click.Path(path_type=Path))
@click.option("--dvc", is_flag=True, help="The target is a DVC repository, or is to become one.")
@click.option("--path", default="", help="Where in the DVC repository; the dataset's name if not given.")
def export(dataset: str, target: Path, dvc: bool, path: str) -> None:
    """Write a version to a folder, a .zip, .tar or .tar.gz archive, or into a DVC repository."""
    from everloop.datasets.workspace.exchange import export_dvc, export_version

    door = this_door()
    name, _, at = dataset.partition("@")
    with progress(door) as bars:
        versions = DoorVersions(door)
        made = (
            export_dvc(versions, name, at, target, path, bars)
            if dvc
            else export_version(versions, name, at, target, bars)
        )
    if door.json:
        door.show(made)
        return
    click.echo(f"{made.dataset}@{made.version}: {made.files:,} files are in {made.target}.")
    for remark in made.remarks:
        click.echo(f"Note: {remark}", err=True)


@data.command(cls=Command, name="merge-driver", hidden=True)
@click.argument("files", nargs=3, type=click.Path(path_type=Path))
def merge_driver(files: tuple[Path, Path, Path]) -> int:
    """Merge two metafiles for git or Mercurial: BASE, OURS (which is written), THEIRS."""
    from everloop.datasets.workspace.merging import merge_metafiles

    door = this_door()
    conflicts = merge_metafiles(DoorVersions(door), *files)
    for path in conflicts:
        click.echo(f"Conflict: both sides changed {path}", err=True)
    return 1 if conflicts else 0


@data.command(cls=Command)
@click.argument("folder", default=".", type=click.Path(path_type=Path))
def init(folder: Path) -> None:
    """Let the git or Mercurial repository here merge metafiles; each clone needs it once."""
    from everloop.datasets.workspace.beside import install_driver

    door = this_door()
    told = install_driver(folder)
    door.show(list(told)) if door.json else click.echo("\n".join(told) or "Nothing was to be done.")


def add_folder(folder: Path, name: str, note: str, branch: str = "") -> None:
    """Commit a folder, and say what was made."""
    door = this_door()
    with progress(door) as bars:
        made = workspace(folder, door, bars).add(name, note, branch)
    if door.json:
        door.show(made)
        return
    click.echo(
        f"{made.dataset}@{made.version}: {made.files:,} files, {made.size:,} bytes; {made.read_files:,} were read."
    )
    for remark in made.remarks:
        click.echo(f"Note: {remark}", err=True)


def workspace(folder: Path, door: Door, bars: Progress | None = None) -> Workspace:
    """The working copy in a folder."""
    from everloop.datasets.workspace.workspace import Workspace
    from everloop.kernel.progress import SILENT

    return Workspace(folder, DoorVersions(door), bars or SILENT)


@contextmanager
def _told(door: Door) -> Iterator[Progress]:
    """Bars that use cases in this process tell, too."""
    from everloop.app.platform import Platform
    from everloop.kernel.progress import Progress as Port

    with progress(door) as bars:
        if isinstance(door.platform, Platform):
            door.platform.resources.ports.provide(Port, lambda: bars)
        yield bars


def _all_folders() -> list[Path]:
    from everloop.datasets.workspace.metafile import find_metafiles, folder_of

    found = [folder_of(path) for path in find_metafiles(Path())]
    if not found:
        raise NotFound(
            "There is no metafile here or below.", hint="Put a folder under versions: everloop data add FOLDER."
        )
    return found


def _show_checked_out(door: Door, made: CheckedOut) -> None:
    told = f"{made.dataset}: {made.written:,} files written, {made.removed:,} removed, {made.kept:,} kept."
    door.show(made if door.json else told)


def _show_changes(changes: Iterable[FileChange]) -> None:
    for change in changes:
        letter, colour = _LETTERS[change.state]
        name = f"{change.before} → {change.path}" if change.before else change.path
        click.echo(f"  {click.style(letter, fg=colour)} {name}")
