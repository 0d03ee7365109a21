"""The hash of a key is the same for ever: of its values, and of nothing that stands beside them."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from everloop.datasets.splits.keyhash import key_hashes, mixed, row_hashes
from everloop.kernel.errors import InvalidInput
from tests.examples import examples


def hashes(values: object, seed: int = 0) -> list[int]:
    found: list[int] = key_hashes(pa.table({"k": values}), ["k"], seed).tolist()
    return found


def by_hand(value: int) -> int:
    """SplitMix64's finalizer in plain numbers."""
    found = (value + 0x9E3779B97F4A7C15) % 2**64
    found = (found ^ found >> 30) * 0xBF58476D1CE4E5B9 % 2**64
    found = (found ^ found >> 27) * 0x94D049BB133111EB % 2**64
    return found ^ found >> 31


def text_by_hand(text: bytes) -> int:
    found = by_hand(len(text))
    for start in range(0, len(text), 8):
        found = by_hand(found ^ int.from_bytes(text[start : start + 8], "little"))
    return found


class TestFrozenValues:
    """Rows would change sides if any of these changed."""

    def test_the_mixer_is_the_published_one(self) -> None:
        """The first numbers of SplitMix64 from state 0, as its author gives them."""
        states = np.array([0, 0x9E3779B97F4A7C15], dtype=np.uint64)
        assert [f"{n:x}" for n in mixed(states).tolist()] == ["e220a8397b1dcdaf", "6e789e6aa1b965f4"]

    @pytest.mark.parametrize("value", [0, 1, -1, 2**63 - 1, -(2**63)])
    def test_whole_numbers(self, value: int) -> None:
        assert hashes([value], seed=7) == [by_hand(7 ^ by_hand(value % 2**64))]

    @settings(max_examples=examples(60), deadline=None)
    @given(st.lists(st.text(max_size=40), min_size=1, max_size=20))
    def test_texts(self, texts: list[str]) -> None:
        assert hashes(pa.array(texts, pa.string())) == [by_hand(text_by_hand(text.encode())) for text in texts]

    def test_some_keys_by_their_numbers(self) -> None:
        assert [f"{n:x}" for n in hashes(["N14228", None, ""])] == [
            "34e8b2f7c5f311b9",
            "a7b77319d39f7883",
            "a706dd2f4d197e6f",
        ]


class TestEqualKeys:
    @pytest.mark.parametrize("kind", [pa.int8(), pa.uint16(), pa.int32(), pa.uint64()])
    def test_a_number_has_one_hash_in_every_width(self, kind: pa.DataType) -> None:
        assert hashes(pa.array([5, None], kind)) == hashes(pa.array([5, None], pa.int64()))

    @pytest.mark.parametrize("kind", [pa.large_string(), pa.binary(), pa.dictionary(pa.int8(), pa.string())])
    def test_a_text_has_one_hash_however_it_is_kept(self, kind: pa.DataType) -> None:
        texts = pa.array(["N14228", "", None, "a longer text than one word"])
        assert hashes(texts.cast(kind)) == hashes(texts)

    def test_a_number_is_not_its_text(self) -> None:
        assert hashes([5]) != hashes(["5"])

    def test_minus_zero_is_zero_and_every_nan_alike(self) -> None:
        zero, minus, nan, other = hashes([0.0, -0.0, float("nan"), -float("nan")])
        assert (zero, nan) == (minus, other)
        assert zero != nan

    def test_the_order_of_the_columns_counts(self) -> None:
        table = pa.table({"a": [1], "b": [2]})
        assert key_hashes(table, ["a", "b"], 0) != key_hashes(table, ["b", "a"], 0)

    @settings(max_examples=examples(40), deadline=None)
    @given(st.lists(st.one_of(st.none(), st.text(max_size=20)), max_size=40), st.integers(0, 40))
    def test_what_stands_beside_a_row_does_not_count(self, texts: list[str | None], start: int) -> None:
        whole = pa.array(texts, pa.string())
        assert hashes(whole.slice(start)) == hashes(whole)[start:]

    @pytest.mark.parametrize(
        "values",
        [
            [True, False],
            [date(2013, 1, 1), date(2013, 1, 2)],
            [datetime(2013, 1, 1), datetime(2013, 1, 2)],  # noqa: DTZ001  A key may be a time without a zone.
            [Decimal("1.5"), Decimal("2.5")],
            [b"\0", b"\0\0"],
        ],
    )
    def test_different_values_have_different_hashes(self, values: list[object]) -> None:
        assert len(set(hashes(values))) == 2

    def test_lists_make_no_key(self) -> None:
        with pytest.raises(InvalidInput, match="makes no key"):
            hashes([[1]])

    def test_an_unknown_column_is_refused(self) -> None:
        with pytest.raises(InvalidInput, match="no column z"):
            key_hashes(pa.table({"k": [1]}), ["z"], 0)


def test_hashes_are_spread_evenly() -> None:
    shares = np.histogram(key_hashes(pa.table({"k": range(100_000)}), ["k"], 1), bins=10)[0]
    assert abs(shares - 10_000).max() < 500


def test_rows_are_shuffled_otherwise_with_another_seed() -> None:
    assert row_hashes(100, 1).tolist() != row_hashes(100, 2).tolist()
    assert len(set(row_hashes(10_000, 1).tolist())) == 10_000
