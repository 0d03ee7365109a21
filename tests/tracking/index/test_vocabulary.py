"""Words keep their codes, however they are packed and whatever their hashes have in common."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from everloop.tracking.index import columns, vocabulary
from everloop.tracking.index.columns import Identities, Texts
from everloop.tracking.index.vocabulary import Vocabulary

BATCHES = st.lists(st.lists(st.text(st.sampled_from("aé\0\ud800"), max_size=3), max_size=8), max_size=8)
HASHES = st.sampled_from([hash, len, lambda _: 7])


@pytest.fixture(autouse=True, scope="module")
def _packed_early() -> Iterator[None]:
    """Let two words be enough for packing them."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(vocabulary, "_FRESH", 2)
        patched.setattr(columns, "_LATELY", 2)
        patched.setattr(columns, "_FEW", 1)
        yield


@given(BATCHES, HASHES)
def test_each_word_has_one_code_and_each_code_its_word(batches: list[list[str]], hashed: Callable[[str], int]) -> None:
    words, known = Vocabulary(hashed), dict[str, int]()
    for batch in batches:
        known |= zip(batch, words.codes(batch).tolist(), strict=True)
        assert [words.word(code) for code in known.values()] == list(known)
        assert [words.code(word) for word in known] == list(known.values())
    assert sorted(known.values()) == list(range(1, len(words) + 1))


@given(BATCHES, st.integers(1, 8))
def test_the_words_from_a_code_on_are_told_in_the_order_of_codes(batches: list[list[str]], first: int) -> None:
    words = Vocabulary()
    codes = {code: word for batch in batches for word, code in zip(batch, words.codes(batch).tolist(), strict=True)}
    assert words.since(first) == [codes[code] for code in range(first, len(words) + 1)]


def test_what_is_no_word_has_no_code() -> None:
    words = Vocabulary(len)
    words.codes(["a", "b", "c", "d"])
    assert words.code("e") == -1
    assert Vocabulary().code("e") == -1


@given(BATCHES)
def test_texts_are_ranked_alike_whether_they_came_at_once_or_bit_by_bit(batches: list[list[str]]) -> None:
    texts = Texts()
    for batch in batches:
        texts.words.codes(batch)
        known = texts.words.since(1)
        keys = [texts.key_of(word, descending=False) for word in sorted(known)]
        assert keys == [2 * place for place in range(1, len(known) + 1)]
        assert texts.key_of("\U0010ffff", descending=True) == -(2 * len(known) + 1)


@given(st.lists(st.sets(st.integers(0, 40), min_size=1), max_size=8))
def test_a_run_keeps_its_row(batches: list[set[int]]) -> None:
    identities, known = Identities(), dict[bytes, int]()
    for batch in batches:
        fresh = [b"%032x" % number for number in sorted(batch) if b"%032x" % number not in known]
        known |= zip(fresh, identities.add(fresh), strict=True)
        assert identities.rows_of([*known, b"f" * 32]) == [*known.values(), -1]
