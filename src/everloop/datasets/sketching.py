"""Making sketches of columns from their counted values, and hashes that every version of every library agrees about."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from everloop.datasets.entities import ColumnProfile
from everloop.datasets.sketches import MOST_FREQUENT, MOST_HASHES, MOST_VALUES, ColumnSketch, told

if TYPE_CHECKING:
    import pyarrow as pa

Hashes = NDArray[np.uint64]
_BLOCK = 1 << 16
_SMALL = 1 << 12
_ODD = np.uint64(0x9E3779B97F4A7C15)


def number_sketch(profile: ColumnProfile, values: NDArray[np.float64], counts: NDArray[np.int64]) -> ColumnSketch:
    """The sketch of a column of numbers, given its different values in order (without NaN) and their counts."""
    finite = finite_part(values)
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


def text_sketch(profile: ColumnProfile, texts: pa.Array, counts: NDArray[np.int64]) -> ColumnSketch:
    """The sketch of a column of anything that has no numbers, given its different values as text and their counts."""
    whole = len(texts) <= MOST_VALUES
    order = most_frequent(counts, MOST_FREQUENT + 1)
    every = sorted(zip(texts.to_pylist(), counts.tolist(), strict=True)) if whole else []
    often = [] if whole else [(texts[int(n)].as_py(), int(counts[n])) for n in order[:MOST_FREQUENT]]
    return ColumnSketch(
        profile.name,
        profile.type,
        profile.count,
        profile.nulls,
        numeric=False,
        minimum=profile.minimum,
        maximum=profile.maximum,
        whole=whole,
        texts=tuple(text for text, _ in every),
        weights=tuple(count for _, count in every),
        frequent=tuple(often),
        unlisted=int(counts[order[MOST_FREQUENT]]) if not whole and len(order) > MOST_FREQUENT else 0,
        hashes=() if whole else _smallest(_array_hashes(texts)),
    )


def most_frequent(counts: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    """The places of the largest counts, largest first and of equal ones the first: without sorting all of them."""
    if len(counts) > most:
        least = _least_of(counts, most)
        above = np.flatnonzero(counts > least)
        chosen = np.concatenate([above, np.flatnonzero(counts == least)[: most - len(above)]])
    else:
        chosen = np.arange(len(counts))
    return chosen[np.lexsort((chosen, -counts[chosen]))]


def _least_of(counts: NDArray[np.int64], most: int) -> int:
    """The smallest of so many largest counts. Most counts are small and alike, so small ones are told by place."""
    tally = np.bincount(np.minimum(counts, _SMALL))
    least = int(np.flatnonzero(np.cumsum(tally[::-1])[::-1] >= most)[-1])
    return least if least < _SMALL else int(np.partition(counts[counts >= _SMALL], -most)[-most])


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
    ends = np.cumsum([0, *map(len, encoded)])
    return _letter_hashes(np.frombuffer(b"".join(encoded), np.uint8), ends)


def _array_hashes(texts: pa.Array) -> Hashes:
    """The same of Arrow's texts without a gap, which lie in memory one after the other."""
    _, offsets, letters = texts.buffers()
    ends = np.frombuffer(offsets, np.int64 if texts.type == "large_string" else np.int32)
    here = ends[texts.offset : texts.offset + len(texts) + 1].astype(np.int64)
    return _letter_hashes(np.frombuffer(letters or b"", np.uint8), here)


def _letter_hashes(letters: NDArray[np.uint8], ends: NDArray[np.int64]) -> Hashes:
    """Hashes of texts that follow each other: differences of running sums, which may overflow without harm."""
    lengths = np.diff(ends)
    powers = np.cumprod(np.full(int(lengths.max(initial=0)) + 1, _ODD, np.uint64))
    found = powers[lengths]
    for first, last in _blocks(ends):
        start, edges = ends[first], ends[first : last + 1] - ends[first]
        places = np.arange(edges[-1]) - np.repeat(edges[:-1], lengths[first:last])
        terms = (letters[start : ends[last]].astype(np.uint64) + np.uint64(1)) * powers[places]
        sums = np.concatenate([np.zeros(1, np.uint64), np.cumsum(terms, dtype=np.uint64)])
        found[first:last] += np.diff(sums[edges])
    return _stirred(np.bitwise_xor(found, lengths.astype(np.uint64), dtype=np.uint64))


def _blocks(ends: NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    """Runs of texts that fit into a processor's cache together."""
    cuts = np.searchsorted(ends, np.arange(ends[0], ends[-1], _BLOCK))
    return pairwise(np.unique([0, *cuts, len(ends) - 1]).tolist())


def _stirred(bits: Hashes) -> Hashes:
    """SplitMix64's finalizer: each bit of the input moves half of those of the output."""
    mixed = bits + _ODD
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    found: Hashes = mixed ^ (mixed >> np.uint64(31))
    return found


def finite_part(values: NDArray[np.float64]) -> slice:
    """Where in ordered numbers those are that are not infinite."""
    return slice(int(np.searchsorted(values, -np.inf, "right")), int(np.searchsorted(values, np.inf, "left")))


def _smallest(found: Hashes) -> tuple[int, ...]:
    """The smallest hashes; of many, by a look at those only that may be among them, since hashes lie evenly."""
    if len(found) > 4 * MOST_HASHES:
        few = found[found < np.uint64(2**65 // len(found) * MOST_HASHES)]
        found = few if len(few) > MOST_HASHES else found
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
