"""What the demo says while it runs, on stderr: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, TaskID


class Narrator:
    """Tells what happens. Everything goes to stderr, so that stdout holds the account and nothing else."""

    def __init__(self) -> None:
        from rich.console import Console

        self._console: Console = Console(stderr=True, highlight=False)
        self._progress: Progress | None = None
        self._task: TaskID | None = None

    def say(self, text: str) -> None:
        """A line."""
        self._console.print(text, soft_wrap=True)

    def chapter(self, text: str) -> None:
        """The beginning of a stage."""
        self._console.print(f"[bold]{text}[/bold]", soft_wrap=True)

    @contextmanager
    def bar(self, text: str, total: int, done: int) -> Iterator[None]:
        """A bar with rate and rest time, for as long as the block runs."""
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        if not sys.stderr.isatty():
            yield
            return
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=self._console, transient=True) as progress:
            self._progress, self._task = progress, progress.add_task(text, total=total, completed=done)
            try:
                yield
            finally:
                self._progress = self._task = None

    def advance(self, done: int, text: str) -> None:
        """Move the bar on."""
        if self._progress is not None and self._task is not None:
            self._progress.update(self._task, completed=done, description=text)
