"""What each way to split refuses, looks at, and does with tables that are hard to cut."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from everloop.datasets.splits.assignment import assign, check, columns_of
from everloop.datasets.splits.entities import (
    ForwardChaining,
    GroupedKFold,
    GroupedSplit,
    HashSplit,
    InTime,
    KFold,
    Parts,
    RandomSplit,
    Strategy,
    StratifiedKFold,
    StratifiedSplit,
    TimeShares,
    TimeSplit,
    kind_of,
)
from everloop.kernel.errors import InvalidInput
from tests.datasets.splits.conftest import NOON, rides

HOUR = timedelta(hours=1)
EVERY: list[Strategy] = [
    RandomSplit(),
    StratifiedSplit(("city",)),
    GroupedSplit(("driver",)),
    HashSplit(("driver",)),
    TimeSplit("at", (NOON + 9 * HOUR,)),
    TimeShares("at"),
    KFold(),
    StratifiedKFold(("city",)),
    GroupedKFold(("driver",)),
    ForwardChaining("at"),
]
SHARED = [RandomSplit(), StratifiedSplit(("city",)), GroupedSplit(("city",)), HashSplit(("city",)), TimeShares("at")]
IN_TIME: list[InTime] = [TimeSplit("at", (NOON,)), TimeShares("at"), ForwardChaining("at")]
FOLDS = [KFold(), StratifiedKFold(("city",)), GroupedKFold(("driver",))]
kinds = pytest.mark.parametrize("strategy", EVERY, ids=[kind_of(each) for each in EVERY])


def altered(strategy: Strategy, **fields: object) -> Strategy:
    return msgspec.structs.replace(strategy, **fields)


def sizes(table: pa.Table, strategy: Strategy, seed: int = 0) -> dict[str, int]:
    """How many rows each part gets."""
    return {name: int(mask.sum()) for name, mask in assign(table, strategy, seed).masks.items()}


class TestEveryStrategy:
    @kinds
    def test_makes_sense_as_it_is(self, strategy: Strategy) -> None:
        check(strategy)

    @kinds
    def test_travels_as_json(self, strategy: Strategy) -> None:
        assert msgspec.json.decode(msgspec.json.encode(strategy), type=Strategy) == strategy  # type: ignore[arg-type]

    @kinds
    def test_looks_at_columns_that_can_be_named_beforehand(self, strategy: Strategy) -> None:
        table = rides(40)
        few = table.select(columns_of(strategy) or ["id"])
        whole, part = assign(table, strategy, 3).masks, assign(few, strategy, 3).masks
        assert all(np.array_equal(whole[name], part[name]) for name in whole)

    @kinds
    def test_cuts_alike_however_the_table_is_kept(self, strategy: Strategy) -> None:
        table = rides(60)
        pieces = pa.concat_tables([table.slice(0, 7), table.slice(7, 0), table.slice(7)])
        whole, cut = assign(table, strategy, 3).masks, assign(pieces, strategy, 3).masks
        assert all(np.array_equal(whole[name], cut[name]) for name in whole)

    @pytest.mark.parametrize("rows", [1, 2, 3])
    @kinds
    def test_cuts_hardly_any_rows_too(self, strategy: Strategy, rows: int) -> None:
        masks = assign(rides(40).slice(30, rows), strategy, 0).masks
        assert all(len(mask) == rows for mask in masks.values())

    def test_columns_are_named_once(self) -> None:
        assert columns_of(TimeSplit("at", (NOON,), known="at")) == ("at",)
        assert columns_of(GroupedSplit(("b", "a", "b"))) == ("b", "a")
        assert columns_of(RandomSplit()) == columns_of(KFold()) == ()


class TestShares:
    @pytest.mark.parametrize("strategy", SHARED)
    @pytest.mark.parametrize(
        ("parts", "complaint"),
        [
            ((("a", 0.5), ("b", 0.4)), r"The shares 0\.5, 0\.4 add up to 0\.9"),
            ((("a", 0.9), ("b", 0.2)), r"add up to 1\.1"),
            ((("a", 1.5), ("b", -0.5)), r"The shares 1\.5, -0\.5 add up to 1"),
            ((("a", float("nan")), ("b", 1.0)), "add up to nan"),
            ((("a", 0.5), ("a", 0.5)), "a, a names no two parts"),
            ((("a", 1.0),), "a names no two parts"),
            ((), "Nothing names no two parts"),
        ],
    )
    def test_that_are_none_are_refused(self, strategy: Strategy, parts: Parts, complaint: str) -> None:
        with pytest.raises(InvalidInput, match=complaint):
            assign(rides(5), altered(strategy, parts=parts), 0)

    @pytest.mark.parametrize("strategy", SHARED)
    def test_may_be_thirds(self, strategy: Strategy) -> None:
        check(altered(strategy, parts=(("a", 1 / 3), ("b", 1 / 3), ("c", 1 / 3))))

    @given(st.integers(2, 9), st.integers(0, 200), st.integers(0, 2**32))
    def test_of_equal_parts_are_equal_within_a_row(self, count: int, rows: int, seed: int) -> None:
        parts = tuple((f"p{number}", 1 / count) for number in range(count))
        found = sizes(pa.table({"id": range(rows)}), RandomSplit(parts), seed)
        assert max(found.values()) - min(found.values()) <= 1
        assert sum(found.values()) == rows

    def test_of_all_leave_nothing_for_others(self) -> None:
        everything: Parts = (("a", 1.0), ("b", 0.0))
        assert [sizes(rides(50), altered(each, parts=everything))["b"] for each in SHARED] == [0] * len(SHARED)


class TestFolds:
    @pytest.mark.parametrize("strategy", FOLDS)
    @pytest.mark.parametrize("folds", [-1, 0, 1, 101])
    def test_that_are_none_are_refused(self, strategy: Strategy, folds: int) -> None:
        with pytest.raises(InvalidInput, match=f"{folds} folds are none") as refused:
            assign(rides(5), altered(strategy, folds=folds), 0)
        assert refused.value.hint == "Ask for 2 to 100."

    def test_in_time_one_will_do(self) -> None:
        assert sizes(rides(10), ForwardChaining("at", 1)) == {"fold1.train": 5, "fold1.test": 5}
        with pytest.raises(InvalidInput, match="0 folds are none"):
            check(ForwardChaining("at", 0))

    def test_as_many_as_rows_leave_one_out(self) -> None:
        found = sizes(rides(7), KFold(7))
        assert {count for name, count in found.items() if name.endswith("test")} == {1}

    @pytest.mark.parametrize("strategy", FOLDS)
    def test_more_than_rows_are_empty_and_lose_nothing(self, strategy: Strategy) -> None:
        found = sizes(rides(3), altered(strategy, folds=9))
        assert sum(count for name, count in found.items() if name.endswith("test")) == 3


class TestColumns:
    @pytest.mark.parametrize(
        "strategy",
        [StratifiedSplit(()), GroupedSplit(()), HashSplit(()), StratifiedKFold(()), GroupedKFold(()), TimeShares("")],
    )
    def test_must_be_named(self, strategy: Strategy) -> None:
        with pytest.raises(InvalidInput, match="names no column"):
            check(strategy)

    @kinds
    def test_that_are_not_there_are_said(self, strategy: Strategy) -> None:
        named = columns_of(strategy)
        if named:
            with pytest.raises(InvalidInput, match=f"no column {named[0]}"):
                assign(pa.table({"z": [1]}), strategy, 0)

    @pytest.mark.parametrize("kind", [StratifiedSplit, GroupedSplit, HashSplit, StratifiedKFold, GroupedKFold])
    def test_of_several_are_one_key(self, kind: type[GroupedSplit]) -> None:
        table = rides(100)
        both = assign(table, kind(("driver", "city")), 0).masks
        assert (
            sum(int(mask.sum()) for name, mask in both.items() if not name.endswith("train") or "." not in name) == 100
        )


class TestCuts:
    @pytest.mark.parametrize(
        ("at", "names", "complaint"),
        [
            ((), ("train", "test"), "0 cuts do not make the 2 parts train, test"),
            ((NOON,), ("a", "b", "c"), "1 cuts do not make the 3 parts a, b, c"),
            ((NOON,), ("a", "a"), "do not make the 2 parts"),
            ((NOON, NOON), ("a", "b", "c"), "not in order of time"),
            ((NOON, NOON - HOUR), ("a", "b", "c"), "not in order of time"),
        ],
    )
    def test_that_are_none_are_refused(self, at: tuple[datetime, ...], names: tuple[str, ...], complaint: str) -> None:
        with pytest.raises(InvalidInput, match=complaint):
            assign(rides(5), TimeSplit("at", at, names), 0)

    def test_without_a_zone_are_refused(self) -> None:
        with pytest.raises(InvalidInput, match="has no zone"):
            assign(rides(5), TimeSplit("at", (NOON.replace(tzinfo=None),)), 0)

    def test_in_any_zone_are_the_same_moments(self) -> None:
        from datetime import timezone

        tokyo = (NOON + 9 * HOUR).astimezone(timezone(9 * HOUR))
        assert sizes(rides(20), TimeSplit("at", (tokyo,))) == {"train": 9, "test": 11}

    @pytest.mark.parametrize("strategy", IN_TIME)
    @pytest.mark.parametrize(("name", "span"), [("gap", -HOUR), ("delay", -HOUR), ("gap", timedelta(microseconds=-1))])
    def test_with_spans_of_less_than_nothing_are_refused(self, strategy: InTime, name: str, span: timedelta) -> None:
        with pytest.raises(InvalidInput, match=f"The {name} of .* s is less than none"):
            assign(rides(5), altered(strategy, known="paid", **{name: span}), 0)

    @pytest.mark.parametrize("strategy", IN_TIME)
    def test_with_a_delay_of_nothing_known_are_refused(self, strategy: InTime) -> None:
        with pytest.raises(InvalidInput, match="does not say when labels were known"):
            assign(rides(5), altered(strategy, delay=HOUR), 0)

    def test_before_and_after_all_rows_leave_a_part_empty(self) -> None:
        early, late = datetime(1900, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
        assert sizes(rides(5), TimeSplit("at", (early,))) == {"train": 0, "test": 5}
        assert sizes(rides(5), TimeSplit("at", (late,))) == {"train": 5, "test": 0}

    def test_through_one_moment_put_all_of_it_after(self) -> None:
        same = pa.table({"at": pa.array([NOON] * 6, pa.timestamp("us", "UTC"))})
        assert sizes(same, TimeShares("at")) == {"train": 0, "test": 6}

    @given(st.integers(0, 40), st.integers(0, 10), st.integers(0, 10))
    def test_leave_out_no_more_than_gap_and_delay_ask_for(self, cut: int, gap: int, delay: int) -> None:
        strategy = TimeSplit("at", (NOON + cut * HOUR,), gap=gap * HOUR, known="at", delay=delay * HOUR)
        found = sizes(rides(40), strategy)
        assert found["train"] == max(min(cut - delay + (delay > 0), cut), 0)
        assert found["test"] == max(40 - cut - gap, 0)
