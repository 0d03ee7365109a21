"""A proof looks at the values: what is shared is found, whoever made the parts."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from everloop.datasets.splits.assignment import assign
from everloop.datasets.splits.entities import (
    ForwardChaining,
    GroupedKFold,
    GroupedSplit,
    HashSplit,
    KFold,
    RandomSplit,
    Strategy,
    StratifiedKFold,
    StratifiedSplit,
    TimeShares,
    TimeSplit,
)
from everloop.datasets.splits.proof import duplicates, exact_codes, pairs, prove
from tests.datasets.splits.conftest import NOON, rides
from tests.examples import examples

CUT = TimeSplit("at", (NOON + timedelta(hours=3),))


def masks(first: list[int], second: list[int], rows: int = 6) -> dict[str, np.ndarray]:
    return {name: np.isin(np.arange(rows), part) for name, part in (("train", first), ("test", second))}


class TestWhatHolds:
    @pytest.mark.parametrize(
        "strategy",
        [
            RandomSplit(),
            StratifiedSplit(("city",)),
            GroupedSplit(("driver", "city")),
            HashSplit(("driver",)),
            TimeSplit("at", (NOON + timedelta(hours=90),), gap=timedelta(hours=3), known="paid"),
            TimeShares("at"),
            KFold(3),
            StratifiedKFold(("city",), 3),
            GroupedKFold(("driver",), 3),
            ForwardChaining("at", 3, known="paid"),
        ],
        ids=lambda strategy: type(strategy).__name__,
    )
    def test_every_way_to_split_is_proved(self, strategy: Strategy) -> None:
        table = rides()
        proof = prove(table, strategy, assign(table, strategy, 3).masks, NOON)
        assert proof.holds
        assert (proof.rows, proof.at) == (200, NOON)

    def test_it_says_what_was_compared(self) -> None:
        table = rides()
        proof = prove(table, GroupedSplit(("driver",)), assign(table, GroupedSplit(("driver",)), 0).masks, NOON)
        rows, keys = proof.comparisons
        assert (rows.what, sum(rows.counts), rows.shared) == ("rows", 200, 0)
        assert (keys.what, keys.on, sum(keys.counts), keys.shared) == ("keys", ("driver",), 18, 0)

    def test_rows_that_no_part_has_are_counted(self) -> None:
        strategy = TimeSplit("at", (NOON + timedelta(hours=3),), gap=timedelta(hours=2))
        proof = prove(rides(6), strategy, assign(rides(6), strategy, 0).masks, NOON)
        assert (proof.left_out, proof.holds) == (2, True)

    def test_time_is_told_from_the_last_label_to_the_first_question(self) -> None:
        strategy = TimeSplit("at", (NOON + timedelta(hours=4),), known="paid")
        (_, time) = prove(rides(6), strategy, assign(rides(6), strategy, 0).masks, NOON).comparisons
        assert (time.latest, time.earliest) == (NOON + timedelta(hours=4), NOON + timedelta(hours=4))


class TestWhatDoesNot:
    def test_a_row_on_both_sides_is_found(self) -> None:
        proof = prove(rides(6), RandomSplit(), masks([0, 1, 2], [2, 3, 4, 5]), NOON)
        assert not proof.holds
        assert proof.comparisons[0].shared == 1

    def test_a_group_on_both_sides_is_found(self) -> None:
        table = pa.table({"k": ["a", "b", None, None, "c", "d"]})
        proof = prove(table, GroupedSplit(("k",)), masks([0, 1, 2], [3, 4, 5]), NOON)
        assert (proof.holds, proof.comparisons[1].shared) == (False, 1)

    def test_a_future_in_the_training_part_is_found(self) -> None:
        proof = prove(rides(6), CUT, masks([0, 1, 4], [3, 5]), NOON)
        assert (proof.holds, proof.comparisons[1].shared) == (False, 1)

    def test_equal_moments_on_both_sides_are_found(self) -> None:
        table = pa.table({"at": pa.array([NOON] * 6, pa.timestamp("us", "UTC"))})
        assert not prove(table, CUT, masks([0, 1, 2], [3, 4, 5]), NOON).holds

    def test_a_label_that_nobody_knew_yet_is_found(self) -> None:
        strategy = TimeSplit("at", (NOON + timedelta(hours=3),), known="paid")
        assert not prove(rides(6), strategy, masks([0, 1, 2], [3, 4, 5]), NOON).holds

    def test_rows_that_are_equal_in_all_columns_are_found_when_asked_for(self) -> None:
        table = pa.table({"a": [1, 1, 2, 1, 3, 3], "b": ["x", "y", "z", "x", "z", "z"]})
        (found,) = duplicates(table, RandomSplit(), masks([0, 1, 2], [3, 4, 5]))
        assert (found.shared, found.counts, found.holds) == (1, (3, 2), False)


class TestPairs:
    def test_each_two_parts_are_compared(self) -> None:
        assert pairs(RandomSplit(), ["a", "b", "c"]) == [("a", "b"), ("a", "c"), ("b", "c")]

    def test_of_folds_the_training_part_of_each_and_its_test(self) -> None:
        names = list(assign(rides(), KFold(2), 0).masks)
        assert pairs(KFold(2), names) == [("fold1.train", "fold1.test"), ("fold2.train", "fold2.test")]


@settings(max_examples=examples(40), deadline=None)
@given(st.lists(st.tuples(st.sampled_from("ab"), st.one_of(st.none(), st.integers(0, 3))), max_size=40))
def test_rows_have_one_number_exactly_if_they_agree(rows: list[tuple[str, int | None]]) -> None:
    table = pa.table({"a": [row[0] for row in rows], "b": pa.array([row[1] for row in rows], pa.int64())})
    codes, count = exact_codes(table, ["a", "b"])
    assert len(set(zip(codes.tolist(), rows, strict=True))) == len(set(rows)) == len(set(codes.tolist()))
    assert not rows or count == len(set(rows))
