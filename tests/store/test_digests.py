"""Sets of addresses in arrays are sets, zeros at their ends and all."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from everloop.store.digests import TYPE, Digests

RAWS = st.one_of(
    st.binary(min_size=32, max_size=32),
    st.integers(0, 3).map(lambda zeros: b"\1" * (32 - zeros) + bytes(zeros)),
    st.just(bytes(32)),
)
SETS = st.sets(RAWS, max_size=12)


@given(SETS)
def test_a_set_has_what_was_put_in_in_order(raws: set[bytes]) -> None:
    found = Digests.of(raws)
    assert list(found) == sorted(raws)
    assert (len(found), bool(found)) == (len(raws), bool(raws))
    assert found.tobytes() == b"".join(sorted(raws))


@given(st.lists(RAWS, max_size=12))
def test_what_is_put_in_twice_is_there_once(raws: list[bytes]) -> None:
    assert list(Digests.packed(b"".join(raws + raws))) == sorted(set(raws))


@given(SETS, SETS)
def test_they_are_joined_met_and_taken_away_as_sets_are(one: set[bytes], other: set[bytes]) -> None:
    left, right = Digests.of(one), Digests.of(other)
    assert list(left | right) == sorted(one | other)
    assert list(left & right) == sorted(one & other)
    assert list(left - right) == sorted(one - other)


@given(SETS, RAWS)
def test_they_hold_what_is_in_them(raws: set[bytes], asked: bytes) -> None:
    assert (asked in Digests.of(raws)) is (asked in raws)


@given(SETS, st.lists(RAWS, min_size=1, max_size=6))
def test_many_are_looked_up_at_once(raws: set[bytes], asked: list[bytes]) -> None:
    answers = Digests.of(raws).holds(np.frombuffer(b"".join(asked), TYPE))
    assert answers.tolist() == [raw in raws for raw in asked]


def test_nothing_is_an_empty_set() -> None:
    nothing = Digests()
    assert (len(nothing), list(nothing), bool(nothing), bytes(32) in nothing) == (0, [], False, False)
    assert list(nothing | nothing) == list(nothing - nothing) == list(nothing & nothing) == []


def test_more_than_a_block_is_walked_whole() -> None:
    raws = [n.to_bytes(32, "big") for n in range(9000)]
    assert list(Digests.of(reversed(raws))) == raws
