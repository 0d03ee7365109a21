"""Logging from the code of a step: what is logged is collected, and written in one transaction when the step ends."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import msgspec

from everloop.catalog.session import Session, active_session
from everloop.kernel.errors import Conflict
from everloop.tracking import service
from everloop.tracking.active import activated
from everloop.tracking.entities import Artifact, MetricPoint


class Recording(msgspec.Struct):
    """What was logged to a run and is not written yet."""

    run: str
    metrics: list[MetricPoint] = []
    parameters: dict[str, str] = {}
    artifacts: list[Artifact] = []
    tags: dict[str, str] = {}
    next_steps: dict[str, int] = {}

    @property
    def id(self) -> str:
        """The run's id."""
        return self.run

    def log_metric(self, key: str, value: float, step: int | None = None) -> None:
        """Log one value of a metric; without a step it counts up."""
        at = self.next_steps.get(key, 0) if step is None else step
        self.next_steps[key] = at + 1
        self.metrics.append(MetricPoint(key, float(value), at, active_session().clock.now()))

    def log_parameters(self, values: Mapping[str, object]) -> None:
        """Log parameters, as text.

        Raises:
            Conflict: one was logged with another value.
        """
        for key, value in values.items():
            text = str(value)
            before = self.parameters.setdefault(key, text)
            if before != text:
                raise Conflict(
                    f"Parameter {key!r} is {before!r} and cannot become {text!r}.", hint="Log it as a metric or a tag."
                )

    def set_tags(self, values: Mapping[str, object]) -> None:
        """Set tags, as text."""
        self.tags |= {key: str(value) for key, value in values.items()}

    def keep(self, path: str, content: bytes | Path) -> Artifact:
        """Add a file to the run: bytes, or the file at a path."""
        store = active_session().store
        if isinstance(content, Path):
            made = Artifact(path, store.put_file(content), content.stat().st_size)
        else:
            made = Artifact(path, store.put(content), len(content))
        self.artifacts.append(made)
        return made

    def write(self, session: Session) -> None:
        """Write it all to the run, in one transaction, and be empty again."""
        if not (self.metrics or self.parameters or self.artifacts or self.tags):
            return
        with session.begin() as unit:
            service.log(unit, self.run, tuple(self.metrics), self.parameters, self.tags)
            for artifact in self.artifacts:
                service.log_artifact(unit, self.run, artifact.path, artifact.digest)
        self.metrics, self.parameters, self.artifacts, self.tags = [], {}, [], {}


@contextmanager
def collecting(run: str) -> Iterator[Recording]:
    """Make a run the active one; what is logged to it is collected for the caller to write."""
    recording = Recording(run)
    with activated(recording):
        yield recording


@contextmanager
def recording(session: Session, run: str) -> Iterator[Recording]:
    """Make a run the active one; what is logged to it is written at the end of the block, also when it raises."""
    with collecting(run) as collected:
        try:
            yield collected
        finally:
            collected.write(session)
