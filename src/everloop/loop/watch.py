"""The watch over a loop's endpoint: what the controller keeps in memory between two ticks.

Everything in it follows from the inference log, the labels and the catalog, so a controller that died begins a new
watch and comes to the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from everloop.kernel.clock import micros
from everloop.loop.driftwatch import drift_windows
from everloop.loop.metrics import Outcomes
from everloop.loop.outcomes import OutcomeLog
from everloop.loop.triggers import DriftWindow
from everloop.monitoring.attribution import Contributions
from everloop.monitoring.entities import Reference, WindowReport
from everloop.monitoring.window import WindowMonitor
from everloop.rollouts.entities import Evidence, Rollout
from everloop.rollouts.evidence import EvidenceBuilder
from everloop.serving.inferencelog import LogReader
from everloop.serving.labellog import LabelReader
from everloop.serving.segments import Position

if TYPE_CHECKING:
    import pyarrow as pa

TOGETHER = 10_000
"""So many rows are looked at as one batch, however few each request had: most of what is done costs by the batch."""
KEPT_WINDOWS = 400
"""So many windows are remembered for the drift trigger."""


@dataclass(frozen=True)
class News:
    """What has come since the last look: how many predictions and labels, and the reports of windows that are due."""

    predictions: int = 0
    labels: int = 0
    reports: tuple[WindowReport, ...] = ()


class Feed:
    """The predictions and labels of an endpoint, each row once, in the order of the logs."""

    def __init__(self, home: Path, project: str, endpoint: str) -> None:
        self._of = (home, project, endpoint)
        self._predictions = LogReader(home, project, endpoint)
        self._labels = LabelReader(home, project, endpoint)
        self._places = (Position(), Position())

    def next(self) -> tuple[list[pa.RecordBatch], list[pa.RecordBatch]]:
        """What has come since the last call. A label is never told before the prediction that it is about."""
        labels, told = self._labels.since(self._places[1])
        predictions, made = self._predictions.since(self._places[0])
        self._places = (made, told)
        return _together(predictions), _together(labels)

    def anew(self) -> Feed:
        """The same logs from their beginning."""
        return Feed(*self._of)


class Watch:
    """Reads the logs as they grow, for the monitor, the triggers and the rollout that is running."""

    def __init__(self, feed: Feed, monitor: WindowMonitor, reported: Sequence[WindowReport] = ()) -> None:
        self._feed = feed
        self._monitor = monitor
        self._outcomes = OutcomeLog()
        self._rollout = ""
        self._evidence: tuple[Feed, EvidenceBuilder] | None = None
        self._windows = drift_windows(sorted(reported, key=lambda report: report.start))

    def look(self, now: datetime) -> News:
        """Take in what has come, and close the windows that have ended."""
        predictions, labels = self._feed.next()
        self._outcomes.predictions(predictions)
        self._outcomes.labels(labels)
        self._monitor.predictions(predictions)
        self._monitor.labels(labels)
        reports = tuple(self._monitor.advance(now))
        self._windows |= drift_windows(reports)
        while len(self._windows) > KEPT_WINDOWS:
            del self._windows[next(iter(self._windows))]
        return News(_rows(predictions), _rows(labels), reports)

    def compare_with(self, reference: Reference, contributions: Contributions | None) -> None:
        """From now on windows are compared with another reference."""
        self._monitor.use(reference, contributions)

    @property
    def windows(self) -> list[DriftWindow]:
        """The windows that have ended, oldest first."""
        return list(self._windows.values())

    def outcomes(self, start: datetime, end: datetime) -> Outcomes:
        """The labelled answers that were given in [start, end)."""
        return self._outcomes.between(micros(start), micros(end))

    def evidence(self, rollout: Rollout) -> Evidence:
        """What speaks for and against the challenger of a rollout by now; of a new rollout the logs are read anew."""
        if self._rollout != rollout.id or self._evidence is None:
            self._rollout, self._evidence = rollout.id, (self._feed.anew(), EvidenceBuilder(rollout))
        feed, builder = self._evidence
        predictions, labels = feed.next()
        since = micros(rollout.started)
        builder.predictions(batch for batch in predictions if _last(batch, "at") >= since)
        builder.labels(batch for batch in labels if _last(batch, "received_at") >= since)
        return builder.evidence()


def _together(batches: Sequence[pa.RecordBatch]) -> list[pa.RecordBatch]:
    """Neighbours with the same columns as one batch, of up to `TOGETHER` rows unless one alone has more."""
    import pyarrow as pa

    runs: list[list[pa.RecordBatch]] = []
    rows = 0
    for batch in batches:
        if not runs or rows + batch.num_rows > TOGETHER or not batch.schema.equals(runs[-1][0].schema):
            runs.append([])
            rows = 0
        runs[-1].append(batch)
        rows += batch.num_rows
    return [run[0] if len(run) == 1 else pa.concat_batches(run) for run in runs]


def _rows(batches: Sequence[pa.RecordBatch]) -> int:
    return sum(batch.num_rows for batch in batches)


def _last(batch: pa.RecordBatch, column: str) -> int:
    """The time of a batch's newest row; batches before a rollout cost no more than this."""
    return int(batch.column(column).to_numpy().max())
