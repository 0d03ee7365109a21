"""Which rows are the same: by hashes, which are believed only after a look."""

from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given, settings

from everloop.datasets.history.rowkeys import codes, nth, pairs, twice
from tests.datasets.history.rows import ROWS, Row, plain, table
from tests.examples import examples

ALL = ["k", "f", "s"]


def frames(*sides: list[Row]) -> list[pl.DataFrame]:
    return [pl.DataFrame(table(rows)) for rows in sides]


def agree(one: list[Row], other: list[Row]) -> None:
    """Numbers are equal exactly where rows are."""
    numbers = [int(number) for found in codes(frames(one, other), ALL) for number in found]
    rows = [plain(row) for row in (*one, *other)]
    for number, row in zip(numbers, rows, strict=True):
        assert [number == each for each in numbers] == [row == each for each in rows]


@settings(max_examples=examples(100), deadline=None)
@given(ROWS, ROWS)
def test_two_rows_have_one_number_if_and_only_if_they_agree(one: list[Row], other: list[Row]) -> None:
    agree(one, other)


def test_rows_that_differ_and_have_one_hash_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pl.DataFrame, "hash_rows", lambda self: pl.Series([7] * self.height, dtype=pl.UInt64))
    agree([(1, None, "a"), (1, 0.0, "a")], [(None, float("nan"), ""), (1, -0.0, "a")])


def test_the_nth_of_a_number_meets_the_nth() -> None:
    before, after = codes(frames([(1, None, None), (2, None, None)] * 2, [(2, None, None)] * 3), ALL)
    assert nth(after).tolist() == [0, 1, 2]
    assert [found.tolist() for found in pairs(before, after)] == [[1, 3], [0, 1]]
    assert len(twice(before)) == 2


def test_nothing_is_matched_with_nothing() -> None:
    before, after = codes(frames([], []), ALL)
    assert [found.tolist() for found in pairs(before, after)] == [[], []]
