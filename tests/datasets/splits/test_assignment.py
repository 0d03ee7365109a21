"""Where each row goes: nothing is lost or doubled, shares are met, groups are whole, nothing sees its future."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from everloop.datasets.splits.assignment import assign, columns_of
from everloop.datasets.splits.entities import (
    ForwardChaining,
    GroupedKFold,
    GroupedSplit,
    HashSplit,
    KFold,
    Parts,
    RandomSplit,
    Strategy,
    StratifiedKFold,
    StratifiedSplit,
    TimeShares,
    TimeSplit,
)
from everloop.datasets.splits.written import split_table
from everloop.kernel.errors import InvalidInput
from tests.datasets.splits.conftest import NOON, rides
from tests.examples import examples

THREE: Parts = (("train", 0.7), ("validation", 0.1), ("test", 0.2))
WHOLE = [
    RandomSplit(THREE),
    StratifiedSplit(("city",), THREE),
    GroupedSplit(("driver",), THREE),
    HashSplit(("id",), THREE),
    TimeShares("at", THREE),
]
"""Ways to split that leave no row out."""
labels = st.lists(st.integers(0, 6), max_size=120)
seeds = st.integers(-(2**63), 2**63 - 1)
shares = st.sampled_from([THREE, (("a", 0.5), ("b", 0.5)), (("a", 1.0), ("b", 0.0)), (("a", 1 / 3), ("b", 2 / 3))])


def ids(table: pa.Table, strategy: Strategy, seed: int = 0) -> dict[str, list[int]]:
    return {name: part["id"].to_pylist() for name, part in split_table(table, strategy, seed).items()}


def labelled(values: list[int]) -> pa.Table:
    return pa.table({"id": range(len(values)), "k": pa.array(values, pa.int64())})


class TestEveryWay:
    @pytest.mark.parametrize("strategy", WHOLE, ids=lambda strategy: type(strategy).__name__)
    def test_nothing_is_lost_or_doubled(self, strategy: Strategy) -> None:
        parts = ids(rides(), strategy)
        assert sorted(row for part in parts.values() for row in part) == list(range(200))
        assert list(parts) == ["train", "validation", "test"]

    @pytest.mark.parametrize("strategy", WHOLE, ids=lambda strategy: type(strategy).__name__)
    def test_rows_keep_their_order(self, strategy: Strategy) -> None:
        assert all(part == sorted(part) for part in ids(rides(), strategy).values())

    @pytest.mark.parametrize("strategy", WHOLE, ids=lambda strategy: type(strategy).__name__)
    def test_a_table_without_rows_has_empty_parts(self, strategy: Strategy) -> None:
        assert ids(rides(0), strategy) == {"train": [], "validation": [], "test": []}

    @pytest.mark.parametrize("strategy", WHOLE[:4], ids=lambda strategy: type(strategy).__name__)
    def test_the_seed_decides(self, strategy: Strategy) -> None:
        assert ids(rides(), strategy, 1) == ids(rides(), strategy, 1)
        assert ids(rides(), strategy, 1) != ids(rides(), strategy, 2)

    def test_only_the_columns_that_matter_are_looked_at(self) -> None:
        assert columns_of(RandomSplit()) == ()
        assert columns_of(GroupedSplit(("driver", "city"))) == ("driver", "city")
        assert columns_of(TimeShares("at", known="at")) == ("at",)


class TestShares:
    @settings(max_examples=examples(40), deadline=None)
    @given(st.integers(0, 300), shares, seeds)
    def test_random_parts_have_their_share_within_a_row(self, rows: int, parts: Parts, seed: int) -> None:
        found = assign(labelled([0] * rows), RandomSplit(parts), seed).masks
        assert all(abs(found[name].sum() - share * rows) < 1 for name, share in parts)

    @settings(max_examples=examples(60), deadline=None)
    @given(labels, shares, seeds)
    def test_each_stratum_is_shared_within_a_row(self, values: list[int], parts: Parts, seed: int) -> None:
        masks = assign(labelled(values), StratifiedSplit(("k",), parts), seed).masks
        for stratum, size in Counter(values).items():
            here = np.array(values) == stratum
            assert all(abs((masks[name] & here).sum() - share * size) < 1 for name, share in parts)

    @settings(max_examples=examples(40), deadline=None)
    @given(labels, seeds)
    def test_roundings_of_strata_do_not_add_up(self, values: list[int], seed: int) -> None:
        masks = assign(labelled(values), StratifiedSplit(("k",)), seed).masks
        assert abs(masks["train"].sum() - 0.8 * len(values)) < 1 + 1e-6

    def test_strata_of_one_row_are_told_of_and_shared_as_a_whole(self) -> None:
        assigned = assign(labelled(list(range(100))), StratifiedSplit(("k",)), 0)
        assert "100 of 100 strata have so few rows (100 together)" in assigned.notes[0]
        assert assigned.masks["train"].sum() == 80

    @settings(max_examples=examples(60), deadline=None)
    @given(labels, shares, seeds)
    def test_groups_are_never_cut_and_shares_met_within_the_largest(
        self, values: list[int], parts: Parts, seed: int
    ) -> None:
        masks = assign(labelled(values), GroupedSplit(("k",), parts), seed).masks
        sides = [{values[row] for row in np.flatnonzero(mask)} for mask in masks.values()]
        assert sum(len(side) for side in sides) == len(set(values))
        largest = max(Counter(values).values(), default=0)
        assert all(abs(masks[name].sum() - share * len(values)) <= largest for name, share in parts)

    def test_a_group_larger_than_a_part_is_told_of(self) -> None:
        assert "largest group has 90" in assign(labelled([0] * 90 + [1] * 10), GroupedSplit(("k",)), 0).notes[0]

    def test_rows_without_a_group_are_one_group(self) -> None:
        table = pa.table({"id": range(10), "k": pa.array([None] * 5 + ["a"] * 5, pa.string())})
        parts = ids(table, GroupedSplit(("k",), (("a", 0.5), ("b", 0.5))))
        assert sorted(parts.values()) == [[0, 1, 2, 3, 4], [5, 6, 7, 8, 9]]

    @pytest.mark.parametrize("strategy", [GroupedSplit(("k",)), HashSplit(("k",))])
    def test_the_order_of_the_rows_does_not_matter(self, strategy: Strategy) -> None:
        table = labelled([n % 23 for n in range(300)])
        mixed = table.take(np.random.default_rng(1).permutation(300))
        assert ids(table, strategy, 5) == {name: sorted(part) for name, part in ids(mixed, strategy, 5).items()}


class TestHash:
    @settings(max_examples=examples(40), deadline=None)
    @given(st.lists(st.text(max_size=12), max_size=60, unique=True), st.integers(0, 60), seeds)
    def test_new_rows_move_no_old_one(self, keys: list[str], old: int, seed: int) -> None:
        table = pa.table({"id": range(len(keys)), "k": pa.array(keys, pa.string())})
        before, after = (ids(rows, HashSplit(("k",)), seed) for rows in (table.slice(0, old), table))
        assert all(set(before[name]) == {row for row in after[name] if row < old} for name in before)

    def test_shares_are_met_as_chance_has_it(self) -> None:
        assert abs(len(ids(labelled(list(range(20_000))), HashSplit(("k",)))["train"]) - 16_000) < 300

    def test_a_part_that_grows_takes_only_from_its_neighbour(self) -> None:
        table = labelled(list(range(1000)))
        small = ids(table, HashSplit(("k",), (("train", 0.7), ("test", 0.3))))
        large = ids(table, HashSplit(("k",), (("train", 0.8), ("test", 0.2))))
        assert set(small["train"]) < set(large["train"])

    def test_a_part_with_no_share_stays_empty(self) -> None:
        assert ids(labelled(list(range(5000))), HashSplit(("k",), (("a", 1.0), ("b", 0.0))))["b"] == []


class TestTime:
    def test_the_moment_itself_belongs_to_what_comes_after(self) -> None:
        parts = ids(rides(5), TimeSplit("at", (NOON + timedelta(hours=2),)))
        assert parts == {"train": [0, 1], "test": [2, 3, 4]}

    def test_a_gap_is_left_out_of_the_later_part(self) -> None:
        parts = ids(rides(6), TimeSplit("at", (NOON + timedelta(hours=2),), gap=timedelta(hours=2)))
        assert parts == {"train": [0, 1], "test": [4, 5]}

    def test_what_was_not_known_at_the_cut_is_left_out_of_training(self) -> None:
        cut = TimeSplit("at", (NOON + timedelta(hours=4),), known="paid", delay=timedelta(minutes=30))
        assert ids(rides(6), cut) == {"train": [0, 1], "test": [4, 5]}

    def test_what_was_known_at_the_very_cut_is_in_training(self) -> None:
        assert ids(rides(6), TimeSplit("at", (NOON + timedelta(hours=4),), known="paid"))["train"] == [0, 1, 2]

    def test_what_was_never_known_is_in_no_training_part(self) -> None:
        table = rides(6).set_column(4, "paid", pa.array([None] * 6, pa.timestamp("us", "UTC")))
        assert ids(table, TimeSplit("at", (NOON + timedelta(hours=4),), known="paid"))["train"] == []

    def test_several_cuts_make_several_parts(self) -> None:
        cuts = (NOON + timedelta(hours=1), NOON + timedelta(hours=3))
        parts = ids(rides(5), TimeSplit("at", cuts, ("train", "validation", "test")))
        assert parts == {"train": [0], "validation": [1, 2], "test": [3, 4]}

    def test_shares_are_of_the_oldest_rows_first(self) -> None:
        assert {name: len(part) for name, part in ids(rides(), TimeShares("at", THREE)).items()} == {
            "train": 140,
            "validation": 20,
            "test": 40,
        }

    def test_rows_of_one_moment_stay_together(self) -> None:
        table = pa.table(
            {"id": range(4), "at": pa.array([NOON] * 3 + [NOON + timedelta(1)], pa.timestamp("us", "UTC"))}
        )
        assert ids(table, TimeShares("at", (("a", 0.5), ("b", 0.5)))) == {"a": [], "b": [0, 1, 2, 3]}

    def test_days_and_seconds_are_times_too(self) -> None:
        days = pa.table({"id": [0, 1], "at": [date(2013, 2, 28), date(2013, 3, 2)]})
        seconds = pa.table({"id": [0, 1], "at": pa.array([NOON - timedelta(1), NOON], pa.timestamp("s", "UTC"))})
        assert (
            ids(days, TimeSplit("at", (NOON,))) == ids(seconds, TimeSplit("at", (NOON,))) == {"train": [0], "test": [1]}
        )

    @pytest.mark.parametrize("column", ["id", "nothing"])
    def test_what_is_no_time_is_refused(self, column: str) -> None:
        with pytest.raises(InvalidInput):
            assign(rides(5), TimeSplit(column, (NOON,)), 0)

    def test_a_time_without_a_zone_is_refused(self) -> None:
        table = pa.table({"at": pa.array([datetime(2013, 1, 1)], pa.timestamp("us"))})  # noqa: DTZ001  That is the point.
        with pytest.raises(InvalidInput, match="with a zone"):
            assign(table, TimeSplit("at", (NOON,)), 0)

    def test_a_row_without_a_time_has_no_side(self) -> None:
        table = pa.table({"at": pa.array([NOON, None], pa.timestamp("us", "UTC"))})
        with pytest.raises(InvalidInput, match="1 rows have no 'at'"):
            assign(table, TimeSplit("at", (NOON,)), 0)

    @settings(max_examples=examples(40), deadline=None)
    @given(st.lists(st.integers(-100, 100), max_size=60), st.integers(-100, 100), st.integers(0, 30), st.integers(0, 9))
    def test_no_part_sees_its_future(self, hours: list[int], cut: int, gap: int, delay: int) -> None:
        at = [NOON + timedelta(hours=hour) for hour in hours]
        table = pa.table({"id": range(len(at)), "at": pa.array(at, pa.timestamp("us", "UTC"))})
        moment, wait = NOON + timedelta(hours=cut), timedelta(hours=delay)
        parts = split_table(table, TimeSplit("at", (moment,), gap=timedelta(hours=gap), known="at", delay=wait))
        assert all(time < moment and time + wait <= moment for time in parts["train"]["at"].to_pylist())
        assert all(time >= moment + timedelta(hours=gap) for time in parts["test"]["at"].to_pylist())


class TestFolds:
    @pytest.mark.parametrize("strategy", [KFold(4), StratifiedKFold(("city",), 4), GroupedKFold(("driver",), 4)])
    def test_each_row_is_tested_once_and_trained_on_in_all_other_folds(self, strategy: Strategy) -> None:
        parts = ids(rides(), strategy)
        assert sorted(row for name, part in parts.items() if name.endswith("test") for row in part) == list(range(200))
        for fold in range(1, 5):
            train, test = parts[f"fold{fold}.train"], parts[f"fold{fold}.test"]
            assert sorted(train + test) == list(range(200))

    def test_folds_are_of_one_size(self) -> None:
        assert {len(part) for name, part in ids(rides(), KFold(4)).items() if name.endswith("test")} == {50}

    def test_strata_are_in_every_fold(self) -> None:
        cities = rides()["city"].to_pylist()
        folds = [part for name, part in ids(rides(), StratifiedKFold(("city",), 4)).items() if name.endswith("test")]
        assert [Counter(cities[row] for row in fold)["C"] for fold in folds] == [5, 5, 5, 5]

    def test_groups_are_in_one_fold(self) -> None:
        drivers = rides()["driver"].to_pylist()
        folds = [part for name, part in ids(rides(), GroupedKFold(("driver",), 4)).items() if name.endswith("test")]
        assert sum(len({drivers[row] for row in fold}) for fold in folds) == 18

    def test_forward_chaining_trains_on_all_that_came_before(self) -> None:
        assert ids(rides(8), ForwardChaining("at", 3)) == {
            "fold1.train": [0, 1],
            "fold1.test": [2, 3],
            "fold2.train": [0, 1, 2, 3],
            "fold2.test": [4, 5],
            "fold3.train": [0, 1, 2, 3, 4, 5],
            "fold3.test": [6, 7],
        }

    def test_forward_chaining_knows_gaps_and_late_labels(self) -> None:
        strategy = ForwardChaining("at", 1, gap=timedelta(hours=1), known="paid")
        assert ids(rides(8), strategy) == {"fold1.train": [0, 1, 2], "fold1.test": [5, 6, 7]}


class TestNonsense:
    @pytest.mark.parametrize(
        "strategy",
        [
            RandomSplit((("a", 0.5), ("b", 0.4))),
            RandomSplit((("a", 1.5), ("b", -0.5))),
            RandomSplit((("a", 0.5), ("a", 0.5))),
            RandomSplit((("a", 1.0),)),
            RandomSplit(()),
            GroupedSplit(()),
            KFold(1),
            KFold(101),
            ForwardChaining("at", 0),
            TimeSplit("at", ()),
            TimeSplit("at", (NOON,), ("a", "b", "c")),
            TimeSplit("at", (NOON, datetime(2013, 1, 1, tzinfo=UTC)), ("a", "b", "c")),
        ],
    )
    def test_is_refused_before_anything_is_read(self, strategy: Strategy) -> None:
        with pytest.raises(InvalidInput):
            assign(rides(5), strategy, 0)

    @pytest.mark.parametrize("strategy", [StratifiedSplit(("z",)), GroupedSplit(("z",)), HashSplit(("z",))])
    def test_an_unknown_column_is_refused(self, strategy: Strategy) -> None:
        with pytest.raises(InvalidInput, match="no column z"):
            assign(rides(5), strategy, 0)
