"""The filter of system calls, alone: what keeps a model offline where the kernel grants no namespaces."""

from __future__ import annotations

import subprocess
import sys

import pytest

_START = "import os, signal, socket, sys\nfrom everloop.backends.sandboxes.seccomp import install\n"


def ran(program: str, signals: bool = False) -> str:
    text = f"{_START}assert install(signals={signals})\n{program}"
    return subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, timeout=60).stderr


@pytest.mark.parametrize("family", ["AF_INET", "AF_INET6", "AF_UNIX", "AF_NETLINK"])
def test_no_socket_of_any_kind_can_be_made(family: str) -> None:
    assert "PermissionError" in ran(f"socket.socket(socket.{family}, socket.SOCK_DGRAM)")


def test_a_pair_of_sockets_still_works() -> None:
    assert ran("a, b = socket.socketpair(); a.sendall(b'x'); assert b.recv(1) == b'x'") == ""


def test_other_processes_cannot_be_signalled_where_they_are_seen() -> None:
    assert "PermissionError" in ran("os.kill(os.getppid(), 0)")
    assert ran("os.kill(os.getpid(), 0)", signals=True) == ""


def test_processes_that_it_starts_are_held_to_it_too() -> None:
    inner = "import socket; socket.socket()"
    assert "PermissionError" in ran(f"import subprocess; subprocess.run([sys.executable, '-c', {inner!r}])")


def test_ordinary_work_is_not_in_its_way() -> None:
    assert ran("import tempfile, threading; tempfile.TemporaryFile().write(b'x'); threading.Thread().start()") == ""
