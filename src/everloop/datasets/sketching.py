"""Making sketches of columns from their counted values, and hashes that every version of every library agrees about."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from everloop.datasets.entities import ColumnProfile
from everloop.datasets.sketches import MOST_FREQUENT, MOST_HASHES, MOST_VALUES, ColumnSketch, told

Hashes = NDArray[np.uint64]
_ODD = np.uint64(0x9E3779B97F4A7C15)


def number_sketch(profile: ColumnProfile, values: NDArray[np.float64], counts: NDArray[np.int64]) -> ColumnSketch:
    """The sketch of a column of numbers, given its different values in order (without NaN) and their counts."""
    finite = np.isfinite(values)
    present = int(counts[finite].sum())
    squares = (profile.std or 0.0) ** 2 * max(present - 1, 0)
    whole = len(values) <= MOST_VALUES
    kept, weights, error = (values, counts, 0.0) if whole else _ranks(values[finite], counts[finite])
    order = most_frequent(counts, MOST_FREQUENT + 1)
    return ColumnSketch(
        profile.name,
        profile.type,
        profile.count,
        profile.nulls,
        numeric=True,
        finite=present,
        mean=profile.mean or 0.0,
        squares=squares,
        minimum=profile.minimum,
        maximum=profile.maximum,
        whole=whole,
        numbers=tuple(kept.tolist()),
        weights=tuple(weights.tolist()),
        rank_error=error,
        frequent=() if whole else tuple((told(float(values[n])), int(counts[n])) for n in order[:MOST_FREQUENT]),
        unlisted=int(counts[order[MOST_FREQUENT]]) if not whole and len(order) > MOST_FREQUENT else 0,
        hashes=() if whole else _smallest(number_hashes(values)),
    )


def text_sketch(profile: ColumnProfile, texts: Sequence[str], counts: NDArray[np.int64]) -> ColumnSketch:
    """The sketch of a column of anything that has no numbers, given its different values as text and their counts."""
    whole = len(texts) <= MOST_VALUES
    order = most_frequent(counts, MOST_FREQUENT + 1)
    places = np.argsort(np.array(texts, object)) if whole and len(texts) else np.array([], np.int64)
    return ColumnSketch(
        profile.name,
        profile.type,
        profile.count,
        profile.nulls,
        numeric=False,
        minimum=profile.minimum,
        maximum=profile.maximum,
        whole=whole,
        texts=tuple(texts[n] for n in places) if whole else (),
        weights=tuple(counts[places].tolist()) if whole else (),
        frequent=() if whole else tuple((texts[n], int(counts[n])) for n in order[:MOST_FREQUENT]),
        unlisted=int(counts[order[MOST_FREQUENT]]) if not whole and len(order) > MOST_FREQUENT else 0,
        hashes=() if whole else _smallest(text_hashes(texts)),
    )


def most_frequent(counts: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    """The places of the largest counts, largest first and of equal ones the first: without sorting all of them."""
    if len(counts) > most:
        least = np.partition(counts, -most)[-most]
        above = np.flatnonzero(counts > least)
        chosen = np.concatenate([above, np.flatnonzero(counts == least)[: most - len(above)]])
    else:
        chosen = np.arange(len(counts))
    return chosen[np.lexsort((chosen, -counts[chosen]))]


def hashes(sketch: ColumnSketch) -> tuple[int, ...]:
    """A hash of each value of a sketch that has them all."""
    found = number_hashes(np.array(sketch.numbers, np.float64)) if sketch.numeric else text_hashes(sketch.texts)
    return _smallest(found)


def number_hashes(values: NDArray[np.float64]) -> Hashes:
    """A hash of each number, 0.0 and -0.0 alike: their bits, stirred."""
    positive: NDArray[np.float64] = values + 0.0
    return _stirred(positive.view(np.uint64))


def text_hashes(texts: Sequence[str]) -> Hashes:
    """A hash of each text: a polynomial of its bytes in UTF-8, stirred with its length."""
    encoded = [text.encode() for text in texts]
    lengths = np.array([len(one) for one in encoded], np.int64)
    letters = np.frombuffer(b"".join(one + b"\0" for one in encoded), np.uint8)
    starts = np.concatenate([[0], np.cumsum(lengths + 1)[:-1]]) if len(texts) else lengths
    longest = int(lengths.max(initial=0)) + 1
    powers = np.cumprod(np.full(longest, _ODD, np.uint64))
    places = np.arange(len(letters)) - np.repeat(starts, lengths + 1)
    if not len(texts):
        return np.array([], np.uint64)
    sums = np.add.reduceat((letters.astype(np.uint64) + np.uint64(1)) * powers[places], starts)
    return _stirred(np.bitwise_xor(sums, lengths.astype(np.uint64), dtype=np.uint64))


def _stirred(bits: Hashes) -> Hashes:
    """SplitMix64's finalizer: each bit of the input moves half of those of the output."""
    mixed = bits + _ODD
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    found: Hashes = mixed ^ (mixed >> np.uint64(31))
    return found


def _smallest(found: Hashes) -> tuple[int, ...]:
    kept = found if len(found) <= MOST_HASHES else np.partition(found, MOST_HASHES)[:MOST_HASHES]
    return tuple(np.unique(kept).tolist())


def _ranks(
    values: NDArray[np.float64], counts: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.int64], float]:
    """Values at equal distances of rank, each standing for the ranks up to its own; and how far a rank may be off."""
    reached = np.cumsum(counts)
    total = int(reached[-1]) if len(reached) else 0
    if not total:
        return values[:0], counts[:0], 0.0
    wanted = np.ceil(np.arange(1, MOST_VALUES + 1) * total / MOST_VALUES)
    places = np.unique(np.searchsorted(reached, wanted))
    return values[places], np.diff(reached[places], prepend=0), 1 / MOST_VALUES
