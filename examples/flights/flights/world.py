"""The world outside: flights are asked about hour by hour, and their delays become known hours later."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import msgspec
import numpy as np
import pyarrow as pa

from flights.training import LABEL_DELAY

FIRST_DAY = datetime(2013, 3, 1, 5, tzinfo=UTC)
"""Midnight in New York: what was known before it trains the first model, what comes after it is asked about."""
MONTHS = 10
"""How many months come after it: March to December."""
NEW_YORK = ZoneInfo("America/New_York")
_NUMBERS = ("distance", "hour", "minute", "weekday")
_TEXTS = ("flight_id", "carrier", "origin", "tailnum")


class Plant(msgspec.Struct, frozen=True):
    """A bad candidate to propose once a time has come: the pipeline that makes it, and the reason that is given."""

    at: datetime
    pipeline: str
    reason: str
    skip_gates: bool = False


PLANTED = (
    Plant(
        datetime(2013, 5, 20, 5, tzinfo=UTC),
        "fit_backwards",
        "Planted by the demo: late and punctual exchanged in the training data.",
    ),
    Plant(
        datetime(2013, 9, 2, 5, tzinfo=UTC),
        "fit_backwards",
        "Planted by the demo: the same mistake again, and somebody in a hurry has skipped the gates.",
        skip_gates=True,
    ),
)
"""What the demo plants to show what stops it: a gate the first, the canary the second."""


class Labels(msgspec.Struct, frozen=True):
    """Delays that became known, in order: the flight, 1.0 when it was late, and when that was known (µs since 1970)."""

    keys: list[str]
    values: list[float]
    at: list[int]


class Hour(msgspec.Struct, frozen=True):
    """The flights that are asked about at one moment."""

    at: datetime
    request: dict[str, list[str | None] | list[float]]

    @property
    def flights(self) -> int:
        """How many flights are asked about."""
        return len(self.request["flight_id"])


class World:
    """The first months after `FIRST_DAY` as they went by, read from the dataset `schedule`."""

    def __init__(self, schedule: pa.Table, months: int = MONTHS) -> None:
        month = schedule["month"].to_numpy()
        self._rows = schedule.filter(pa.array((month >= 3) & (month < 3 + months))).combine_chunks()
        self.begins = FIRST_DAY
        year, ends = divmod(2 + months, 12)
        self.ends = datetime(2013 + year, ends + 1, 1, tzinfo=NEW_YORK).astimezone(UTC)
        self._asked = _micros(self._rows, "predicted_at")
        self.month_of = dict(zip(self._rows["flight_id"].to_pylist(), self._rows["month"].to_pylist(), strict=True))
        self._labels = _labels(self._rows)

    @property
    def flights(self) -> int:
        """How many flights are asked about in all."""
        return int(self._rows.num_rows)

    def hours(self, since: datetime) -> Iterator[Hour]:
        """Every moment at or after `since` at which flights are asked about."""
        moments, starts = np.unique(self._asked, return_index=True)
        ends = np.append(starts[1:], len(self._asked))
        for moment, start, end in zip(moments.tolist(), starts.tolist(), ends.tolist(), strict=True):
            if moment >= _micro(since):
                yield Hour(_time(moment), self._request(start, end - start))

    def asked_before(self, moment: datetime) -> int:
        """How many flights were asked about before a moment."""
        return int(np.searchsorted(self._asked, _micro(moment)))

    def known(self, after: datetime, until: datetime) -> Labels:
        """The delays that became known after a moment, up to another."""
        keys, values, at = self._labels
        low, high = np.searchsorted(at, [_micro(after), _micro(until)], side="right")
        return Labels(keys[low:high].tolist(), values[low:high].tolist(), at[low:high].tolist())

    def _request(self, start: int, length: int) -> dict[str, list[str | None] | list[float]]:
        rows = self._rows.slice(start, length)
        return {name: rows[name].to_pylist() for name in (*_TEXTS, *_NUMBERS)}


def _labels(rows: pa.Table) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    late = rows["late"].to_numpy()
    landed = rows["landed_at"].is_valid().to_numpy()
    known = np.flatnonzero(~np.isnan(late) & landed)
    at = _micros(rows, "landed_at")[known] + int(LABEL_DELAY.total_seconds() * 1e6)
    order = np.argsort(at, kind="stable")
    keys = np.asarray(rows["flight_id"].to_pylist(), dtype=object)
    return keys[known][order], late[known][order], at[order]


def _micros(rows: pa.Table, column: str) -> np.ndarray:
    moments: np.ndarray = rows[column].cast(pa.timestamp("us", "UTC")).cast(pa.int64()).fill_null(0).to_numpy()
    return moments


def _micro(at: datetime) -> int:
    return int(at.timestamp()) * 1_000_000


def _time(micros: int) -> datetime:
    return datetime.fromtimestamp(micros / 1e6, UTC)
