"""Columns that grow: arrays in blocks of 4,096 rows, so that a key that few runs have takes no room for the others."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from everloop.tracking.index.expressions import Condition
from everloop.tracking.index.places import Places
from everloop.tracking.index.vocabulary import Vocabulary

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
_FEW = 16
"""Where words are added to so many times as many, each is put among them, and they are not sorted anew."""
_LATELY = BLOCK
"""So many ids are objects before their places are kept by hash, and a sixteenth of the others later."""
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

    def _block(self, number: int, dtype: Any = None) -> NDArray[Scalar]:
        if number >= len(self.blocks):
            self.blocks.extend([None] * (number + 1 - len(self.blocks)))
        block = self.blocks[number]
        if block is None:
            block = self.blocks[number] = np.full(BLOCK, self.absent, dtype or self._dtype)
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
        """Put times into rows; no block is made for none."""
        given = np.array([NO_TIME if value is None else value for value in values], np.int64)
        there = given != NO_TIME
        if not there.all():
            self.fill(rows[~there])
        self.set(rows[there], given[there])

    def keys(self, rows: Rows, *, descending: bool) -> Rows:
        """Numbers that sort as the times in rows do, with no time last."""
        values = self.take(rows)
        keys = -values if descending else values.copy()
        keys[values == NO_TIME] = ABSENT_KEY
        return keys


class Texts(Blocked[np.int32]):
    """Texts as codes of a vocabulary, in as many bytes as these need; code 0 is no text."""

    def __init__(self) -> None:
        super().__init__(np.int32, 0)
        self.words = Vocabulary()
        self._answers: dict[Condition, NDArray[np.bool_]] = {}
        self._order = np.zeros(0, np.int32)
        self._ranks = np.zeros(1, np.int32)

    def put(self, rows: Rows, values: Sequence[str]) -> None:
        """Put texts into rows."""
        codes = self.words.codes(values)
        wide = np.min_scalar_type(len(self.words))
        for number, start, stop in _spans(rows):
            block = self._block(number, wide)
            if block.dtype.itemsize < wide.itemsize:
                block = self.blocks[number] = block.astype(wide)
            block[rows[start:stop] & (BLOCK - 1)] = codes[start:stop]

    def remembered(
        self, question: Condition, answer: Callable[[Sequence[str]], NDArray[np.bool_]]
    ) -> NDArray[np.bool_]:
        """For each code whether a condition holds for its word; words that were asked of before are not again."""
        known = self._answers.pop(question, None)
        if known is None:
            known = np.array([question.operator == "is null"])
        if len(known) <= len(self.words):
            known = np.concatenate([known, answer(self.words.since(len(known)))])
        self._answers[question] = known
        if len(self._answers) > _REMEMBERED:
            del self._answers[next(iter(self._answers))]
        return known

    def texts(self, rows: Rows) -> list[str | None]:
        """The texts in rows, which ascend."""
        return [self.words.word(code) if code else None for code in self.take(rows).tolist()]

    def keys(self, rows: Rows, *, descending: bool) -> Rows:
        """Numbers that sort as the texts in rows do, with no text last."""
        self._rank()
        codes = self.take(rows)
        keys = 2 * self._ranks[codes].astype(np.int64)
        if descending:
            keys = -keys
        keys[codes == 0] = ABSENT_KEY
        return keys

    def key_of(self, word: str, *, descending: bool) -> int:
        """What `keys` gives for a text, or would give if a run had it: even for a word, odd for what is between two."""
        self._rank()
        place = bisect_left(self._order, word, key=self.words.word)
        key = 2 * place + 1 + (self.words.code(word) > 0)
        return -key if descending else key

    def _rank(self) -> None:
        """Number the words by their order, from 1 on."""
        known, count = len(self._order), len(self.words)
        if known == count:
            return
        if count - known < known // _FEW:
            fresh = sorted(zip(self.words.since(known + 1), range(known + 1, count + 1), strict=True))
            before = [bisect_left(self._order, word, key=self.words.word) for word, _ in fresh]
            self._order = np.insert(self._order, before, [code for _, code in fresh])
        else:
            words = ["", *self.words.since(1)]
            self._order = np.array(sorted(range(1, count + 1), key=words.__getitem__), np.int32)
        self._ranks = np.zeros(count + 1, np.int32)
        self._ranks[self._order] = np.arange(1, count + 1, dtype=np.int32)


class Identities:
    """Which row a run has: by the hash of its id, and a mapping of those that came lately."""

    def __init__(self) -> None:
        self.column: Blocked[np.bytes_] = Blocked("S32", b"")
        self._places = Places()
        self._recent: dict[bytes, int] = {}
        self.count = 0

    def rows_of(self, ids: Sequence[bytes]) -> list[int]:
        """The row of each id, -1 where there is none."""
        found = [self._recent.get(id, -1) for id in ids]
        if len(self._places) and -1 in found:
            hashes = np.fromiter(map(hash, ids), np.int64, len(ids))
            settled = self._places.find(hashes, lambda which, row: bool(self.column.at(row) == ids[which]))
            found = [max(pair) for pair in zip(found, settled, strict=True)]
        return found

    def add(self, ids: Sequence[bytes]) -> range:
        """Give rows to ids that have none; the rows."""
        rows = range(self.count, self.count + len(ids))
        self._recent.update(zip(ids, rows, strict=True))
        self.column.set(np.arange(rows.start, rows.stop), np.array(ids, "S32"))
        self.count = rows.stop
        if len(self._recent) > max(_LATELY, self.count // _FEW):
            hashes = np.fromiter(map(hash, self._recent), np.int64, len(self._recent))
            self._places.add(hashes, np.array(list(self._recent.values()), np.int32))
            self._recent = {}
        return rows


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
