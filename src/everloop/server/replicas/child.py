"""A worker as its supervisor sees it, and how it ended."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path

import msgspec

from everloop.app.workers import WorkerState
from everloop.kernel.errors import Problem
from everloop.server.replicas.pages import Page

_FAULTS = (signal.SIGSEGV, signal.SIGBUS, signal.SIGILL, signal.SIGFPE, signal.SIGABRT, signal.SIGSYS)


class Death(msgspec.Struct, frozen=True):
    """The end of a worker: its exit code (negative for a signal), why it was ended, and the model that ran."""

    code: int
    reason: str
    suspect: str

    @property
    def is_crash(self) -> bool:
        """Whether what ran may be to blame: not when somebody else killed the process."""
        return bool(self.reason) or self.code >= 0 or -self.code in _FAULTS

    @property
    def told(self) -> str:
        """How it ended, for people."""
        if self.reason:
            ended = self.reason
        elif self.code < 0:
            ended = f"was ended by {signal.Signals(-self.code).name}"
        else:
            ended = f"ended with exit code {self.code}"
        return f"{ended} while model {self.suspect[:12]} ran" if self.suspect else ended


def exit_of(status: int) -> int:
    """The exit code in what `waitpid` gives; negative for a signal."""
    return os.waitstatus_to_exitcode(status)


class Child:
    """A running worker."""

    def __init__(self, pid: int, slot: int, page: Page, began: float, heard: int) -> None:
        self.pid = pid
        self.slot = slot
        self.page = page
        self.began = began
        self.state: WorkerState = "starting"
        self.reason = ""
        self.deadline = 0.0
        self._heard = heard

    def drain(self, deadline: float, reason: str = "") -> None:
        """Have it finish what it was asked, and take no more; it is killed at the deadline."""
        self.state, self.deadline, self.reason = "draining", deadline, reason
        self.signal(signal.SIGTERM)

    def kill(self, reason: str) -> None:
        """End it at once."""
        self.state, self.deadline, self.reason = "draining", float("inf"), reason
        self.signal(signal.SIGKILL)

    def signal(self, number: int) -> None:
        """Send it a signal."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def memory_mb(self) -> int:
        """The memory that is its own: what it shares with its supervisor and the files that it maps do not count."""
        try:
            _, resident, shared, *_ = Path(f"/proc/{self.pid}/statm").read_text().split()
        except (OSError, ValueError):
            return 0
        return (int(resident) - int(shared)) * os.sysconf("SC_PAGESIZE") >> 20

    def said(self) -> Problem | None:
        """What it could not begin for, once it has ended."""
        text = os.read(self._heard, 65536)
        return msgspec.json.decode(text, type=Problem) if text else None

    def close(self) -> None:
        """Give back what belongs to it here."""
        os.close(self._heard)
