"""The rows of one window, gathered from the inference log and folded into profiles."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import TYPE_CHECKING

import numpy as np

from everloop.monitoring.entities import Reference, WindowReport
from everloop.monitoring.profile import FeatureProfile, profile

if TYPE_CHECKING:
    import pyarrow as pa

    from everloop.monitoring.profile import Values

PREFIX = "feature:"
"""How the inference log marks the columns that hold features."""
FOLD = 20_000
"""Rows are folded into profiles whenever so many have gathered, so that memory stays bounded."""


class GatheredRows:
    """What is kept of a window: profiles of features and outputs, a sample of rows, keys and outputs to join labels to.

    Which reference the window is compared with is asked for when rows are first folded: at its end, usually.
    """

    def __init__(self, start: datetime, end: datetime, reference: Callable[[datetime], Reference | None]) -> None:
        self.start, self.end = start, end
        self.rows = self.model_version = 0
        self.keys: list[str] = []
        self.outputs: list[float] = []
        self.profiles: dict[str, FeatureProfile] = {}
        self.output = FeatureProfile(2)
        self.reference: Reference | None = None
        self.report: WindowReport | None = None
        self._choose: Callable[[datetime], Reference | None] | None = reference
        self._sample: list[tuple[int, tuple[object, ...]]] = []
        self._batches: list[pa.RecordBatch] = []
        self._waiting = 0

    def add(self, batch: pa.RecordBatch, sample: int) -> None:
        """Take in rows of this window; `sample` of all its rows are kept whole."""
        self._batches.append(batch)
        self._waiting += batch.num_rows
        if self._waiting >= FOLD:
            self.fold(sample)

    def fold(self, sample: int) -> None:
        """Bring what has gathered into the profiles, and let go of it."""
        batches, self._batches, self._waiting = self._batches, [], 0
        if not batches:
            return
        if self._choose is not None:
            self._bind(self._choose(self.end))
        self.rows += sum(batch.num_rows for batch in batches)
        columns = self._columns(batches)
        for feature in self.reference.features if self.reference else ():
            self.profiles[feature.name].merge(profile(feature, columns[feature.name]))
        if sample:
            self._take_sample(batches, columns, sample)
        for batch in batches:
            self._take_outputs(batch)

    def sampled(self) -> dict[str, Values]:
        """The sampled rows, by column in the model's order."""
        features = self.reference.features if self.reference else ()
        rows = [row for _, row in self._sample]
        return {
            feature.name: np.array([row[n] for row in rows], dtype=float if feature.bins.kind == "number" else object)
            for n, feature in enumerate(features)
        }

    def _bind(self, reference: Reference | None) -> None:
        self.reference, self._choose = reference, None
        if reference is not None:
            self.profiles = {feature.name: FeatureProfile(feature.bins.size) for feature in reference.features}
            self.output = FeatureProfile(reference.output.bins.size)

    def _columns(self, batches: list[pa.RecordBatch]) -> dict[str, Values]:
        return {
            feature.name: np.concatenate([_values(batch, feature.name, feature.bins.kind) for batch in batches])
            for feature in (self.reference.features if self.reference else ())
        }

    def _take_sample(self, batches: list[pa.RecordBatch], columns: dict[str, Values], sample: int) -> None:
        """Keep the rows with the lowest checksums of what was asked and when: as good as random, the same every time.

        The id of a prediction is random: by it, the same requests at the same times could raise other alerts.
        """
        asked = [one for batch in batches for one in _asked(batch)]
        ranks = np.fromiter(map(zlib.crc32, asked), np.int64, len(asked))
        chosen = np.argsort(ranks, kind="stable")[:sample]
        rows = [(int(ranks[row]), tuple(values[row] for values in columns.values())) for row in chosen]
        self._sample = sorted([*self._sample, *rows], key=lambda one: one[0])[:sample]

    def _take_outputs(self, batch: pa.RecordBatch) -> None:
        """Outputs are those of the stable version: a canary is the rollout's concern."""
        stable = np.array(batch.column("role").to_pylist(), dtype=object) == "stable"
        output = batch.column("output").to_numpy(zero_copy_only=False).astype(float)[stable]
        if self.reference:
            self.output.merge(profile(self.reference.output, output))
        pairs = zip(batch.column("key").to_pylist(), batch.column("prediction_id").to_pylist(), stable, strict=True)
        self.keys += [key or prediction for key, prediction, kept in pairs if kept]
        self.outputs += output.tolist()
        if stable.any():
            self.model_version = int(batch.column("model_version").to_numpy()[stable][-1])


def by_window(batch: pa.RecordBatch, span: int, done: int) -> Iterator[tuple[int, pa.RecordBatch]]:
    """The rows of a batch by the number of their window (of `span` µs), without shadows and windows up to `done`."""
    import pyarrow as pa

    numbers = batch.column("at").to_numpy() // span
    wanted = (np.array(batch.column("role").to_pylist(), dtype=object) != "shadow") & (numbers > done)
    found = np.unique(numbers[wanted])
    if wanted.all() and len(found) == 1:
        yield int(found[0]), batch
        return
    for number in found:
        yield int(number), batch.filter(pa.array(wanted & (numbers == number)))


def _asked(batch: pa.RecordBatch) -> Iterator[bytes]:
    """What each row was asked about and when; its id where it was asked without a key."""
    columns = (batch.column(name).to_pylist() for name in ("key", "at", "prediction_id"))
    for key, at, prediction in zip(*columns, strict=True):
        yield (f"{key} {at}" if key else prediction).encode()


def _values(batch: pa.RecordBatch, feature: str, kind: str) -> Values:
    """A feature's column; all missing where the log has none."""
    place = batch.schema.get_field_index(PREFIX + feature)
    if place < 0:
        return np.full(batch.num_rows, np.nan) if kind == "number" else np.full(batch.num_rows, None, dtype=object)
    if kind == "number":
        return np.asarray(batch.column(place).to_numpy(zero_copy_only=False), dtype=float)
    return np.array(batch.column(place).to_pylist(), dtype=object)
