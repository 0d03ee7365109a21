"""One pass over a part: every measure of a batch is taken while the batch is in the processor's cache."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import polars as pl
import pyarrow as pa

from everloop.backends.engines.batches import Opened, frame
from everloop.backends.engines.predicates import bad, columns_of, ends, judged, missing, physical, polars_unit
from everloop.backends.engines.textvalues import TextValues
from everloop.datasets.quality.engine import Measure, Measured, Moments, MomentsOf, Newest, NewestOf, Tally, merged
from everloop.datasets.quality.expectations import AllNull, Compare, InRange, NotNull
from everloop.datasets.quality.literals import family

Row = Mapping[str, Any]
"""The values of a select by name; what type each has follows from its expression."""


class OnePass:
    """One pass over a part for measures of any kind."""

    def __init__(self, opened: Opened, measures: Sequence[Measure]) -> None:
        self._opened = opened
        self._types = opened.types
        self._measures = measures
        self._found: list[list[Measured]] = [[_nothing(one)] for one in measures]
        self._texts = self._text_columns()
        self._asked: dict[int, dict[str, pl.Expr]] = {}

    def run(self) -> list[Measured]:
        """The figures, in the order that they were asked for."""
        columns = list(dict.fromkeys(name for one in self._measures for name in columns_of(one)))
        for batch in self._opened.batches(columns):
            self._count_texts(batch)
            places = [place for place in range(len(self._measures)) if place not in self._counted()]
            if places:
                names = dict.fromkeys(name for place in places for name in columns_of(self._measures[place]))
                self._judge(frame(batch.select(list(names))), places)
        for values in self._texts.values():
            self._settle(values)
        return [merged(figures) for figures in self._found]

    def _text_columns(self) -> dict[str, TextValues]:
        """The columns of text whose measures see one value at a time, with the places of these."""
        found: dict[str, TextValues] = {}
        for place, one in enumerate(self._measures):
            if not isinstance(one, Compare) and family(self._types[one.column]) == "text":
                found.setdefault(one.column, TextValues(one.column)).places.append(place)
        return found

    def _counted(self) -> set[int]:
        return {place for values in self._texts.values() for place in values.places}

    def _count_texts(self, batch: pa.RecordBatch) -> None:
        for name, values in list(self._texts.items()):
            if not values.add(batch.column(name)):
                self._settle(self._texts.pop(name))

    def _settle(self, values: TextValues) -> None:
        """Judge each different text once, for all the rows that have it."""
        for place in values.places:
            one = self._measures[place]
            assert not isinstance(one, MomentsOf | NewestOf)
            self._found[place].append(values.tally(one, self._types))

    def _judge(self, rows: pl.DataFrame, places: Sequence[int]) -> None:
        """One select for what every batch is asked, and a second one for what its extremes do not settle."""
        if len(places) not in self._asked:  # Places are only ever added: when a text turns out to have many values.
            self._asked[len(places)] = {name: value for place in places for name, value in self._facts(place)}
        facts = rows.select(**self._asked[len(places)]).row(0, named=True)
        late = {name: value for place in places for name, value in self._unsettled(place, facts)}
        facts |= rows.select(**late).row(0, named=True) if late else {}
        for place in places:
            self._found[place].append(self._figure(place, rows.height, facts))

    def _facts(self, place: int) -> Iterator[tuple[str, pl.Expr]]:
        one = self._measures[place]
        match one:
            case Compare():
                both = judged(one, self._types)
                yield f"judged {place}", pl.len() if both is None else both.sum()
            case MomentsOf(column=column):
                yield from _moments(column, self._types[column], finite=False)
            case NewestOf(column=column):
                yield f"newest {column}", pl.col(column).to_physical().max()
            case _:
                yield f"missing {one.column}", missing(one.column, self._types).sum()
        if isinstance(one, InRange) and self._has_extremes(one):
            value = physical(pl.col(one.column), self._types[one.column])
            yield f"low {one.column}", value.min()
            yield f"high {one.column}", value.max()
        elif not isinstance(one, MomentsOf | NewestOf):
            yield f"bad {place}", bad(one, self._types).sum()

    def _unsettled(self, place: int, facts: Row) -> Iterator[tuple[str, pl.Expr]]:
        one = self._measures[place]
        if isinstance(one, InRange) and self._has_extremes(one) and not self._is_inside(one, facts):
            yield f"bad {place}", bad(one, self._types).sum()
        elif isinstance(one, MomentsOf) and not math.isfinite(facts[f"squares {one.column}"] or 0.0):
            yield from _moments(one.column, self._types[one.column], finite=True)

    def _has_extremes(self, one: InRange) -> bool:
        return family(self._types[one.column]) != "text"

    def _is_inside(self, one: InRange, facts: Row) -> bool:
        """Whether the extremes of a batch, which are numbers, show that all of it is inside."""
        low, high = ends(one, self._types[one.column])
        least, most = facts[f"low {one.column}"], facts[f"high {one.column}"]
        return (low is None or least is None or not least < low) and (high is None or most is None or not most > high)

    def _figure(self, place: int, rows: int, facts: Row) -> Measured:
        one = self._measures[place]
        match one:
            case MomentsOf(column=column):
                return _moments_in(facts, column)
            case NewestOf(column=column):
                newest = facts[f"newest {column}"]
                return Newest(None if newest is None else newest * polars_unit(self._types[column]))
            case Compare():
                return Tally(facts[f"judged {place}"], facts[f"bad {place}"])
            case NotNull() | AllNull():
                return Tally(rows, facts[f"bad {place}"])
            case _:
                return Tally(rows - facts[f"missing {one.column}"], facts.get(f"bad {place}", 0))


def _moments(column: str, kind: str, *, finite: bool) -> Iterator[tuple[str, pl.Expr]]:
    """Count, sum, mean and variance of numbers; only a batch with NaN or infinities needs them filtered first."""
    value = pl.col(column).cast(pl.Float64)
    value = value.filter(value.is_finite()) if finite else value
    yield f"count {column}", value.count()
    yield f"total {column}", value.sum()
    yield f"mean {column}", value.mean()
    yield f"squares {column}", value.var(ddof=0)


def _moments_in(facts: Row, column: str) -> Moments:
    count = facts[f"count {column}"]
    if not count:
        return Moments()
    return Moments(count, facts[f"total {column}"], facts[f"mean {column}"], facts[f"squares {column}"] * count)


def _nothing(one: Measure) -> Measured:
    return Moments() if isinstance(one, MomentsOf) else Newest() if isinstance(one, NewestOf) else Tally(0, 0)
