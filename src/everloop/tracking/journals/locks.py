"""Locks between processes: who records or ships holds one, and the system gives it back when that process ends."""

from __future__ import annotations

import fcntl
import os
import threading
from pathlib import Path

_held: dict[Path, int] = {}
"""The descriptors of the locks that this process holds: the system would give it one of its own again."""
_guard = threading.Lock()


def hold(path: Path) -> bool:
    """Take a lock, whose file is made if it is missing; whether nobody else holds it, this process included."""
    with _guard:
        if path in _held:
            return False
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            return False
        if not _is_at(descriptor, path):  # Who held it before has removed its file meanwhile.
            os.close(descriptor)
            return False
        _held[path] = descriptor
        return True


def release(path: Path, *, remove: bool = False) -> None:
    """Give a lock back, and remove its file if nobody will ask for it again."""
    with _guard:
        descriptor = _held.pop(path, None)
        if descriptor is None:
            return
        if remove:
            path.unlink(missing_ok=True)
        os.close(descriptor)


def is_free(path: Path) -> bool:
    """Whether nobody holds a lock."""
    if not path.exists():
        return True
    if not hold(path):
        return False
    release(path)
    return True


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _forget() -> None:
    """A forked process holds none of its parent's locks, and closing its copies leaves them alone."""
    for descriptor in _held.values():
        os.close(descriptor)
    _held.clear()
    _guard.release()


os.register_at_fork(before=_guard.acquire, after_in_parent=_guard.release, after_in_child=_forget)
