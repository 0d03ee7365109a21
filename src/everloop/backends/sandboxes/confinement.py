"""What a process gives up for good before it runs somebody else's code.

Namespaces of its own leave it without a network, without other processes to see or signal, and with the whole file
system for reading only; a filter of system calls refuses sockets on top. Where a kernel refuses namespaces, the filter
alone keeps it from the network.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import signal
import struct
from collections.abc import Sequence
from pathlib import Path

import msgspec

from everloop.backends.sandboxes import seccomp

_NEW = {"mount": 0x00020000, "ipc": 0x08000000, "user": 0x10000000, "process": 0x20000000, "network": 0x40000000}
_PRIVATE, _NO_SUID, _NO_DEVICES = (1 << 18) | 0x4000, 2, 4
_READ_ONLY = 1
_MOUNT_SETATTR = 442
_RECURSIVE = 0x8000
_DIE_WITH_PARENT = 1
_CAPABILITIES = 0x20080522
_MEGABYTE = 1 << 20


class Limits(msgspec.Struct, frozen=True):
    """What a sandboxed process may use: memory for data, and files, in megabytes, open files, processes."""

    memory: int = 4096
    files: int = 256
    opened: int = 256
    processes: int = 256


class Isolation(msgspec.Struct, frozen=True):
    """What the kernel granted: namespaces (network, processes, read-only files), and the filter of calls."""

    namespaces: bool
    filtered: bool

    @property
    def offline(self) -> bool:
        """Whether no network can be reached."""
        return self.namespaces or self.filtered


def confine(scratch: Path, hidden: Sequence[Path], limits: Limits) -> Isolation:
    """Give up what code of somebody else's must not have. It forks: what returns is a child of a child.

    `scratch` is the one folder that stays writable, in memory and of limited size; `hidden` ones look empty.
    """
    apart = _separated()
    if apart:
        _fork_inside()
        _mounted(scratch, hidden, limits)
    _limited(limits, apart)
    _without_capabilities()
    return Isolation(apart, seccomp.install(signals=apart))


def _separated() -> bool:
    """Whether the kernel gave this process namespaces of its own."""
    libc = _libc()
    user, group = os.getuid(), os.getgid()
    if libc.unshare(sum(_NEW.values())) != 0:
        return False
    try:
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
        Path("/proc/self/gid_map").write_text(f"{group} {group} 1")
    except OSError:
        return False
    return True


def _fork_inside() -> None:
    """Go on as the second process of the new namespace.

    Its first, which the kernel shields from signals, does nothing but wait, and so does this process: both end as the
    one that goes on does.
    """
    for _ in range(2):
        child = os.fork()
        if child:
            _end_as(child)
        _die_with_parent()


def _end_as(child: int) -> None:
    with contextlib.suppress(OSError):
        os.closerange(3, 1024)  # Whoever holds the other end of the line must see it close when the child ends.
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if code < 0:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        os.kill(os.getpid(), -code)
    os._exit(code if code >= 0 else 128 - code)


def _die_with_parent() -> None:
    _libc().prctl(_DIE_WITH_PARENT, signal.SIGKILL, 0, 0, 0)


def _mounted(scratch: Path, hidden: Sequence[Path], limits: Limits) -> None:
    """All files for reading only, but for the scratch folder; hidden ones look empty. What fails stays as it was."""
    libc = _libc()
    libc.mount(None, b"/", None, _PRIVATE, None)
    libc.mount(b"proc", b"/proc", b"proc", _NO_SUID | _NO_DEVICES, None)
    for path in hidden:
        if path.is_dir():
            libc.mount(b"tmpfs", os.fsencode(path), b"tmpfs", _NO_SUID | _NO_DEVICES, b"size=4k")
        elif path.is_file():
            libc.mount(b"/dev/null", os.fsencode(path), None, 0x1000, None)
    attributes = struct.pack("QQQQ", _READ_ONLY, 0, 0, 0)
    libc.syscall(_MOUNT_SETATTR, -1, b"/", _RECURSIVE, attributes, len(attributes))
    size = f"size={limits.files}m,mode=0700".encode()
    libc.mount(b"tmpfs", os.fsencode(scratch), b"tmpfs", _NO_SUID | _NO_DEVICES, size)


def _limited(limits: Limits, apart: bool) -> None:
    wanted = {
        resource.RLIMIT_DATA: limits.memory * _MEGABYTE,
        resource.RLIMIT_FSIZE: limits.files * _MEGABYTE,
        resource.RLIMIT_NOFILE: limits.opened,
        resource.RLIMIT_CORE: 0,
    }
    if apart:  # Elsewhere it would count all processes of the user.
        wanted[resource.RLIMIT_NPROC] = limits.processes
    for kind, most in wanted.items():
        with contextlib.suppress(ValueError, OSError):  # Lower already, and not to be raised.
            resource.setrlimit(kind, (most, most))


def _without_capabilities() -> None:
    header = struct.pack("Ii", _CAPABILITIES, 0)
    _libc().capset(header, bytes(24))


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)
