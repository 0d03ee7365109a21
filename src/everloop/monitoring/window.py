"""Windows: predictions and labels flow in, a report for each span of time comes out."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

import numpy as np

from everloop.kernel.clock import MICROSECOND, from_micros, micros
from everloop.monitoring.attribution import Contributions
from everloop.monitoring.entities import MonitorDefinition, Reference, WindowReport
from everloop.monitoring.gathered import GatheredRows, by_window
from everloop.monitoring.reference import effective_since
from everloop.monitoring.report import drift_report, performance_report

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

_LABEL = ("key", "value", "at")


class WindowMonitor:
    """Watches an endpoint: feed it the inference log and the labels, ask it for reports whenever time has passed.

    Windows count from 1970 in steps of the definition's `window`; rows belong to the window they were predicted in.
    Everything follows from the logs and what was reported before, so a monitor is rebuilt after a crash by feeding the
    logs from the beginning to a new one, whose `last` is the newest final report. A day of 1,000 rows x 23 features
    costs about 9 ms, and 0.6 ms more for each attributed row (TreeSHAP of 100 trees).
    """

    def __init__(
        self,
        endpoint: str,
        references: Sequence[Reference],
        definition: MonitorDefinition = MonitorDefinition(),
        contributions: Contributions | None = None,
        last: WindowReport | None = None,
    ) -> None:
        """`references` are all that the endpoint has had; `contributions` belong to the model of the last one."""
        self._endpoint = endpoint
        self._references = tuple(references)
        self._definition = definition
        self._contributions = {self._references[-1].since: contributions} if self._references and contributions else {}
        self._span = definition.window // MICROSECOND
        self._done = micros(last.start) // self._span if last else -1
        self._open: dict[int, GatheredRows] = {}
        self._closed: dict[int, GatheredRows] = {}
        self._labels: dict[str, float] = {}
        self._known: deque[tuple[int, str]] = deque()
        self._ended = self._finished = last

    def use(self, reference: Reference, contributions: Contributions | None = None) -> None:
        """Compare windows that end after the reference's `since` with it; contributions are those of its model."""
        self._references = (*self._references, reference)
        if contributions:
            self._contributions[reference.since] = contributions

    def predictions(self, batches: Iterable[pa.RecordBatch]) -> None:
        """Take in predictions from the inference log, without shadows and rows of windows that are closed."""
        for batch in batches:
            for number, part in by_window(batch, self._span, self._done):
                if number not in self._open:
                    start = from_micros(number * self._span)
                    self._open[number] = GatheredRows(start, start + self._definition.window, self._reference)
                self._open[number].add(part, self._sample)

    def labels(self, batches: Iterable[pa.RecordBatch]) -> None:
        """Take in labels; the first of each key counts."""
        for batch in batches:
            for key, value, at in zip(*(batch.column(name).to_pylist() for name in _LABEL), strict=True):
                if key not in self._labels:
                    self._labels[key] = value
                    self._known.append((at, key))

    def advance(self, now: datetime) -> list[WindowReport]:
        """The reports that are due: of windows that have ended, and of those whose labels can be counted on by now."""
        ended = micros(now) // self._span
        reports = [self._close(number) for number in sorted(self._open) if number < ended]
        self._done = max(self._done, ended - 1)
        mature = micros(now - self._definition.labels_within) // self._span
        reports += [self._finish(number) for number in sorted(self._closed) if number < mature]
        self._forget()
        return reports

    @property
    def _sample(self) -> int:
        return self._definition.sample if self._contributions else 0

    def _reference(self, end: datetime) -> Reference | None:
        return effective_since(self._references, end)

    def _close(self, number: int) -> WindowReport:
        window = self._closed[number] = self._open.pop(number)
        window.fold(self._sample)
        since = window.reference.since if window.reference else from_micros(0)
        blank = WindowReport(
            self._endpoint, window.start, window.end, window.rows, window.model_version, reference=since
        )
        report = drift_report(blank, window, self._attributed(window), self._ended, self._definition)
        window.report = self._ended = report
        return report

    def _finish(self, number: int) -> WindowReport:
        window = self._closed.pop(number)
        assert window.report is not None  # It was closed, which made one.
        truth = np.array([self._labels.get(key, np.nan) for key in window.keys], dtype=float)
        self._finished = performance_report(window, window.report, truth, self._finished, self._definition)
        return self._finished

    def _attributed(self, window: GatheredRows) -> NDArray[np.float64] | None:
        """The contributions to the sampled rows, in units of the output; none if the model is not at hand."""
        reference = window.reference
        ask = self._contributions.get(reference.since) if reference else None
        if reference is None or ask is None or not reference.attribution:
            return None
        return np.asarray(ask(window.sampled())) * reference.slope

    def _forget(self) -> None:
        """Labels that were known before any window that is still waiting began are of no more use."""
        floor = min((*self._open, *self._closed), default=self._done) * self._span
        while self._known and self._known[0][0] < floor:
            self._labels.pop(self._known.popleft()[1], None)
