"""Sketches of columns: profiles that merge, so that the profile of many parts is had without reading one of them.

A sketch of few different values has them all, and is exact. Beyond that it gives quantiles from a summary of ranks,
the number of different values from the smallest of their hashes, and the most frequent ones; each with its error.
Nothing is drawn at random: equal columns have equal sketches, byte for byte.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import reduce
from itertools import accumulate

import msgspec

from everloop.datasets.entities import QUANTILES, ColumnProfile, Profile

MOST_VALUES = 256
"""Up to so many different values a sketch has them all; a summary of ranks has at most so many."""
MOST_HASHES = 1024
"""So many of the smallest hashes are kept: the standard error of the number of different values is 3.1 %."""
MOST_FREQUENT = 32
_TOP = 5
_HASHES = float(2**64)
End = float | str | None
Values = tuple[tuple[float, ...], tuple[str, ...], tuple[int, ...], float]
"""Numbers or texts, how many rows each stands for, and how far a rank may be off."""


class ColumnSketch(msgspec.Struct, frozen=True, array_like=True):
    """What a column of some rows holds, to be merged with that of others.

    `numbers` or `texts`, with `weights`, are every different value and its count (`whole`), else numbers that stand for
    so many ranks each, in order. A quantile's rank is off by at most `rank_error`. A value that `frequent` does not
    list occurs at most `unlisted` times, and one that it lists is undercounted by no more.
    """

    name: str
    type: str
    rows: int
    nulls: int
    numeric: bool
    finite: int = 0
    mean: float = 0.0
    squares: float = 0.0
    minimum: End = None
    maximum: End = None
    whole: bool = True
    numbers: tuple[float, ...] = ()
    texts: tuple[str, ...] = ()
    weights: tuple[int, ...] = ()
    rank_error: float = 0.0
    frequent: tuple[tuple[str, int], ...] = ()
    unlisted: int = 0
    hashes: tuple[int, ...] = ()


class TableSketch(msgspec.Struct, frozen=True):
    """What some rows hold, column by column."""

    rows: int
    columns: tuple[ColumnSketch, ...]

    def packed(self) -> bytes:
        """The sketch as bytes."""
        import zstandard

        return zstandard.compress(msgspec.msgpack.encode(self), 3)


def unpacked(data: bytes) -> TableSketch:
    """The sketch that bytes hold."""
    import zstandard

    return msgspec.msgpack.decode(zstandard.decompress(data), type=TableSketch)


def merged(sketches: Sequence[TableSketch]) -> TableSketch:
    """The sketch of all rows together; a column that some lack is missing in their rows."""
    rows = sum(one.rows for one in sketches)
    names = dict.fromkeys(column.name for one in sketches for column in one.columns)
    return TableSketch(rows, tuple(_merged_column(name, sketches) for name in names))


def profile_from(sketch: TableSketch) -> Profile:
    """The profile that a sketch gives, with its errors."""
    return Profile(sketch.rows, tuple(map(_profile, sketch.columns)))


def _merged_column(name: str, sketches: Sequence[TableSketch]) -> ColumnSketch:
    found = []
    known = next(column for one in sketches for column in one.columns if column.name == name)
    for one in sketches:
        column = next((column for column in one.columns if column.name == name), None)
        found.append(column or ColumnSketch(name, known.type, one.rows, one.rows, known.numeric))
    return reduce(_merge, found)


def _merge(one: ColumnSketch, other: ColumnSketch) -> ColumnSketch:
    finite, mean, squares = _moments(one, other)
    whole = _whole(one, other) if one.whole and other.whole else None
    numbers, texts, weights, rank_error = whole or _ranks(one, other)
    frequent, unlisted = ((), 0) if whole else _frequent(one, other)
    return ColumnSketch(
        one.name,
        one.type,
        one.rows + other.rows,
        one.nulls + other.nulls,
        one.numeric,
        finite,
        mean,
        squares,
        _ends(one.minimum, other.minimum, one.numeric)[0],
        _ends(one.maximum, other.maximum, one.numeric)[1],
        whole is not None,
        numbers,
        texts,
        weights,
        rank_error,
        frequent,
        unlisted,
        () if whole else smallest([*hashes_of(one), *hashes_of(other)]),
    )


def _moments(one: ColumnSketch, other: ColumnSketch) -> tuple[int, float, float]:
    count = one.finite + other.finite
    if count == 0:
        return 0, 0.0, 0.0
    apart = other.mean - one.mean
    mean = one.mean + apart * other.finite / count
    return count, mean, one.squares + other.squares + apart * apart * one.finite * other.finite / count


def _ends(one: End, other: End, numeric: bool) -> tuple[End, End]:
    """The smaller and the larger of two extremes; infinite ones are written as text."""
    if one is None or other is None:
        known = other if one is None else one
        return known, known
    low, high = sorted([one, other], key=float if numeric else str)
    return low, high


def _whole(one: ColumnSketch, other: ColumnSketch) -> Values | None:
    """Every different value of both, if they are few enough."""
    if one.numeric:
        counts = Counter(dict(zip(one.numbers, one.weights, strict=True)))
        counts.update(dict(zip(other.numbers, other.weights, strict=True)))
        numbers = tuple(sorted(counts))
        return (numbers, (), tuple(counts[each] for each in numbers), 0.0) if len(counts) <= MOST_VALUES else None
    told = Counter(dict(zip(one.texts, one.weights, strict=True)))
    told.update(dict(zip(other.texts, other.weights, strict=True)))
    texts = tuple(sorted(told))
    return ((), texts, tuple(told[each] for each in texts), 0.0) if len(told) <= MOST_VALUES else None


def _ranks(one: ColumnSketch, other: ColumnSketch) -> Values:
    """The ranks of both together, thinned out again; how far a rank may be off is added up."""
    pairs = sorted(
        pair
        for each in (one, other)
        for pair in zip(each.numbers, each.weights, strict=False)
        if math.isfinite(pair[0])
    )
    total = sum(weight for _, weight in pairs)
    if not total:
        return (), (), (), 0.0
    before = sum(each.rank_error * sum(each.weights) for each in (one, other) if each.numeric) / total
    numbers, weights = thinned([number for number, _ in pairs], [weight for _, weight in pairs])
    return numbers, (), weights, before + (max(weights) / total if len(numbers) < len(pairs) else 0.0)


def thinned(values: Sequence[float], weights: Sequence[int]) -> tuple[tuple[float, ...], tuple[int, ...]]:
    """At most `MOST_VALUES` of ordered values, each standing for the ranks up to its own."""
    reached = list(accumulate(weights))
    total, kept, done = reached[-1], [], 0
    step = total / MOST_VALUES
    for place, upto in enumerate(reached):
        following = reached[place + 1] if place + 1 < len(reached) else total + step
        if following - done > step or place + 1 == len(reached):
            kept.append((values[place], upto - done))
            done = upto
    return tuple(value for value, _ in kept), tuple(weight for _, weight in kept)


def _frequent(one: ColumnSketch, other: ColumnSketch) -> tuple[tuple[tuple[str, int], ...], int]:
    """Counts of both added up; what either did not list it may have had up to its bound."""
    listed = [dict(listed_of(each)) for each in (one, other)]
    counts = Counter(listed[0])
    counts.update(listed[1])
    order = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
    dropped = order[MOST_FREQUENT][1] if len(order) > MOST_FREQUENT else 0
    return tuple(order[:MOST_FREQUENT]), one.unlisted + other.unlisted + dropped


def listed_of(sketch: ColumnSketch) -> Sequence[tuple[str, int]]:
    """The values whose counts are known, as text."""
    if not sketch.whole:
        return sketch.frequent
    texts = [told(number) for number in sketch.numbers] if sketch.numeric else sketch.texts
    return list(zip(texts, sketch.weights, strict=True))


def told(number: float) -> str:
    """A number as a sketch writes it."""
    return f"{number:.15g}"


def hashes_of(sketch: ColumnSketch) -> Sequence[int]:
    """The smallest hashes of the values of a column."""
    if not sketch.whole:
        return sketch.hashes
    from everloop.datasets.sketching import hashes

    return hashes(sketch)


def smallest(found: Iterable[int]) -> tuple[int, ...]:
    """The hashes that a sketch keeps."""
    return tuple(sorted(set(found))[:MOST_HASHES])


def distinct_of(sketch: ColumnSketch) -> int:
    """How many different values there are: by how dense the smallest hashes lie, where there are too many to keep."""
    if sketch.whole:
        return len(sketch.weights)
    if len(sketch.hashes) < MOST_HASHES:
        return len(sketch.hashes)
    return round((MOST_HASHES - 1) / (sketch.hashes[-1] / _HASHES))


def _profile(sketch: ColumnSketch) -> ColumnProfile:
    top = sorted(listed_of(sketch), key=lambda pair: -pair[1])[:_TOP]
    exact = sketch.whole or len(sketch.hashes) < MOST_HASHES
    return ColumnProfile(
        sketch.name,
        sketch.type,
        sketch.rows,
        sketch.nulls,
        distinct_of(sketch),
        sketch.minimum,
        sketch.maximum,
        sketch.mean if sketch.finite else None,
        math.sqrt(max(sketch.squares, 0.0) / (sketch.finite - 1)) if sketch.finite > 1 else None,
        _quantiles(sketch),
        tuple(top),
        rank_error=sketch.rank_error,
        distinct_error=0.0 if exact else 1 / math.sqrt(MOST_HASHES - 2),
    )


def _quantiles(sketch: ColumnSketch) -> tuple[float, ...]:
    ranked = [pair for pair in zip(sketch.numbers, sketch.weights, strict=False) if math.isfinite(pair[0])]
    if not ranked:
        return ()
    reached = list(accumulate(weight for _, weight in ranked))
    wanted = [max(math.ceil(share * reached[-1] - 1e-9), 1) for share in QUANTILES]
    found = [ranked[bisect_left(reached, rank)][0] for rank in wanted]
    least = sketch.minimum if isinstance(sketch.minimum, float) else found[0]
    return (least, *found[1:])
