"""Monitoring: profiles of a year of flights and the daily reports, beside bare NumPy histograms of the same columns."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from itertools import pairwise

import numpy as np
import pyarrow as pa

from benchmarks import scratch
from benchmarks.harness import Figure, Side, compare
from everloop.cli.demo.journey import LOOP
from everloop.datasets import content
from everloop.features import pointintime
from everloop.features import service as features
from everloop.kernel.clock import from_micros
from everloop.loop.history import moments_of
from everloop.monitoring.entities import MonitorDefinition, Reference, WindowReport
from everloop.monitoring.profile import profile
from everloop.monitoring.reference import Quiet, build_reference
from everloop.monitoring.window import WindowMonitor
from everloop.registry import service as models
from everloop.registry.columns import columns_of
from everloop.registry.flavor import Predictor
from everloop.registry.save import load_model

Columns = Mapping[str, np.ndarray]
DAY = 86_400_000_000
REFERENCE = 9_000
BINS = 14


def run() -> Sequence[Figure]:
    """March to December, whole and by day; a day's report with and without attribution; a reference."""
    year = _Year()
    reference = year.reference()
    bare = Side("NumPy: histogram, unique", lambda: _histograms(year.columns))
    by_day = Side("NumPy: histogram, unique", lambda: [_histograms(year.day(one)) for one in range(len(year.days))])
    days = len(year.days)
    return [
        compare(
            f"profile of {len(year.at):,} rows × {len(year.columns)} features",
            Side("profile", lambda: [profile(one, year.columns[one.name]) for one in reference.features]),
            bare,
            unit="ms",
            rounds=3,
        ),
        compare(
            f"a day of {len(year.at) // days:,} rows: profile and report, no attribution",
            Side("WindowMonitor", lambda: year.watched(reference, sample=0)),
            by_day,
            each=days,
            rounds=3,
        ),
        compare(
            "the same with 12 rows attributed by TreeSHAP",
            Side("WindowMonitor", lambda: year.watched(reference, sample=12)),
            by_day,
            each=days,
            rounds=3,
        ),
        compare(
            f"a reference of {REFERENCE:,} rows, with attribution",
            Side("build_reference", year.reference),
            Side("bare TreeSHAP of 1,000 rows", lambda: year.predictor.contributions(year.head(1_000))),
            unit="ms",
            rounds=3,
        ),
    ]


class _Year:
    """The flights from March on, with features and scores, and as the inference log would hold them."""

    def __init__(self) -> None:
        session = scratch.flights().session()
        with session.begin(write=False) as unit:
            pinned = features.pin(unit, LOOP)
            trained = models.version(unit, LOOP, alias="champion").trained
        self.predictor: Predictor = load_model(session, trained)
        rows = content.read_table(session, content.snapshot_of(session, "schedule"))
        rows = rows.filter(pa.compute.greater_equal(rows["month"], 3))
        joined = pointintime.join(session, rows, "predicted_at", pinned)
        self.at = moments_of(joined, "predicted_at")
        self.columns: Columns = columns_of(joined, [field.name for field in self.predictor.inputs])
        self.scores = np.asarray(self.predictor.predict(self.columns))
        cuts = np.searchsorted(self.at, np.arange(self.at[0] // DAY, self.at[-1] // DAY + 2) * DAY)
        self.days = [slice(int(low), int(high)) for low, high in pairwise(cuts) if high > low]
        self._batches = [self._batch(day) for day in self.days]

    def head(self, rows: int) -> Columns:
        """The first rows."""
        return {name: values[:rows] for name, values in self.columns.items()}

    def day(self, number: int) -> Columns:
        """The rows of a day."""
        return {name: values[self.days[number]] for name, values in self.columns.items()}

    def reference(self) -> Reference:
        """The first days as a reference."""
        quiet = Quiet(self.head(REFERENCE), self.at[:REFERENCE], self.scores[:REFERENCE])
        return build_reference(quiet, self.predictor.contributions)

    def watched(self, reference: Reference, sample: int) -> list[WindowReport]:
        """The reports of every day."""
        ask: Callable[[Columns], np.ndarray] | None = self.predictor.contributions if sample else None
        monitor = WindowMonitor(LOOP, [reference], MonitorDefinition(sample=sample), ask)
        return list(self._reports(monitor))

    def _reports(self, monitor: WindowMonitor) -> Iterator[WindowReport]:
        for day, batch in zip(self.days, self._batches, strict=True):
            monitor.predictions([batch])
            yield from monitor.advance(from_micros(int(self.at[day][0])) + timedelta(days=1))

    def _batch(self, day: slice) -> pa.RecordBatch:
        size = day.stop - day.start
        ids = pa.array([f"{row:032x}-{row}" for row in range(day.start, day.stop)])
        fixed = {
            "prediction_id": ids,
            "key": ids,
            "at": pa.array(self.at[day]),
            "role": pa.array(["stable"] * size),
            "model_version": pa.array(np.ones(size, np.int32)),
            "output": pa.array(self.scores[day]),
        }
        return pa.record_batch(fixed | {f"feature:{name}": pa.array(v[day]) for name, v in self.columns.items()})


def _histograms(columns: Columns) -> list[np.ndarray]:
    return [_histogram(values) for values in columns.values()]


def _histogram(values: np.ndarray) -> np.ndarray:
    if values.dtype == object:
        return np.unique(values.astype(str), return_counts=True)[1]
    return np.histogram(values[~np.isnan(values)], BINS)[0]
