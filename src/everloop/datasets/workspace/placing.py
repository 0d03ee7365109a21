"""Writing files of a version into a folder: each whole or not at all, by copy, hard link or clone.

What goes into a folder that is not there yet is written beside its place, and the folder is renamed when it is full:
half the work of renaming every file. A killed checkout leaves that unfinished folder, and the next one goes on in it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from everloop.datasets.workspace.entities import LinkMode
from everloop.datasets.workspace.index import Index, content_of
from everloop.datasets.workspace.linking import Links
from everloop.datasets.workspace.reading import hash_file
from everloop.kernel.errors import Conflict, Corrupted, Unavailable
from everloop.kernel.progress import Progress
from everloop.store.chunks import WHOLE
from everloop.store.entities import Digest, TreeEntry
from everloop.store.paths import check_path, checked_link
from everloop.store.service import Store

_PARTIAL = ".everloop-new-"
_TEMPORARY = ".everloop-part"
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW


class Placer:
    """Writes files below a top folder, and tells the index what it wrote."""

    def __init__(self, store: Store, top: Path, index: Index, links: Links | None = None) -> None:
        self._store = store
        self._top = str(top)
        self._index = index
        self._links = links
        self._homes: dict[str, tuple[str, bool]] = {}
        self._staged: dict[str, str] = {}
        self._left: list[tuple[str, str]] = []

    def place(self, entries: Iterable[TreeEntry], progress: Progress) -> int:
        """Write these files; how many there were.

        Raises:
            Conflict: something else stands in the way of a folder.
            Unavailable: the disk is full or cannot be written.
            Corrupted: the store's bytes are not what was committed.
        """
        files = list(entries)
        for entry in files:
            check_path(entry.path)
        total, done = sum(entry.size for entry in files), 0
        try:
            for count, entry in enumerate(self._written(files), 1):
                done += entry.size
                if not count % 64:
                    progress.advance(done, total, "writing", "bytes")
        except OSError as error:
            raise Unavailable(
                f"{error.filename or self._top} cannot be written ({error.strerror}).",
                hint="Free space or mend the permissions; the next checkout goes on from here.",
            ) from None
        self._unstage()
        return len(files)

    def _written(self, files: list[TreeEntry]) -> Iterator[TreeEntry]:
        """Write the files, those of the store's packs first, in the order that is cheapest to read."""
        by_digest: dict[Digest, list[TreeEntry]] = {}
        for entry in files:
            if entry.kind == "folder":
                self._home(entry.path)
                yield entry
            elif self._links is not None and entry.kind != "link":
                self._link(entry, self._links)
                yield entry
            elif entry.size > WHOLE:
                self._large(entry)
                yield entry
            else:
                by_digest.setdefault(entry.digest, []).append(entry)
        for digest, data in self._store.get_many(by_digest):
            for entry in by_digest[digest]:
                self._small(entry, data)
                yield entry

    def _small(self, entry: TreeEntry, data: bytes) -> None:
        folder, _, name = entry.path.rpartition("/")
        home, fresh = self._home(folder)
        target = f"{home}/{name}"
        if entry.kind == "link":
            self._symlink(entry, os.fsdecode(data), home, target)
            return
        written = target if fresh else f"{home}/{_TEMPORARY}"
        handle = self._create(written, entry)
        if handle is None:
            self._note(entry, os.lstat(written))
            return
        try:
            if os.write(handle, data) != len(data):
                raise OSError(28, "No space left on device", written)
            status = os.fstat(handle)
        finally:
            os.close(handle)
        if not fresh:
            os.rename(written, target)  # noqa: PTH104  # A Path a file would be a tenth of the whole cost.
            status = os.lstat(target)
        self._note(entry, status)

    def _create(self, path: str, entry: TreeEntry) -> int | None:
        """A new file to write to; none when a killed checkout wrote all of it already."""
        mode = 0o777 if entry.kind == "executable" else 0o666
        try:
            return os.open(path, _NEW, mode)
        except FileExistsError:
            left = Path(path)
            if not left.name.startswith(_TEMPORARY) and left.is_file() and hash_file(left) == entry.digest:
                return None
            left.unlink()
            return os.open(path, _NEW, mode)

    def _large(self, entry: TreeEntry) -> None:
        folder, _, name = entry.path.rpartition("/")
        home, fresh = self._home(folder)
        written, target = Path(home, _TEMPORARY), Path(home, name)
        if not (fresh and target.is_file() and hash_file(target) == entry.digest):
            self._store.write_to(entry.digest, written)
            if entry.kind == "executable":
                written.chmod(written.stat().st_mode | 0o111)
            written.replace(target)
        self._note(entry, target.lstat())

    def _link(self, entry: TreeEntry, links: Links) -> None:
        folder, _, name = entry.path.rpartition("/")
        home, _ = self._home(folder)
        written, target = Path(home, _TEMPORARY), Path(home, name)
        written.unlink(missing_ok=True)
        links.put(entry, written)
        written.replace(target)
        written.unlink(missing_ok=True)  # Renaming one link of a file over another leaves both.
        self._note(entry, target.lstat())

    def _symlink(self, entry: TreeEntry, to: str, home: str, target: str) -> None:
        written = Path(home, _TEMPORARY)
        written.unlink(missing_ok=True)
        written.symlink_to(checked_link(entry.path, to))
        written.replace(target)
        self._note(entry, os.lstat(target))

    def _note(self, entry: TreeEntry, status: os.stat_result) -> None:
        if status.st_size != entry.size:
            raise Corrupted(f"{entry.path!r} is {status.st_size:,} bytes long, and was committed with {entry.size:,}.")
        self._index.need(entry.path).seen(status, content_of(bytes.fromhex(entry.digest), entry.kind))

    def _home(self, folder: str) -> tuple[str, bool]:
        """Where files of a folder are written, and whether that is a folder that nobody else sees yet."""
        found = self._homes.get(folder)
        if found is None:
            found = self._homes[folder] = self._find_home(folder)
        return found

    def _find_home(self, folder: str) -> tuple[str, bool]:
        if folder:  # From the top down: behind a link nothing is ours, however far below it a file is to be.
            above, _, name = folder.rpartition("/")
            home, fresh = self._home(above)
            place = f"{self._top}/{folder}"
        else:
            home, fresh, name = os.path.dirname(self._top), False, os.path.basename(self._top)  # noqa: PTH119, PTH120
            place = self._top
        if fresh:
            Path(home, name).mkdir(exist_ok=True)
            return f"{home}/{name}", True
        if os.path.isdir(place) and not (folder and os.path.islink(place)):  # noqa: PTH112, PTH114  # as above
            return place, False
        if os.path.lexists(place):
            raise Conflict(f"{place} is no folder, and the version has one there.", hint="Move it away.")
        staging = f"{home}/{_PARTIAL}{name}"
        if Path(staging).is_dir():
            self._left.append((staging, folder))
        Path(staging).mkdir(parents=True, exist_ok=True)
        self._staged[staging] = place
        return staging, True

    def _unstage(self) -> None:
        """Put finished folders in their places."""
        for staging, folder in self._left:
            self._clear(staging, folder)
        for staging, place in self._staged.items():
            Path(staging).rename(place)
        self._staged.clear()
        self._homes.clear()

    def _clear(self, staging: str, folder: str) -> None:
        """Remove what a killed checkout of another version left among what was written now."""
        for at, _, names in os.walk(staging):
            below = os.path.relpath(at, staging)
            for name in names:
                path = os.path.normpath(f"{folder}/{below}/{name}").lstrip("/")
                known = self._index.at(path)
                if known is None or not known.content:
                    Path(at, name).unlink()


def links_for(store: Store, folder: Path, mode: LinkMode) -> Links | None:
    """What makes links; nothing for plain copies."""
    return None if mode == "copy" else Links(store, folder, mode)
