"""The machine that is measured on: what processes use of it, and what it is."""

from __future__ import annotations

import os
import platform
from pathlib import Path

from everloop.kernel.errors import Unavailable
from everloop.packaging.sizing.entities import Machine


class Others:
    """What other work takes of the machine's processors between its making and `ended`."""

    def __init__(self) -> None:
        self._busy, self._all = _jiffies()
        self._own = _own_jiffies()
        self.share = 0.0

    def ended(self, server: int) -> None:
        """Take away what the server and the generators used; what is left was others'."""
        busy, everything = _jiffies()
        own = _own_jiffies() - self._own + process_seconds(server) * os.sysconf("SC_CLK_TCK")
        if everything > self._all:
            self.share = round(max(0.0, busy - self._busy - own) / (everything - self._all), 3)


def _jiffies() -> tuple[float, float]:
    """What all processors have worked, and have been there, since the machine's start."""
    lines = _lines("/proc/stat")
    figures = [float(figure) for figure in lines[0].split()[1:9]] if lines else [0.0] * 8
    idle = figures[3] + figures[4]
    return sum(figures) - idle, sum(figures)


def _own_jiffies() -> float:
    used = os.times()
    return sum(used[:4]) * os.sysconf("SC_CLK_TCK")


def machine(others: float) -> Machine:
    """The machine that this runs on."""
    names = [line.partition(":")[2].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")]
    memory = [int(line.split()[1]) // 1024 for line in _lines("/proc/meminfo") if line.startswith("MemTotal")]
    processor = names[0] if names else platform.machine()
    return Machine(
        processor,
        len(os.sched_getaffinity(0)),
        memory[0] if memory else 0,
        platform.release(),
        platform.python_version(),
        others,
    )


def process_seconds(pid: int) -> float:
    """What a process has used of processors.

    Raises:
        Unavailable: it has ended.
    """
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        raise Unavailable("The server under load has ended.", hint="See what it logged.") from None
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def peak_mib(pid: int) -> int:
    """The most memory that a process has had, in MiB."""
    peak = [int(line.split()[1]) for line in _lines(f"/proc/{pid}/status") if line.startswith("VmHWM")]
    return -(-peak[0] // 1024) if peak else 0


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []
