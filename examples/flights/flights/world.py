"""The world outside: flights are asked about hour by hour, and their delays become known hours later."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import msgspec
import numpy as np
import pyarrow as pa

from flights.training import LABEL_DELAY

FIRST_DAY = datetime(2013, 3, 1, 5, tzinfo=UTC)
"""Midnight in New York: what was known before it trains the first model, what comes after it is asked about."""
LAST_DAY = datetime(2014, 1, 1, 5, tzinfo=UTC)
PLANTED = (
    (
        datetime(2013, 5, 20, 5, tzinfo=UTC),
        "fit_backwards",
        "Planted by the demo: late and punctual exchanged in the training data.",
    ),
    (
        datetime(2013, 9, 2, 5, tzinfo=UTC),
        "fit_in_seconds",
        "Planted by the demo: trained on delays in seconds, served in minutes.",
    ),
)
"""Bad candidates: when each is proposed, the pipeline that makes it, and the reason that is given."""
_NUMBERS = ("distance", "hour", "minute", "weekday")
_TEXTS = ("flight_id", "carrier", "origin", "tailnum")


class Labels(msgspec.Struct, frozen=True):
    """Delays that became known, in order: the flight, 1.0 when it was late, and when that was known (µs since 1970)."""

    keys: list[str]
    values: list[float]
    at: list[int]


class Hour(msgspec.Struct, frozen=True):
    """The flights that are asked about at one moment, and the delays that have become known since the last one."""

    at: datetime
    request: dict[str, list[str | None] | list[float]]
    labels: Labels

    @property
    def flights(self) -> int:
        """How many flights are asked about."""
        return len(self.request["flight_id"])


class World:
    """The year as it went by, read from the dataset `schedule`."""

    def __init__(self, schedule: pa.Table) -> None:
        months = schedule["month"].to_numpy()
        self._rows = schedule.filter(pa.array(months >= 3)).combine_chunks()
        self._asked = _micros(self._rows, "predicted_at")
        self.month_of = dict(zip(self._rows["flight_id"].to_pylist(), self._rows["month"].to_pylist(), strict=True))
        self._labels = _labels(self._rows)

    @property
    def flights(self) -> int:
        """How many flights are asked about in all."""
        return self._rows.num_rows

    def hours(self, since: datetime) -> Iterator[Hour]:
        """Every moment at or after `since` at which flights are asked about, with the labels that came up to it.

        Labels start with those that were known at `since` minus a day, so that a replay that was killed between two
        moments tells none too few: telling one twice changes nothing.
        """
        moments, starts = np.unique(self._asked, return_index=True)
        ends = np.append(starts[1:], len(self._asked))
        told = _micro(since - timedelta(days=1))
        for moment, start, end in zip(moments.tolist(), starts.tolist(), ends.tolist(), strict=True):
            if moment < _micro(since):
                continue
            yield Hour(_time(moment), self._request(start, end - start), self._known(told, moment))
            told = moment

    def asked_before(self, moment: datetime) -> int:
        """How many flights were asked about before a moment."""
        return int(np.searchsorted(self._asked, _micro(moment)))

    def labels_after(self, since: datetime) -> Labels:
        """The delays that become known after the last flight was asked about."""
        return self._known(_micro(since), np.iinfo(np.int64).max)

    def _request(self, start: int, length: int) -> dict[str, list[str | None] | list[float]]:
        rows = self._rows.slice(start, length)
        return {name: rows[name].to_pylist() for name in (*_TEXTS, *_NUMBERS)}

    def _known(self, after: int, until: int) -> Labels:
        keys, values, at = self._labels
        low, high = np.searchsorted(at, [after, until], side="right")
        return Labels(keys[low:high].tolist(), values[low:high].tolist(), at[low:high].tolist())


def _labels(rows: pa.Table) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    late = rows["late"].to_numpy()
    landed = rows["landed_at"].is_valid().to_numpy()
    known = np.flatnonzero(~np.isnan(late) & landed)
    at = _micros(rows, "landed_at")[known] + int(LABEL_DELAY.total_seconds() * 1e6)
    order = np.argsort(at, kind="stable")
    keys = np.asarray(rows["flight_id"].to_pylist(), dtype=object)
    return keys[known][order], late[known][order], at[order]


def _micros(rows: pa.Table, column: str) -> np.ndarray:
    return rows[column].cast(pa.timestamp("us", "UTC")).cast(pa.int64()).fill_null(0).to_numpy()


def _micro(at: datetime) -> int:
    return int(at.timestamp()) * 1_000_000


def _time(micros: int) -> datetime:
    return datetime.fromtimestamp(micros / 1e6, UTC)
