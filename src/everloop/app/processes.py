"""The processes that a platform can run as, by name, and the supervisor that `everloop up` keeps them alive with."""

from __future__ import annotations

import ctypes
import importlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from types import FrameType
from typing import Any

import msgspec

from everloop.kernel.errors import Unavailable

ENTRIES = {
    "server": "everloop.server.main:run_server",
    "endpoint": "everloop.server.inference.main:serve_endpoint",
    "models": "everloop.server.inference.main:serve_models",
    "workers": "everloop.server.replicas.launch:serve_with_workers",
    "controller": "everloop.server.controller:run_controller",
}
"""What runs each process. The doors load it by name here, because they do not import each other."""

_FIRST_WAIT, _LONGEST_WAIT = 0.5, 30.0
_GRACE_SECONDS = 15.0
_LOOK_SECONDS = 1.0
_PARENT_DEATH_SIGNAL = 1


def entry(name: str) -> Callable[..., Any]:
    """The function that runs a process, with its own parameters."""
    module, _, function = ENTRIES[name].partition(":")
    found: Callable[..., Any] = getattr(importlib.import_module(module), function)
    return found


def free_port(host: str, port: int) -> int:
    """A port that nobody listens on: the given one, or any for 0.

    Raises:
        Unavailable: the port is taken, or the address is not ours.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.create_server((host, port), family=family) as listening:
            return int(listening.getsockname()[1])
    except (OSError, OverflowError) as error:
        raise Unavailable(
            f"Cannot listen on {host}:{port} ({error}).", hint="Choose another port with --port, or end what has it."
        ) from None


class Command(msgspec.Struct, frozen=True):
    """A process to keep alive: a name for people, and the words after `everloop`."""

    name: str
    words: tuple[str, ...]


class _Child:
    def __init__(self, command: Command, environment: Mapping[str, str]) -> None:
        self.command = command
        self._environment = environment
        self._wait = _FIRST_WAIT / 2  # The first death doubles it.
        self._started = 0.0
        self._running: subprocess.Popen[bytes] | None = None

    def look(self, now: float) -> int | None:
        """Start it if it is not running and has waited long enough; the exit code if it has just died."""
        if self._running is None:
            if now >= self._started + self._wait or not self._started:
                self._start(now)
            return None
        code = self._running.poll()
        if code is None:
            return None
        lived = now - self._started
        self._wait = _FIRST_WAIT if lived > _LONGEST_WAIT else min(self._wait * 2, _LONGEST_WAIT)
        self._running, self._started = None, now
        return code

    def stop(self, number: int) -> None:
        if self._running is not None and self._running.poll() is None:
            self._running.send_signal(number)

    def wait(self, seconds: float) -> None:
        if self._running is None:
            return
        try:
            self._running.wait(seconds)
        except subprocess.TimeoutExpired:
            self._running.kill()
            self._running.wait()

    def _start(self, now: float) -> None:
        words = [sys.executable, "-m", "everloop", *self.command.words]
        self._running = subprocess.Popen(words, env=dict(self._environment), preexec_fn=die_with_parent)
        self._started = now


class Supervisor:
    """Keeps processes alive: one that dies is started again, after 0.5 s at first and up to 30 s when it keeps dying.

    The children stop with it, even when it is killed.
    """

    def __init__(self, environment: Mapping[str, str], report: Callable[[str], None]) -> None:
        self._environment = dict(os.environ) | dict(environment)
        self._report = report
        self._children: dict[str, _Child] = {}
        self._stopping = False

    def keep(self, commands: Iterable[Command]) -> None:
        """Also keep these alive; those that are kept already go on."""
        for command in commands:
            self._children.setdefault(command.name, _Child(command, self._environment))

    def run(self, more: Callable[[], Iterable[Command]]) -> None:
        """Watch until SIGTERM or SIGINT, then stop every child. `more` is asked now and then for what else to keep."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        while not self._stopping:
            self.keep(more())
            for name, child in self._children.items():
                code = child.look(time.monotonic())
                if code is not None:
                    self._report(f"{name} ended with exit code {code}; starting it again.")
            time.sleep(_LOOK_SECONDS)
        self._end()

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self._stopping = True

    def _end(self) -> None:
        for child in self._children.values():
            child.stop(signal.SIGTERM)
        deadline = time.monotonic() + _GRACE_SECONDS
        for child in self._children.values():
            child.wait(max(0.0, deadline - time.monotonic()))


def die_with_parent() -> None:
    """Run in the child before it starts: Linux sends it SIGTERM when its parent dies. Ctrl-C is the parent's alone."""
    ctypes.CDLL(None).prctl(_PARENT_DEATH_SIGNAL, signal.SIGTERM)
    os.setpgid(0, 0)
