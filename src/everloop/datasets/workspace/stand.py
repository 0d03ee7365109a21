"""How a folder stands to its version: which files were added, modified, removed or renamed."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from everloop.datasets.workspace.entities import FileChange
from everloop.datasets.workspace.index import Index, Known
from everloop.datasets.workspace.reading import hash_bytes, hash_file, read_stable
from everloop.datasets.workspace.scan import Scan, Seen
from everloop.kernel.errors import EverloopError


def changes_of(top: Path, index: Index, found: Scan) -> list[FileChange]:
    """What is not as it was committed, by path. Files that might be equal are read; the index then knows them."""
    changed = [FileChange(path, "modified") for path in found.differing if _need(index, path).base]
    arrived: dict[str, Seen | None] = {path: None for path in found.differing if not _need(index, path).base}
    for seen in found.touched:
        known = index.at(seen.path)
        if known is None or not known.base:
            arrived[seen.path] = seen
        elif not _is_equal(top, known, seen):
            changed.append(FileChange(seen.path, "modified"))
    lost = [path for path in found.gone if _need(index, path).base]
    renamed = _renamed(top, index, arrived, lost)
    changed += [FileChange(new, "renamed", old) for new, old in renamed.items()]
    changed += [FileChange(path, "added") for path in arrived.keys() - renamed.keys()]
    changed += [FileChange(path, "removed") for path in set(lost) - set(renamed.values())]
    return sorted(changed + _empty_folders(top, index, found))


def _is_equal(top: Path, known: Known, seen: Seen) -> bool:
    """Whether a file that was touched still is the committed one; another size tells without reading it."""
    if seen.special or seen.status.st_size != known.base_size:
        return False
    try:
        status, content = read_stable(top, seen, hash_bytes, hash_file)
    except EverloopError:
        return False  # It is being written to, or cannot be read: it is not what was committed.
    known.seen(status, content)
    return known.content == known.base


def _renamed(top: Path, index: Index, arrived: dict[str, Seen | None], lost: list[str]) -> dict[str, str]:
    """New paths with the content of lost ones; only files of a lost one's size are read, and no moved file is."""
    by_size: dict[int, list[str]] = {}
    for path in sorted(lost, reverse=True):
        by_size.setdefault(_need(index, path).base_size, []).append(path)
    found: dict[str, str] = {}
    for path, seen in sorted(arrived.items()):
        candidates = by_size.get(seen.status.st_size if seen else _need(index, path).size, [])
        content = _arrived(top, index, path, seen, candidates) if candidates else b""
        old = next((old for old in reversed(candidates) if _need(index, old).base[:32] == content[:32]), None)
        if old is not None:
            candidates.remove(old)
            found[path] = old
    return found


def _arrived(top: Path, index: Index, path: str, seen: Seen | None, candidates: list[str]) -> bytes:
    """The content of a new file, read if need be; nothing for what is no file."""
    if seen is None:
        return _need(index, path).content
    if not stat.S_ISREG(seen.status.st_mode):
        return b"none"
    return _moved(index, candidates, seen.status) or bytes.fromhex(hash_file(top / path))


def _moved(index: Index, candidates: list[str], status: os.stat_result) -> bytes:
    """The content of a file that was only moved: a rename leaves its inode, size and time of change alone."""
    for path in candidates:
        known = _need(index, path)
        if (known.inode, known.size, known.modified) == (status.st_ino, status.st_size, status.st_mtime_ns):
            return known.content
    return b""


def _empty_folders(top: Path, index: Index, found: Scan) -> list[FileChange]:
    new = [folder for folder in found.empty - index.base_empty if folder not in index.folders]
    old = [folder for folder in index.base_empty - found.empty if not (top / folder).is_dir()]
    return [FileChange(f"{path}/", "added") for path in new] + [FileChange(f"{path}/", "removed") for path in old]


def _need(index: Index, path: str) -> Known:
    return index.at(path) or Known()
