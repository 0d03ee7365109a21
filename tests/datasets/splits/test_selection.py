"""A part is the numbers of its rows: they come back as they were, and nothing else does."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from everloop.datasets.splits.selection import packed, unpacked
from everloop.kernel.errors import Corrupted
from tests.examples import examples


@settings(max_examples=examples(60), deadline=None)
@given(st.lists(st.booleans(), max_size=200))
def test_a_selection_comes_back_as_it_was(rows: list[bool]) -> None:
    assert unpacked(packed(np.array(rows, dtype=bool))).tolist() == rows


def test_equal_selections_have_equal_bytes() -> None:
    mask = np.arange(1000) % 3 == 0
    assert packed(mask) == packed(mask.copy())


def test_a_range_of_a_million_rows_takes_next_to_nothing() -> None:
    assert len(packed(np.arange(1_000_000) < 700_000)) < 200


def test_scattered_rows_take_a_bit_each_at_most() -> None:
    mask = np.random.default_rng(1).random(80_000) < 0.5
    assert len(packed(mask)) < 10_100


@pytest.mark.parametrize("data", [b"", b"PAR1", b"ELSEL1\n", packed(np.ones(9, dtype=bool))[:-1]])
def test_other_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(Corrupted):
        unpacked(data)


def test_bytes_that_select_other_rows_than_they_say_are_refused() -> None:
    wrong = bytearray(packed(np.ones(9, dtype=bool)))
    wrong[15] = 3
    with pytest.raises(Corrupted, match="3 of 9 rows"):
        unpacked(bytes(wrong))
