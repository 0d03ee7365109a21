"""The distinct texts of a column as codes: most of them packed as bytes one after another, without an object each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from operator import eq

import numpy as np
from numpy.typing import NDArray

from everloop.tracking.index.places import Places

_FRESH = 1 << 14
"""So many words are objects before they are packed, and a sixteenth of the others later: those are found faster."""


class _Codes(dict[str, int]):
    """The codes of words that came lately; a word that has none gets the next."""

    def __init__(self, first: int) -> None:
        self.words: list[str] = []
        self._first = first

    def __missing__(self, word: str) -> int:
        code = self[word] = self._first + len(self.words)
        self.words.append(word)
        return code


class Vocabulary:
    """The words of a column. Codes begin with 1, and stay. A packed word takes its bytes and 20 more."""

    def __init__(self, hashed: Callable[[str], int] = hash) -> None:
        self._hashed = hashed
        self._places = Places()
        self._bytes = bytearray()
        self._ends = np.zeros(1, np.int64)
        self._codes = _Codes(1)

    def __len__(self) -> int:
        return len(self._ends) - 1 + len(self._codes)

    def word(self, code: int) -> str:
        """The word of a code."""
        fresh = code - len(self._ends)
        if fresh >= 0:
            return self._codes.words[fresh]
        start, stop = self._ends[code - 1 : code + 1].tolist()
        return self._bytes[start:stop].decode("utf-8", "surrogatepass")

    def since(self, code: int) -> list[str]:
        """All words from a code on."""
        packed = self._ends[code - 1 :].tolist()
        data = memoryview(self._bytes)
        words = [str(data[start:stop], "utf-8", "surrogatepass") for start, stop in pairwise(packed)]
        return words + self._codes.words[max(0, code - len(self._ends)) :]

    def code(self, word: str) -> int:
        """The code of a word; -1 where it is none."""
        found = self._codes.get(word, -1)
        return found if found >= 0 or not len(self._places) else self._packed([word])[0]

    def codes(self, words: Sequence[str]) -> NDArray[np.int32]:
        """The codes of words; one that has none gets the next."""
        if not len(self._places):
            codes = np.fromiter(map(self._codes.__getitem__, words), np.int32, len(words))
        else:
            codes = np.array(self._packed(words), np.int32)
            fresh = np.flatnonzero(codes < 0)
            codes[fresh] = [self._codes[words[place]] for place in fresh.tolist()]
        if len(self._codes) > max(_FRESH, len(self._ends) // 16):
            self._pack()
        return codes

    def _packed(self, words: Sequence[str]) -> list[int]:
        """The codes of those words that are packed, -1 for others."""
        hashes = np.fromiter(map(self._hashed, words), np.int64, len(words))
        return self._places.find(hashes, lambda which, code: eq(self.word(code), words[which]))

    def _pack(self) -> None:
        words = self._codes.words
        encoded = [word.encode("utf-8", "surrogatepass") for word in words]
        first = len(self._ends)
        sizes = np.fromiter(map(len, encoded), np.int64, len(encoded))
        self._ends = np.concatenate([self._ends, np.cumsum(sizes) + self._ends[-1]])
        self._bytes += b"".join(encoded)
        hashes = np.fromiter(map(self._hashed, words), np.int64, len(words))
        self._places.add(hashes, np.arange(first, first + len(words), dtype=np.int32))
        self._codes = _Codes(len(self._ends))
