"""Progress on a terminal: how much is done, how fast, and how long the rest will take."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from everloop.cli.door import Door
from everloop.kernel.progress import SILENT, Progress, Unit

if TYPE_CHECKING:
    from rich.progress import Progress as Bars
    from rich.progress import TaskID


class TerminalBars:
    """A bar for each piece of work, drawn ten times a second at most."""

    def __init__(self, bars: Bars) -> None:
        self._bars = bars
        self._tasks: dict[str, TaskID] = {}

    def advance(self, done: int, total: int | None, what: str, unit: Unit) -> None:
        """Move the bar of a piece of work; what stands behind a comma is its newest news, and makes no other bar."""
        name = what.partition(", ")[0]
        if name not in self._tasks:
            self._tasks[name] = self._bars.add_task(what, total=total, unit=unit)
        self._bars.update(self._tasks[name], description=what, completed=done, total=total)


@contextmanager
def progress(door: Door, unit: Unit = "bytes") -> Iterator[Progress]:
    """Bars on standard error, where a person watches; silence for programs."""
    if door.json or not sys.stderr.isatty():
        yield SILENT
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        MofNCompleteColumn,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )
    from rich.progress import Progress as Bars

    amounts = (DownloadColumn(), TransferSpeedColumn()) if unit == "bytes" else (MofNCompleteColumn(),)
    columns = (TextColumn("{task.description}"), BarColumn(), *amounts, TimeRemainingColumn())
    with Bars(*columns, console=Console(stderr=True), transient=True) as bars:
        yield TerminalBars(bars)
