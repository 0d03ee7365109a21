"""Leases: how one knows that the process behind a running execution is gone.

An execution holds a lock on a file for as long as it runs. The kernel takes the lock back when the process ends,
however it ends, so this needs no heartbeat and is not fooled by reused process ids, containers or a simulated clock.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import get_ident

_FOLDER = "executions"


@contextmanager
def held(home: Path, id: str) -> Iterator[str]:
    """Hold the lease of an execution; the text that others judge it by."""
    path = _folder(home) / f"{id}.lock"
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield f"{_name_of(home)}/{id}"
    finally:
        path.unlink(missing_ok=True)
        os.close(handle)


def is_abandoned(home: Path, lease: str) -> bool:
    """Whether a lease of this home is held by nobody; one of another home is given the benefit of the doubt."""
    owner, _, id = lease.partition("/")
    if owner != _name_of(home):
        return False
    try:
        handle = os.open(_folder(home) / f"{id}.lock", os.O_RDWR)
    except FileNotFoundError:
        return True
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(handle)
    return True


def is_of(home: Path, lease: str) -> bool:
    """Whether a lease is one of this home, so that one can tell for certain whether it is held."""
    return lease.partition("/")[0] == _name_of(home)


def clear(home: Path, lease: str) -> None:
    """Remove what an abandoned execution left of its lease."""
    (_folder(home) / f"{lease.partition('/')[2]}.lock").unlink(missing_ok=True)


def _folder(home: Path) -> Path:
    folder = home / _FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _name_of(home: Path) -> str:
    """A name that this home has and no other: several machines may share a database."""
    path = _folder(home) / "home"
    try:
        return path.read_text()
    except FileNotFoundError:
        temporary = path.with_name(f"home.{os.getpid()}.{get_ident()}")
        temporary.write_text(os.urandom(16).hex())
        try:
            os.link(temporary, path)  # Fails when another process was first; then its name counts.
        except FileExistsError:
            pass
        finally:
            temporary.unlink()
        return path.read_text()
