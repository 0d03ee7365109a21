"""The active run, to which code logs that was handed none: a pipeline step's, or that of the innermost `el.run`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Protocol

from everloop.kernel.errors import Conflict, NotFound
from everloop.tracking.entities import Artifact

_active: ContextVar[Recorder | None] = ContextVar("everloop_active_run", default=None)
_open: list[Recorder] = []
"""The runs that this process has open, in the order in which they were opened."""


class Recorder(Protocol):
    """A run as the code sees that logs to it."""

    @property
    def id(self) -> str:
        """The run's id."""
        ...

    def log_metric(self, key: str, value: float, step: int | None = None) -> None:
        """Log one value of a metric."""
        ...

    def log_parameters(self, values: Mapping[str, object]) -> None:
        """Log parameters, as text."""
        ...

    def set_tags(self, values: Mapping[str, object]) -> None:
        """Set tags, as text."""
        ...

    def keep(self, path: str, content: bytes | Path) -> Artifact:
        """Add a file to the run: bytes, or the file at a path."""
        ...


@contextmanager
def activated(recorder: Recorder) -> Iterator[None]:
    """Make a run the active one, for the code of the block and what it calls (in this thread or task)."""
    token = _active.set(recorder)
    try:
        yield
    finally:
        _active.reset(token)


def opened(recorder: Recorder) -> None:
    """Let threads log to a run that were not told to which, as long as it is the only one that is open."""
    _open.append(recorder)


def closed(recorder: Recorder) -> None:
    """Forget a run that was opened."""
    if recorder in _open:
        _open.remove(recorder)


def open_runs() -> tuple[Recorder, ...]:
    """The runs that this process has open."""
    return tuple(_open)


def innermost() -> Recorder | None:
    """The run that was made active here, if any was."""
    return _active.get()


def recorder() -> Recorder:
    """The active run: the innermost here; in a thread that was not told of any, the only one that is open.

    Raises:
        NotFound: none is open.
        Conflict: a thread of its own could mean several.
    """
    found = _active.get()
    if found is not None:
        return found
    if len(_open) == 1:
        return _open[0]
    if _open:
        raise Conflict(
            f"{len(_open)} runs are open, and none is active in this thread.",
            hint="Hand the run to the thread: `with run.activate():`, or run.log_metric(…).",
        )
    raise NotFound("No run is active here.", hint="Log inside a step, or inside `with everloop.run():`.")


def active_run() -> str:
    """The id of the active run: the step's, or that of the innermost `el.run`.

    Raises:
        NotFound: there is none.
    """
    return recorder().id


def log_metric(key: str, value: float, step: int | None = None) -> None:
    """Log one value of a metric to the active run. Costs half a microsecond; without a step it counts up."""
    (_active.get() or recorder()).log_metric(key, value, step)


def log_metrics(values: Mapping[str, float], step: int | None = None) -> None:
    """Log one value of each of several metrics."""
    log = recorder().log_metric
    for key, value in values.items():
        log(key, value, step)


def log_parameter(key: str, value: object) -> None:
    """Log a parameter, as text.

    Raises:
        Conflict: it was logged with another value.
    """
    recorder().log_parameters({key: value})


def log_parameters(values: Mapping[str, object]) -> None:
    """Log several parameters, as text."""
    recorder().log_parameters(values)


def set_tag(key: str, value: object) -> None:
    """Set a tag of the active run, as text."""
    recorder().set_tags({key: value})


def set_tags(values: Mapping[str, object]) -> None:
    """Set several tags of the active run, as text."""
    recorder().set_tags(values)


def log_artifact(path: str | Path, content: bytes | Path | None = None) -> Artifact:
    """Add a file to the active run: bytes or a file's content under a path; or just the file, under its own name."""
    if content is None:
        return recorder().keep(Path(path).name, Path(path))
    return recorder().keep(str(path), content)
