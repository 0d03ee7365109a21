"""Logging from the code of a step: what is logged is collected, and written in one transaction when the step ends."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

import msgspec

from everloop.catalog.session import Session, active_session
from everloop.kernel.errors import Conflict, NotFound
from everloop.tracking import service
from everloop.tracking.entities import Artifact, MetricPoint

_active: ContextVar[Recording | None] = ContextVar("everloop_recording", default=None)


class Recording(msgspec.Struct):
    """What was logged to a run and is not written yet."""

    run: str
    metrics: list[MetricPoint] = []
    parameters: dict[str, str] = {}
    artifacts: list[Artifact] = []

    def write(self, session: Session) -> None:
        """Write it all to the run, in one transaction, and be empty again."""
        if not (self.metrics or self.parameters or self.artifacts):
            return
        with session.begin() as unit:
            service.log(unit, self.run, tuple(self.metrics), self.parameters)
            for artifact in self.artifacts:
                service.log_artifact(unit, self.run, artifact.path, artifact.digest)
        self.metrics, self.parameters, self.artifacts = [], {}, []


@contextmanager
def collecting(run: str) -> Iterator[Recording]:
    """Make a run the active one; what is logged to it is collected for the caller to write."""
    recording = Recording(run)
    token = _active.set(recording)
    try:
        yield recording
    finally:
        _active.reset(token)


@contextmanager
def recording(session: Session, run: str) -> Iterator[Recording]:
    """Make a run the active one; what is logged to it is written at the end of the block, also when it raises."""
    with collecting(run) as collected:
        try:
            yield collected
        finally:
            collected.write(session)


def active_run() -> str:
    """The id of the run that the running step belongs to.

    Raises:
        NotFound: outside of a step.
    """
    return _recording().run


def log_metric(key: str, value: float, step: int = 0) -> None:
    """Log one value of a metric. Costs about a microsecond."""
    _recording().metrics.append(MetricPoint(key, float(value), step, active_session().clock.now()))


def log_metrics(values: Mapping[str, float], step: int = 0) -> None:
    """Log one value of each of several metrics."""
    for key, value in values.items():
        log_metric(key, value, step)


def log_parameter(key: str, value: object) -> None:
    """Log a parameter, as text.

    Raises:
        Conflict: it was logged with another value.
    """
    text = str(value)
    before = _recording().parameters.setdefault(key, text)
    if before != text:
        raise Conflict(
            f"Parameter {key!r} is {before!r} and cannot become {text!r}.", hint="Log it as a metric or a tag."
        )


def log_parameters(values: Mapping[str, object]) -> None:
    """Log several parameters, as text."""
    for key, value in values.items():
        log_parameter(key, value)


def log_artifact(path: str, content: bytes | Path) -> Artifact:
    """Add a file to the run: bytes, or the file at a path."""
    data = content.read_bytes() if isinstance(content, Path) else content
    made = Artifact(path, active_session().store.put(data), len(data))
    _recording().artifacts.append(made)
    return made


def _recording() -> Recording:
    found = _active.get()
    if found is None:
        raise NotFound("No run is active here.", hint="Log inside a step, or inside `with recording(session, run):`.")
    return found
