"""Columns that grow: arrays in blocks of 4,096 rows, so that a key that few runs have takes no room for the others."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from everloop.tracking.index.expressions import Condition

BITS = 12
BLOCK = 1 << BITS
"""So many rows a block has."""
Scalar = TypeVar("Scalar", bound=np.generic)
Rows = NDArray[np.int64]
ABSENT_BITS = 0x7FF8_0000_0000_0E1F
"""The NaN that stands for no value; a NaN that was logged is kept as the usual one."""
NO_NUMBER: float = np.array([ABSENT_BITS], np.int64).view(np.float64)[0]
NO_TIME = int(np.iinfo(np.int64).min)
_REMEMBERED = 16
"""So many conditions on a column are remembered."""
_NAN_KEY = np.int64(np.iinfo(np.int64).max - 1)
ABSENT_KEY = np.int64(np.iinfo(np.int64).max)
"""What sorts last, whichever the direction."""


class Blocked(Generic[Scalar]):
    """An array in blocks; a block that holds no value is not there."""

    def __init__(self, dtype: Any, absent: Any) -> None:
        self.blocks: list[NDArray[Scalar] | None] = []
        self.absent = absent
        self._dtype = np.dtype(dtype)

    def set(self, rows: Rows, values: NDArray[Scalar]) -> None:
        """Put values into rows, which ascend or lie in one block."""
        for number, start, stop in _spans(rows):
            self._block(number)[rows[start:stop] & (BLOCK - 1)] = values[start:stop]

    def fill(self, rows: Rows) -> None:
        """Put no value into rows, which ascend."""
        for number, start, stop in _spans(rows):
            block = self.block(number)
            if block is not None:
                block[rows[start:stop] & (BLOCK - 1)] = self.absent

    def take(self, rows: Rows) -> NDArray[Scalar]:
        """The values in rows, which ascend."""
        found = np.full(len(rows), self.absent, self._dtype)
        for number, start, stop in _spans(rows):
            block = self.block(number)
            if block is not None:
                found[start:stop] = block[rows[start:stop] & (BLOCK - 1)]
        return found

    def at(self, row: int) -> Any:
        """The value in one row, as Python's."""
        block = self.block(row >> BITS)
        return self.absent if block is None else block[row & (BLOCK - 1)].item()

    def block(self, number: int) -> NDArray[Scalar] | None:
        """The values of a block, None where it has none."""
        return self.blocks[number] if number < len(self.blocks) else None

    def any(self, rows: Rows) -> bool:
        """Whether one of the rows, which ascend, has a value."""
        absent = np.array([self.absent], self._dtype).view(f"V{self._dtype.itemsize}")
        return bool((self.take(rows).view(absent.dtype) != absent).any())

    def _block(self, number: int) -> NDArray[Scalar]:
        if number >= len(self.blocks):
            self.blocks.extend([None] * (number + 1 - len(self.blocks)))
        block = self.blocks[number]
        if block is None:
            block = self.blocks[number] = np.full(BLOCK, self.absent, self._dtype)
        return block


class Numbers(Blocked[np.float64]):
    """Numbers, where no value and NaN are told apart."""

    def __init__(self) -> None:
        super().__init__(np.float64, NO_NUMBER)

    def put(self, rows: Rows, values: Sequence[float]) -> None:
        """Put numbers into rows."""
        given = np.array(values, np.float64)
        given[np.isnan(given)] = np.nan  # Whatever NaN was logged, it is not the one that stands for no value.
        self.set(rows, given)

    def keys(self, rows: Rows, *, descending: bool) -> Rows:
        """Numbers that sort as the values in rows do: NaN before no value, and both after all others."""
        values = self.take(rows)
        return number_keys(values, descending=descending)


class Times(Blocked[np.int64]):
    """Microseconds since 1970."""

    def __init__(self) -> None:
        super().__init__(np.int64, NO_TIME)

    def put(self, rows: Rows, values: Sequence[int | None]) -> None:
        """Put times into rows."""
        self.set(rows, np.array([NO_TIME if value is None else value for value in values], np.int64))

    def keys(self, rows: Rows, *, descending: bool) -> Rows:
        """Numbers that sort as the times in rows do, with no time last."""
        values = self.take(rows)
        keys = -values if descending else values.copy()
        keys[values == NO_TIME] = ABSENT_KEY
        return keys


class _Codes(dict[str, int]):
    """The codes of words; a word that has none gets the next."""

    def __init__(self, words: list[str]) -> None:
        self._words = words

    def __missing__(self, word: str) -> int:
        code = self[word] = len(self._words)
        self._words.append(word)
        return code


class Texts(Blocked[np.int32]):
    """Texts as codes of a dictionary; code 0 is no text."""

    def __init__(self) -> None:
        super().__init__(np.int32, 0)
        self.words: list[str] = [""]
        self._codes = _Codes(self.words)
        self._answers: dict[Condition, NDArray[np.bool_]] = {}
        self._order: list[int] = []
        self._ranks: Rows = np.zeros(1, np.int64)

    def put(self, rows: Rows, values: Sequence[str]) -> None:
        """Put texts into rows."""
        self.set(rows, np.fromiter(map(self._codes.__getitem__, values), np.int32, len(values)))

    def remembered(
        self, question: Condition, answer: Callable[[Sequence[str]], NDArray[np.bool_]]
    ) -> NDArray[np.bool_]:
        """For each code whether a condition holds for its word; words that were asked of before are not again."""
        known = self._answers.pop(question, None)
        if known is None:
            known = np.array([question.operator == "is null"])
        if len(known) < len(self.words):
            known = np.concatenate([known, answer(self.words[len(known) :])])
        self._answers[question] = known
        if len(self._answers) > _REMEMBERED:
            del self._answers[next(iter(self._answers))]
        return known

    def code(self, word: str) -> int:
        """The code of a text; -1 where no run has it."""
        return self._codes.get(word, -1)

    def texts(self, rows: Rows) -> list[str | None]:
        """The texts in rows, which ascend."""
        return [self.words[code] if code else None for code in self.take(rows).tolist()]

    def keys(self, rows: Rows, *, descending: bool) -> Rows:
        """Numbers that sort as the texts in rows do, with no text last."""
        self._rank()
        codes = self.take(rows)
        keys = self._ranks[codes]
        if descending:
            keys = -keys
        keys[codes == 0] = ABSENT_KEY
        return keys

    def key_of(self, word: str, *, descending: bool) -> int:
        """What `keys` gives for a text, or would give if a run had it."""
        self._rank()
        place = bisect_left(self._order, word, key=self.words.__getitem__)
        known = word in self._codes
        key = 2 * place + 1 + (1 if known else 0)
        return -key if descending else key

    def _rank(self) -> None:
        """Number the words by their order: even, so that what is no word has an odd number between."""
        if len(self._order) == len(self.words) - 1:
            return
        # The words of before are in order, and the sort takes that as it finds it.
        self._order = sorted([*self._order, *range(len(self._order) + 1, len(self.words))], key=self.words.__getitem__)
        self._ranks = np.zeros(len(self.words), np.int64)
        self._ranks[np.array(self._order, np.int64)] = 2 * np.arange(1, len(self.words), dtype=np.int64)


class Identities:
    """Which row a run has: a sorted array of ids, and a mapping of those that came since it was sorted."""

    def __init__(self) -> None:
        self.column: Blocked[np.bytes_] = Blocked("S32", b"")
        self._sorted: NDArray[np.bytes_] = np.array([], "S32")
        self._rows: Rows = np.array([], np.int64)
        self._recent: dict[bytes, int] = {}
        self.count = 0

    def rows_of(self, ids: Sequence[bytes]) -> list[int]:
        """The row of each id, -1 where there is none."""
        found = [self._recent.get(id, -1) for id in ids]
        if len(self._sorted) and -1 in found:
            wanted = np.array(ids, "S32")
            places = np.minimum(np.searchsorted(self._sorted, wanted), len(self._sorted) - 1)
            hits = np.flatnonzero(self._sorted[places] == wanted).tolist()
            for hit, row in zip(hits, self._rows[places[hits]].tolist(), strict=True):
                found[hit] = row
        return found

    def add(self, ids: Sequence[bytes]) -> range:
        """Give rows to ids that have none; the rows."""
        rows = range(self.count, self.count + len(ids))
        self._recent.update(zip(ids, rows, strict=True))
        self.column.set(np.arange(rows.start, rows.stop), np.array(ids, "S32"))
        self.count = rows.stop
        if len(self._recent) > max(BLOCK, len(self._sorted) // 4):
            self._settle()
        return rows

    def _settle(self) -> None:
        ids = np.concatenate([self._sorted, np.array(list(self._recent), "S32")])
        rows = np.concatenate([self._rows, np.array(list(self._recent.values()), np.int64)])
        order = np.argsort(ids, kind="stable")
        self._sorted, self._rows, self._recent = ids[order], rows[order], {}


def number_keys(values: NDArray[np.float64], *, descending: bool) -> Rows:
    """64-bit integers that sort as floats do: NaN before no value, and both after all others in both directions."""
    bits = (values + 0.0).view(np.int64)  # -0.0 is 0.0.
    keys = np.where(bits < 0, np.int64(np.iinfo(np.int64).min) - bits, bits)
    if descending:
        keys = -keys
    keys[np.isnan(values)] = _NAN_KEY
    keys[values.view(np.int64) == ABSENT_BITS] = ABSENT_KEY
    return keys


def _spans(rows: Rows) -> Iterator[tuple[int, int, int]]:
    """The blocks that rows lie in, each with the part of the rows that does."""
    if not len(rows):
        return
    first, last = int(rows[0]) >> BITS, int(rows[-1]) >> BITS
    if first == last:
        yield first, 0, len(rows)
        return
    edges = np.searchsorted(rows, np.arange(first, last + 2) << BITS).tolist()
    for number, (start, stop) in enumerate(pairwise(edges), first):
        if start < stop:
            yield number, start, stop
