"""The monitor of drift as a simulation runs it: the windows of production over the rows of a history."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING

import numpy as np

from everloop.loop.history import History
from everloop.loop.triggers import DriftWindow
from everloop.monitoring.entities import MonitorDefinition, Reference, WindowReport
from everloop.monitoring.window import WindowMonitor

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray


def drift_windows(reports: Iterable[WindowReport]) -> dict[datetime, DriftWindow]:
    """What the drift trigger reads in the monitor's reports, by the end of the window: the final one says it again."""
    return {
        report.end: DriftWindow(report.end, report.impact, report.drift[0].feature if report.drift else "")
        for report in reports
    }


class DriftWatch:
    """Watches the features of a history against a champion's reference, a window after the other.

    Attribution is not sampled here: it takes exact TreeSHAP, and no trigger reads it.
    """

    def __init__(self, history: History, reference: Reference, since: datetime) -> None:
        self._history = history
        definition = MonitorDefinition(sample=0)
        self._monitor = WindowMonitor("simulated", [reference], definition)
        self._read = history.between(since, since).start
        self._windows: dict[datetime, DriftWindow] = {}

    def until(self, now: datetime, scores: NDArray[np.float64]) -> list[DriftWindow]:
        """The windows that have ended by now."""
        rows = slice(self._read, self._history.between(now, now).stop)
        if rows.stop > rows.start:
            self._monitor.predictions([self._batch(rows, scores)])
            self._read = rows.stop
        self._windows |= drift_windows(self._monitor.advance(now))
        return list(self._windows.values())

    def _batch(self, rows: slice, scores: NDArray[np.float64]) -> pa.RecordBatch:
        """Rows of the history as the inference log would hold them."""
        import pyarrow as pa

        size = rows.stop - rows.start
        ids = [str(row) for row in range(rows.start, rows.stop)]
        fixed = {
            "prediction_id": pa.array(ids, pa.string()),
            "key": pa.array(ids, pa.string()),
            "at": pa.array(self._history.at[rows]),
            "role": pa.array(["stable"] * size, pa.string()),
            "model_version": pa.array(np.ones(size, np.int32)),
            "output": pa.array(scores[rows]),
        }
        features = {f"feature:{name}": pa.array(values[rows]) for name, values in self._history.columns.items()}
        return pa.record_batch(fixed | features)
