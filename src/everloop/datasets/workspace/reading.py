"""Reading files of a working copy: whole, unchanged while they are read, and following no link out of the folder."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

from blake3 import blake3

from everloop.datasets.workspace.index import content_of, kind_of
from everloop.datasets.workspace.scan import Seen
from everloop.kernel.errors import Conflict, InvalidInput
from everloop.store.chunks import WHOLE
from everloop.store.entities import Digest
from everloop.store.paths import checked_link

_ATTEMPTS = 3
_BLOCK = 4 << 20
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK


def read_stable(
    top: Path, seen: Seen, put: Callable[[bytes], Digest], put_file: Callable[[Path], Digest]
) -> tuple[os.stat_result, bytes]:
    """A file's state, the same before and after it was read, and content; `put` takes small files, `put_file` large.

    Raises:
        InvalidInput: it is a pipe, a socket or a device, or a link that leads out of the folder; or it cannot be read.
        Conflict: somebody keeps changing it.
    """
    status = seen.status
    if seen.special:
        raise InvalidInput(
            f"{seen.path!r} is no file, folder or link.", hint="Pipes, sockets and devices have no content to keep."
        )
    for _ in range(_ATTEMPTS):
        digest, after = _read(top, seen.path, status, put, put_file)
        if digest and same_file(status, after):
            return after, content_of(bytes.fromhex(digest), kind_of(after.st_mode))
        status = after
    raise Conflict(
        f"{seen.path!r} was changed each of the {_ATTEMPTS} times it was read.",
        hint="Add the folder again when nobody writes to it, or name the file in .everloopignore.",
    )


def read_small(top: str, seen: Seen, keep: Callable[[bytes], bytes]) -> tuple[os.stat_result, bytes] | None:
    """What `read_stable` gives for most files at half its cost; nothing for a large one, or where anything is unusual.

    `keep` takes the bytes and gives their raw address.
    """
    status = seen.status
    if status.st_size > WHOLE or not stat.S_ISREG(status.st_mode):
        return None
    try:
        handle = os.open(f"{top}/{seen.path}", _READ)
        try:
            data = os.read(handle, status.st_size + 1)
            after = os.fstat(handle)
        finally:
            os.close(handle)
    except OSError:
        return None
    if len(data) != status.st_size or not same_file(status, after):
        return None
    return after, content_of(keep(data), kind_of(after.st_mode))


def hash_file(path: Path) -> Digest:
    """The digest of a file's content, without keeping it."""
    whole = blake3(max_threads=blake3.AUTO)
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            whole.update(block)
    return Digest(whole.hexdigest())


def hash_bytes(data: bytes) -> Digest:
    """The digest of some bytes, without keeping them."""
    return Digest(blake3(data).hexdigest())


def same_file(before: os.stat_result, after: os.stat_result) -> bool:
    """Whether a file is the same, unchanged, in two looks at it."""
    return (
        before.st_mtime_ns == after.st_mtime_ns
        and before.st_size == after.st_size
        and before.st_ctime_ns == after.st_ctime_ns
        and before.st_ino == after.st_ino
        and before.st_mode == after.st_mode
    )


def _read(
    top: Path, path: str, status: os.stat_result, put: Callable[[bytes], Digest], put_file: Callable[[Path], Digest]
) -> tuple[Digest | None, os.stat_result]:
    """The digest, and the file's state afterwards; no digest when the file changed under the reader's eyes."""
    full = f"{top}/{path}"
    try:
        if stat.S_ISLNK(status.st_mode):
            return put(os.fsencode(checked_link(path, str(Path(full).readlink())))), os.lstat(full)
        if status.st_size > WHOLE:
            return _large(full, put_file), os.lstat(full)
        handle = os.open(full, _READ)
        try:
            data = os.read(handle, status.st_size + 1)
            return (put(data) if len(data) == status.st_size else None), os.fstat(handle)
        finally:
            os.close(handle)
    except OSError as error:
        raise InvalidInput(f"{path!r} cannot be read ({error.strerror}).", hint="Was it removed meanwhile?") from None


def _large(full: str, put_file: Callable[[Path], Digest]) -> Digest | None:
    try:
        return put_file(Path(full))
    except Conflict:
        return None
