"""Folders of the disk into trees of the store and back, in their simple forms."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from everloop.kernel.errors import Conflict, NotFound
from everloop.store.chunks import WHOLE
from everloop.store.entities import Digest, TreeEntry
from everloop.store.paths import check_path, checked_link

if TYPE_CHECKING:
    from everloop.store.service import Store


def put_file(store: Store, path: Path) -> Digest:
    """Keep a file's bytes: a small one loose, a large one in packs."""
    try:
        with path.open("rb") as file:
            if os.fstat(file.fileno()).st_size <= WHOLE:
                return store.put(file.read())
    except FileNotFoundError:
        raise NotFound(f"There is no file {path}.") from None
    with store.bulk() as bulk:
        return bulk.put_file(path)


def write_to(store: Store, digest: Digest, path: Path) -> None:
    """Write an object to a file, whole or not at all."""
    temporary = path.with_name(f".{path.name}.partial")
    try:
        with temporary.open("wb") as file:
            for part in store.parts(digest):
                file.write(part)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def put_folder(store: Store, folder: Path) -> Digest:
    """Keep every file below a folder, as a tree. Links are left out, and folders without files."""
    with store.bulk() as bulk:
        entries = [
            TreeEntry(path, bulk.put_file(found.path), found.stat().st_size) for path, found in _files(folder, "")
        ]
        return store.put_tree(entries, bulk)


def checkout(store: Store, digest: Digest, folder: Path) -> None:
    """Write a tree's files below a folder, each whole or not at all; what else is there stays."""
    files: dict[Digest, list[TreeEntry]] = {}
    for entry in store.tree(digest):
        check_path(entry.path)
        files.setdefault(entry.digest, []).append(entry)
    _make_folders(folder, {entry.path.rpartition("/")[0] for same in files.values() for entry in same})
    small = [of for of, same in files.items() if same[0].size <= WHOLE and same[0].kind != "folder"]
    for found, data in store.get_many(small):
        for entry in files[found]:
            _write(folder, entry, data)
    for of in files.keys() - set(small):
        for entry in files[of]:
            _write_large(store, folder, entry)


def _make_folders(top: Path, parents: set[str]) -> None:
    """Make the folders of a tree; none is written through where a link stands in its place."""
    top.mkdir(parents=True, exist_ok=True)
    steps = {str(step) for parent in parents for step in (PurePosixPath(parent), *PurePosixPath(parent).parents)}
    for step in sorted(steps - {"."}):
        if (top / step).is_symlink():
            raise Conflict(f"{top / step} is a link, and the tree has a folder there.", hint="Move it away.")
        (top / step).mkdir(exist_ok=True)


def _write(folder: Path, entry: TreeEntry, data: bytes) -> None:
    target = f"{folder}/{entry.path}"
    if entry.kind == "link":
        _link(target, checked_link(entry.path, os.fsdecode(data)))
        return
    if entry.kind == "folder":
        Path(target).mkdir(exist_ok=True)
        return
    temporary = _partial(target)
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, _mode(entry))
    try:
        left = memoryview(data)
        while left:
            left = left[os.write(handle, left) :]
        os.rename(temporary, target)  # noqa: PTH104  # A Path costs as much as the system's call.
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    finally:
        os.close(handle)


def _write_large(store: Store, folder: Path, entry: TreeEntry) -> None:
    target = folder / entry.path
    if entry.kind == "folder":
        target.mkdir(exist_ok=True)
        return
    write_to(store, entry.digest, target)
    if entry.kind == "executable":
        target.chmod(target.stat().st_mode | 0o111)


def _link(target: str, to: str) -> None:
    temporary = Path(_partial(target))
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(to)
    temporary.replace(target)


def _partial(target: str) -> str:
    parent, _, name = target.rpartition("/")
    return f"{parent}/.{name[:200]}.partial"


def _mode(entry: TreeEntry) -> int:
    return 0o777 if entry.kind == "executable" else 0o666


def _files(folder: Path, below: str) -> Iterator[tuple[str, os.DirEntry[str]]]:
    for found in sorted(os.scandir(folder / below), key=lambda entry: entry.name):
        path = f"{below}/{found.name}" if below else found.name
        if found.is_dir(follow_symlinks=False):
            yield from _files(folder, path)
        elif found.is_file(follow_symlinks=False):
            yield path, found
