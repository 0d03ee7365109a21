"""Which rows of a table belong to which part of a split; nothing but the columns of the strategy is looked at."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from everloop.datasets.splits.entities import (
    NO_TIME,
    Folds,
    ForwardChaining,
    GroupedKFold,
    GroupedSplit,
    HashSplit,
    InTime,
    KFold,
    Parts,
    RandomSplit,
    Strategy,
    StratifiedKFold,
    StratifiedSplit,
    TimeShares,
    TimeSplit,
)
from everloop.datasets.splits.keyhash import key_hashes, row_hashes
from everloop.datasets.splits.moments import micros_of, moments_of
from everloop.kernel.clock import micros
from everloop.kernel.errors import InvalidInput

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

    Mask = NDArray[np.bool_]
    Numbers = NDArray[np.int64]
    Coded = tuple[Numbers, tuple[str, ...]]

_SMALL = 2
"""A stratum with fewer rows than this for each part is told of."""
_MOST_FOLDS = 100


class Assignment(msgspec.Struct):
    """The rows of each part, as masks in the order of the parts, and what is worth saying about them."""

    masks: dict[str, Mask]
    notes: tuple[str, ...] = ()


def columns_of(strategy: Strategy) -> tuple[str, ...]:
    """The columns that a strategy looks at, each once."""
    named = (*getattr(strategy, "by", ()), *getattr(strategy, "key", ()))
    timed = (getattr(strategy, "column", ""), getattr(strategy, "known", ""))
    return tuple(dict.fromkeys([*named, *(name for name in timed if name)]))


def assign(table: pa.Table, strategy: Strategy, seed: int) -> Assignment:
    """The parts of a table.

    Raises:
        InvalidInput: the strategy makes no sense, or not for this table.
    """
    check(strategy)
    if isinstance(strategy, Folds):
        return _in_folds(table, strategy, seed)
    if isinstance(strategy, InTime):
        return _in_time(table, strategy)
    names = [name for name, _ in strategy.parts]
    codes, notes = _codes(table, strategy, seed, strategy.parts)
    return Assignment({name: codes == number for number, name in enumerate(names)}, notes)


def check(strategy: Strategy) -> None:
    """Make sure that a strategy makes sense.

    Raises:
        InvalidInput: it does not.
    """
    if isinstance(strategy, Folds):
        if not 2 - isinstance(strategy, ForwardChaining) <= strategy.folds <= _MOST_FOLDS:
            raise InvalidInput(f"{strategy.folds} folds are none.", hint=f"Ask for 2 to {_MOST_FOLDS}.")
    elif isinstance(strategy, TimeSplit):
        _check_cuts(strategy)
    else:
        _check_shares(strategy.parts)
    if isinstance(strategy, InTime):
        _check_spans(strategy)
    if not isinstance(strategy, RandomSplit | KFold) and not columns_of(strategy):
        raise InvalidInput("The strategy names no column.", hint="Name the columns to split by.")


def _check_shares(parts: Parts) -> None:
    names, shares = [name for name, _ in parts], [share for _, share in parts]
    if len(set(names)) < len(names) or len(names) < 2:
        raise InvalidInput(f"{', '.join(names) or 'Nothing'} names no two parts.", hint="Give each a name of its own.")
    if not all(0 <= share <= 1 for share in shares) or abs(sum(shares) - 1) > 1e-9:
        raise InvalidInput(
            f"The shares {', '.join(f'{share:g}' for share in shares)} add up to {sum(shares):g}.",
            hint="Give numbers from 0 to 1 that add up to 1.",
        )


def _check_cuts(strategy: TimeSplit) -> None:
    if len(strategy.names) != len(strategy.at) + 1 or len(set(strategy.names)) < len(strategy.names) or not strategy.at:
        raise InvalidInput(
            f"{len(strategy.at)} cuts do not make the {len(strategy.names)} parts {', '.join(strategy.names)}.",
            hint="Name one part more than there are cuts, each differently.",
        )
    if any(later <= earlier for earlier, later in pairwise(strategy.at)):
        raise InvalidInput("The cuts are not in order of time.", hint="Write the earliest first.")


def _check_spans(strategy: InTime) -> None:
    for name, span in (("gap", strategy.gap), ("delay", strategy.delay)):
        if span < NO_TIME:
            raise InvalidInput(f"The {name} of {span.total_seconds():g} s is less than none.", hint="Give 0 or more.")
    if strategy.delay and not strategy.known:
        raise InvalidInput(
            "The strategy has a delay, and does not say when labels were known.", hint="Name that column in known."
        )


def _codes(table: pa.Table, strategy: Strategy, seed: int, parts: Parts) -> Coded:
    """The number of each row's part, and notes."""
    shares = [share for _, share in parts]
    match strategy:
        case StratifiedSplit(by=by) | StratifiedKFold(by=by):
            return _stratified(table, by, seed, shares)
        case GroupedSplit(by=by) | GroupedKFold(by=by):
            return _grouped(key_hashes(table, by, seed), shares)
        case HashSplit(key=key):
            edges = np.array([int(edge * 2.0**53) << 11 for edge in _edges(shares)], dtype=np.uint64)
            return np.searchsorted(edges, key_hashes(table, key, seed), side="right"), ()
        case _:
            return _allotted(np.zeros(table.num_rows, dtype=np.int64), 1, seed, shares), ()


def _edges(shares: Sequence[float]) -> list[float]:
    """The sums of the shares but the last; a part after the last that gets anything gets nothing."""
    sums = np.cumsum(shares)[:-1]
    return [min(float(edge), 1 - 2.0**-53) if edge < 1 - 1e-12 else 1 - 2.0**-53 for edge in sums]


def _stratified(table: pa.Table, by: Sequence[str], seed: int, shares: Sequence[float]) -> Coded:
    import pyarrow as pa

    encoded = pa.array(key_hashes(table, by, 0)).dictionary_encode()
    values = np.asarray(encoded.dictionary)
    ranks = np.empty(len(values), dtype=np.int64)
    ranks[np.argsort(values)] = np.arange(len(values))
    strata = ranks[np.asarray(encoded.indices)] if len(values) else np.zeros(0, dtype=np.int64)
    sizes = np.bincount(strata, minlength=len(values))
    small = sizes < _SMALL * sum(share > 0 for share in shares)
    notes: tuple[str, ...] = ()
    if small.any():
        notes = (
            f"{int(small.sum())} of {len(sizes)} strata have so few rows ({int(sizes[small].sum())} together) that "
            "not every part has its share of each; the shares of the whole hold.",
        )
    return _allotted(strata, len(values), seed, shares), notes


def _allotted(strata: Numbers, count: int, seed: int, shares: Sequence[float]) -> Numbers:
    """The part of each row: of each stratum, random ones, so many as the shares ask for."""
    bits = max(count - 1, 0).bit_length()
    shuffled = row_hashes(len(strata), seed) >> np.uint64(bits)
    if bits:
        shuffled |= strata.astype(np.uint64) << np.uint64(64 - bits)
    order = np.argsort(shuffled)
    quotas = _quotas(np.bincount(strata, minlength=count), shares)
    found = np.empty(len(strata), dtype=np.int64)
    found[order] = np.repeat(np.tile(np.arange(len(shares)), count), quotas.ravel())
    return found


def _quotas(sizes: Numbers, shares: Sequence[float]) -> Numbers:
    """How many rows of each stratum each part gets: its share, rounded down or up.

    A row that is left over goes to the part that is owed most by then, so that rounding does not add up.
    """
    exact = np.outer(sizes, np.asarray(shares))
    quotas = np.floor(exact + 1e-9).astype(np.int64)
    owed = np.zeros(len(shares))
    for stratum in np.flatnonzero(quotas.sum(axis=1) < sizes):
        over = exact[stratum] - quotas[stratum]
        owed += over
        wanting = np.where(over > 1e-9, owed, -np.inf)
        chosen = np.argsort(-wanting, kind="stable")[: sizes[stratum] - quotas[stratum].sum()]
        quotas[stratum, chosen] += 1
        owed[chosen] -= 1
    return quotas


def _grouped(hashes: NDArray[np.uint64], shares: Sequence[float]) -> Coded:
    """Groups in the order of their hashes, cut between two groups where the shares of the rows come closest."""
    ordered = np.sort(hashes)
    starts = np.flatnonzero(np.diff(ordered, prepend=~ordered[:1])) if len(ordered) else np.zeros(0, dtype=np.int64)
    cuts = [_nearest(starts, len(ordered), edge) for edge in np.cumsum(shares)[:-1]]
    reached = np.zeros(len(hashes), dtype=np.int64)
    for cut in cuts:
        reached += hashes >= ordered[cut] if cut < len(ordered) else 0
    largest = int(np.diff(starts, append=len(ordered)).max(initial=0))
    notes: tuple[str, ...] = ()
    if len(ordered) and largest > len(ordered) * min((share for share in shares if share), default=1.0):
        notes = (f"The largest group has {largest} of {len(ordered)} rows, more than the share of a part.",)
    return reached, notes


def _nearest(starts: Numbers, rows: int, edge: float) -> int:
    """The start of a group, or the end of the rows, that is nearest to a share of the rows."""
    stops = np.append(starts, rows)
    return int(stops[np.argmin(np.abs(stops - edge * rows))])


def _in_folds(table: pa.Table, strategy: Folds, seed: int) -> Assignment:
    numbers = range(1, strategy.folds + 1)
    if isinstance(strategy, ForwardChaining):
        blocks: Parts = tuple((f"block{number}", 1 / (strategy.folds + 1)) for number in range(strategy.folds + 1))
        cuts: list[int | None] = [*_cuts(_times(table, strategy), blocks), None]
        masks = {}
        for number, (start, end) in zip(numbers, pairwise(cuts), strict=True):
            masks[f"fold{number}.train"], masks[f"fold{number}.test"] = _windows(table, strategy, [start or 0], end)
        return Assignment(masks)
    parts: Parts = tuple((f"fold{number}", 1 / strategy.folds) for number in numbers)
    codes, notes = _codes(table, strategy, seed, parts)
    masks = {}
    for number in numbers:
        tested = codes == number - 1
        masks[f"fold{number}.train"], masks[f"fold{number}.test"] = ~tested, tested
    return Assignment(masks, notes)


def _in_time(table: pa.Table, strategy: TimeSplit | TimeShares) -> Assignment:
    if isinstance(strategy, TimeSplit):
        names, cuts = strategy.names, [micros(at) for at in strategy.at]
    else:
        names, cuts = tuple(name for name, _ in strategy.parts), _cuts(_times(table, strategy), strategy.parts)
    return Assignment(dict(zip(names, _windows(table, strategy, cuts), strict=True)))


def _times(table: pa.Table, strategy: InTime) -> Numbers:
    return moments_of(table, strategy.column)


def _cuts(times: Numbers, parts: Parts) -> list[int]:
    """The moments at which so many rows have passed; all rows of a moment come after the cut at it."""
    if not len(times):
        return [0 for _ in parts[1:]]
    ordered = np.sort(times)
    places = [round(edge * len(ordered)) for edge in np.cumsum([share for _, share in parts])[:-1]]
    return [int(ordered[place]) if place < len(ordered) else int(ordered[-1]) + 1 for place in places]


def known_of(table: pa.Table, strategy: InTime) -> Numbers:
    """When each row's label was known."""
    return moments_of(table, strategy.known, missing=True) + micros_of(strategy.delay)


def _windows(table: pa.Table, strategy: InTime, cuts: Sequence[int], end: int | None = None) -> list[Mask]:
    """The rows before the first cut, between each two, and after the last (up to `end`)."""
    times, gap = _times(table, strategy), micros_of(strategy.gap)
    known = known_of(table, strategy) if strategy.known else times
    masks = [(times < cuts[0]) & (known <= cuts[0])]
    for start, stop in pairwise(cuts):
        masks.append((times >= start + gap) & (times < stop) & (known <= stop))
    last = times >= cuts[-1] + gap
    return [*masks, last if end is None else last & (times < end)]
