"""Watching a pipeline run: a callback for each step that starts, finishes, is remembered or fails."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Literal, Protocol

import msgspec

Happening = Literal["started", "finished", "hit", "failed"]


class StepProgress(msgspec.Struct, frozen=True):
    """What has just happened to a step of an execution."""

    execution: str
    pipeline: str
    step: str
    index: int
    happening: Happening
    seconds: float = 0.0
    error: str = ""


class Progress(Protocol):
    """Something that wants to know how a pipeline gets on. It is called in the thread that runs the pipeline."""

    def __call__(self, progress: StepProgress) -> None:
        """Take note of what happened."""
        ...


_watcher: ContextVar[Progress | None] = ContextVar("everloop_progress", default=None)


@contextmanager
def watching(progress: Progress) -> Iterator[None]:
    """Watch every pipeline that runs in the block, in this thread or task."""
    token = _watcher.set(progress)
    try:
        yield
    finally:
        _watcher.reset(token)


def tell(progress: StepProgress) -> None:
    """Tell whoever watches."""
    watcher = _watcher.get()
    if watcher is not None:
        watcher(progress)
