"""Splits share nothing, and prove it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from everloop.datasets.splits.parts import at_random, by_time, prove_disjoint
from everloop.kernel.errors import InvalidInput, Refused
from tests.examples import examples

NOON = datetime(2013, 3, 1, 12, tzinfo=UTC)


def hourly(*hours: int | None) -> pa.Table:
    times = [None if hour is None else NOON + timedelta(hours=hour) for hour in hours]
    return pa.table({"id": range(len(hours)), "at": pa.array(times, pa.timestamp("us", "UTC"))})


class TestByTime:
    def test_the_moment_itself_belongs_to_what_comes_after(self) -> None:
        before, after = by_time(hourly(-1, 0, 1), "at", NOON)
        assert (before["id"].to_pylist(), after["id"].to_pylist()) == ([0], [1, 2])

    def test_rows_keep_their_order(self) -> None:
        before, after = by_time(hourly(3, -2, 1, -3), "at", NOON)
        assert (before["id"].to_pylist(), after["id"].to_pylist()) == ([1, 3], [0, 2])

    def test_times_in_seconds_are_split_as_well(self) -> None:
        table = pa.table({"at": pa.array([NOON, NOON - timedelta(seconds=1)], pa.timestamp("s", "UTC"))})
        before, after = by_time(table, "at", NOON)
        assert (before.num_rows, after.num_rows) == (1, 1)

    def test_a_row_without_a_time_has_no_side(self) -> None:
        with pytest.raises(InvalidInput, match="1 rows have no 'at'"):
            by_time(hourly(1, None), "at", NOON)

    @pytest.mark.parametrize("column", ["id", "nothing"])
    def test_what_is_no_time_is_refused(self, column: str) -> None:
        with pytest.raises(InvalidInput):
            by_time(hourly(1), column, NOON)

    def test_a_time_without_a_zone_is_refused(self) -> None:
        table = pa.table({"at": pa.array([datetime(2013, 1, 1)], pa.timestamp("us"))})  # noqa: DTZ001  That is the point.
        with pytest.raises(InvalidInput, match="with a zone"):
            by_time(table, "at", NOON)

    @settings(max_examples=examples(40), deadline=None)
    @given(st.lists(st.integers(-100, 100), max_size=60), st.integers(-100, 100))
    def test_nothing_is_lost_doubled_or_on_the_wrong_side(self, hours: list[int], cut: int) -> None:
        at = NOON + timedelta(hours=cut)
        before, after = by_time(hourly(*hours), "at", at)
        assert sorted(before["id"].to_pylist() + after["id"].to_pylist()) == list(range(len(hours)))
        assert all(time < at for time in before["at"].to_pylist())
        assert all(time >= at for time in after["at"].to_pylist())


class TestAtRandom:
    TABLE = pa.table({"id": range(1000), "plane": [f"N{n % 37}" if n % 37 else None for n in range(1000)]})

    def test_the_share_is_met_and_nothing_is_lost(self) -> None:
        one, other = at_random(self.TABLE, 0.3, np.random.default_rng(1))
        assert one.num_rows == 300
        assert sorted(one["id"].to_pylist() + other["id"].to_pylist()) == list(range(1000))

    def test_the_same_generator_gives_the_same_split(self) -> None:
        one, other = (at_random(self.TABLE, 0.3, np.random.default_rng(1))[0] for _ in range(2))
        assert one.equals(other)
        assert not one.equals(at_random(self.TABLE, 0.3, np.random.default_rng(2))[0])

    def test_rows_keep_their_order(self) -> None:
        ids = at_random(self.TABLE, 0.5, np.random.default_rng(1))[0]["id"].to_pylist()
        assert ids == sorted(ids)

    def test_rows_of_one_group_stay_together(self) -> None:
        one, other = at_random(self.TABLE, 0.5, np.random.default_rng(1), ["plane"])
        assert prove_disjoint(one.drop_null(), other.drop_null(), ["plane"]).keys == (
            len(set(one.drop_null()["plane"].to_pylist())),
            len(set(other.drop_null()["plane"].to_pylist())),
        )
        assert one.num_rows + other.num_rows == 1000

    def test_a_group_may_be_of_several_columns(self) -> None:
        table = self.TABLE.append_column("site", pa.array(["a", "b"] * 500))
        one, other = at_random(table, 0.5, np.random.default_rng(1), ["plane", "site"])
        prove_disjoint(one.drop_null(), other.drop_null(), ["plane", "site"])

    @pytest.mark.parametrize("share", [0.0, 1.0])
    def test_all_or_nothing_is_a_split_too(self, share: float) -> None:
        one, other = at_random(self.TABLE, share, np.random.default_rng(1))
        assert (one.num_rows, other.num_rows) == (1000 * share, 1000 * (1 - share))

    @pytest.mark.parametrize("share", [-0.1, 1.1])
    def test_what_is_no_share_is_refused(self, share: float) -> None:
        with pytest.raises(InvalidInput, match="not a share"):
            at_random(self.TABLE, share, np.random.default_rng(1))

    def test_a_table_without_rows_has_two_empty_parts(self) -> None:
        one, other = at_random(self.TABLE.slice(0, 0), 0.5, np.random.default_rng(1))
        assert (one.num_rows, other.num_rows) == (0, 0)


class TestProof:
    def test_a_shared_key_is_refused(self) -> None:
        with pytest.raises(Refused, match="share 2 keys"):
            prove_disjoint(pa.table({"k": [1, 2, 2, 3]}), pa.table({"k": [2, 3, 4]}), ["k"])

    def test_the_proof_says_what_was_compared(self) -> None:
        proof = prove_disjoint(pa.table({"k": [1, 1]}), pa.table({"k": [2]}), ["k"])
        assert (proof.on, proof.rows, proof.keys) == (("k",), (2, 1), (1, 1))

    def test_an_unknown_key_is_refused(self) -> None:
        with pytest.raises(InvalidInput, match="no column z"):
            prove_disjoint(pa.table({"k": [1]}), pa.table({"k": [2]}), ["z"])
