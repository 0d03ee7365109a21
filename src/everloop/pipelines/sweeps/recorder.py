"""Logging from the code of an objective: to the run of the trial, in batches that nobody waits for."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path

from everloop.catalog.session import Session
from everloop.kernel.clock import micros
from everloop.tracking import service
from everloop.tracking.entities import Artifact, Logged, MetricPoint
from everloop.tracking.ingest import Ingest
from everloop.tracking.points import points_of

_BATCH = 1_000
_SECONDS = 0.5


class TrialRecorder:
    """The active run of an objective: what is logged is sent every half second, when it is much, and at the end."""

    def __init__(self, session: Session, run: str) -> None:
        self._session = session
        self._run = run
        self._points: list[MetricPoint] = []
        self._next: dict[str, int] = {}
        self._lock = threading.Lock()
        self._sent = micros(session.clock.now())

    @property
    def id(self) -> str:
        """The run's id."""
        return self._run

    def log_metric(self, key: str, value: float, step: int | None = None) -> None:
        """Log one value of a metric; without a step it counts up."""
        now = self._session.clock.now()
        with self._lock:
            at = self._next.get(key, 0) if step is None else step
            self._next[key] = at + 1
            self._points.append(MetricPoint(key, float(value), at, now))
        if len(self._points) >= _BATCH or micros(now) - self._sent > _SECONDS * 1e6:
            self._sent = micros(now)
            self.flush()

    def log_parameters(self, values: Mapping[str, object]) -> None:
        """Log parameters, as text; raises Conflict where one has another value."""
        self._write(Logged(self._run, parameters={key: str(value) for key, value in values.items()}))

    def set_tags(self, values: Mapping[str, object]) -> None:
        """Set tags, as text."""
        self._write(Logged(self._run, tags={key: str(value) for key, value in values.items()}))

    def keep(self, path: str, content: bytes | Path) -> Artifact:
        """Add a file to the run."""
        store = self._session.store
        digest = store.put_file(content) if isinstance(content, Path) else store.put(content)
        with self._session.begin() as unit:
            return service.log_artifact(unit, self._run, path, digest)

    def flush(self) -> None:
        """Send what was logged."""
        with self._lock:
            points, self._points = self._points, []
        if points:
            self._write(Logged(self._run, points_of(tuple(points), micros(self._session.clock.now()))))

    def _write(self, logged: Logged) -> None:
        self._session.ports.get(Ingest).write(logged, self._session.principal, self._session.project)
