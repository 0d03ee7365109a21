"""Sketches of parts add up to what the whole holds, within the errors that they state."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from everloop.app.platform import Platform
from everloop.backends.engines.columnprofile import profiled
from everloop.datasets.content import profile_of, snapshot_of, write_table
from everloop.datasets.engine import TableEngine
from everloop.datasets.entities import QUANTILES, ColumnProfile
from everloop.datasets.sketches import MOST_HASHES, MOST_VALUES, TableSketch, merged, profile_from, thinned, unpacked
from everloop.datasets.sketching import most_frequent, number_hashes, text_hashes
from everloop.store.service import digest_of
from tests.examples import examples

PINNED_NUMBERS = [16294208416658607535, 16294208416658607535, 9860564707913756141]
PINNED_TEXTS = [7960286522194355700, 12135812992538606092, 16879094077644138242]
GENERATOR = np.random.default_rng(3)
LONG = pa.table(
    {
        "f": pa.array(GENERATOR.normal(size=60_000), mask=GENERATOR.random(60_000) < 0.1),
        "id": GENERATOR.permutation(60_000),
        "few": GENERATOR.integers(0, 9, 60_000),
        "name": [f"n{n % 5_000}" for n in range(60_000)],
        "hot": ["hot" if n % 3 == 0 else f"cold {n}" for n in range(60_000)],
    }
)


def in_parts(table: pa.Table, *cuts: int) -> list[TableSketch]:
    edges = [0, *sorted(cuts), table.num_rows]
    return [profiled(table.slice(low, high - low))[1] for low, high in pairwise(edges)]


def column(sketch: TableSketch, name: str) -> ColumnProfile:
    return next(one for one in profile_from(sketch).columns if one.name == name)


@settings(max_examples=examples(80), deadline=None)
@given(
    st.lists(st.none() | st.floats(-1e6, 1e6) | st.sampled_from([1.0, math.inf, math.nan]), max_size=60),
    st.lists(st.integers(0, 60), max_size=3),
)
def test_sketches_of_few_values_are_exact(values: list[float | None], cuts: list[int]) -> None:
    rows = pa.table({"x": pa.array(values, pa.float64())})
    found = column(merged(in_parts(rows, *(min(cut, len(values)) for cut in cuts))), "x")
    (exact,) = profiled(rows)[0].columns
    assert (found.count, found.nulls, found.quantiles) == (exact.count, exact.nulls, exact.quantiles)
    assert (found.minimum, found.maximum) == (exact.minimum, exact.maximum)
    assert found.distinct == len({value for value in values if value is not None and not math.isnan(value)})
    assert (found.mean is None) == (exact.mean is None)
    assert math.isclose(found.mean or 0, exact.mean or 0, rel_tol=1e-9, abs_tol=1e-6)
    assert math.isclose(found.std or 0, exact.std or 0, rel_tol=1e-6, abs_tol=1e-3)


@settings(max_examples=examples(60), deadline=None)
@given(st.lists(st.none() | st.text(max_size=3), max_size=40), st.integers(0, 40))
def test_texts_add_up(values: list[str | None], cut: int) -> None:
    rows = pa.table({"x": pa.array(values, pa.string())})
    found = column(merged(in_parts(rows, min(cut, len(values)))), "x")
    (exact,) = profiled(rows)[0].columns
    assert (found.nulls, found.distinct, found.minimum, found.maximum) == (
        exact.nulls,
        exact.distinct,
        exact.minimum,
        exact.maximum,
    )
    assert [count for _, count in found.top] == [count for _, count in exact.top]


class TestLongColumns:
    SKETCH = merged(in_parts(LONG, 10_000, 25_000, 25_001, 40_000))
    EXACT = {one.name: one for one in profiled(LONG)[0].columns}

    @pytest.mark.parametrize("name", ["f", "id"])
    def test_quantiles_are_of_ranks_within_the_error_that_is_stated(self, name: str) -> None:
        found = column(self.SKETCH, name)
        assert 0 < found.rank_error < 0.02
        there = np.sort(LONG[name].drop_null().to_numpy())
        for share, value in zip(QUANTILES, found.quantiles, strict=True):
            low, high = np.searchsorted(there, value, "left"), np.searchsorted(there, value, "right")
            assert low / len(there) - found.rank_error <= share <= high / len(there) + found.rank_error

    @pytest.mark.parametrize("name", ["f", "id", "name", "hot"])
    def test_different_values_are_estimated_within_four_errors(self, name: str) -> None:
        found, exact = column(self.SKETCH, name), self.EXACT[name]
        assert found.distinct_error == pytest.approx(1 / math.sqrt(MOST_HASHES - 2))
        assert abs(found.distinct - exact.distinct) < 4 * found.distinct_error * exact.distinct

    def test_what_is_frequent_is_found_with_its_count(self) -> None:
        assert column(self.SKETCH, "hot").top[0] == ("hot", 20_000)
        sketch = next(one for one in self.SKETCH.columns if one.name == "hot")
        assert sketch.unlisted <= 9  # Five parts that leave out what occurs once, four merges that do.

    def test_few_values_stay_exact_however_many_rows(self) -> None:
        found, exact = column(self.SKETCH, "few"), self.EXACT["few"]
        assert (found.distinct, found.quantiles, found.rank_error) == (9, exact.quantiles, 0.0)

    def test_moments_and_extremes_are_exact(self) -> None:
        found, exact = column(self.SKETCH, "f"), self.EXACT["f"]
        assert (found.minimum, found.maximum, found.nulls) == (exact.minimum, exact.maximum, exact.nulls)
        assert (found.mean, found.std) == (pytest.approx(exact.mean), pytest.approx(exact.std))

    def test_a_sketch_is_small_and_the_same_bytes_each_time(self) -> None:
        once, again = (profiled(LONG)[1].packed() for _ in range(2))
        assert once == again
        assert len(once) < 60_000
        assert unpacked(once) == profiled(LONG)[1]


def test_a_column_that_a_part_lacks_is_missing_there() -> None:
    both = merged([*in_parts(pa.table({"a": [1, 2]})), *in_parts(pa.table({"a": [3], "b": ["x"]}))])
    assert (column(both, "b").count, column(both, "b").nulls, column(both, "a").nulls) == (3, 2, 0)


@settings(max_examples=examples(60), deadline=None)
@given(st.lists(st.integers(1, 50), min_size=1, max_size=2_000))
def test_thinned_ranks_keep_the_total_and_the_last(weights: list[int]) -> None:
    numbers, kept = thinned([float(n) for n in range(len(weights))], weights)
    assert (sum(kept), numbers[-1]) == (sum(weights), len(weights) - 1)
    assert len(kept) <= 2 * MOST_VALUES


@settings(max_examples=examples(60), deadline=None)
@given(st.lists(st.integers(0, 5), max_size=50), st.integers(1, 10))
def test_the_most_frequent_are_those_of_a_stable_sort(counts: list[int], most: int) -> None:
    found = most_frequent(np.array(counts, np.int64), most)
    assert found.tolist() == np.argsort(-np.array(counts, np.int64), kind="stable")[:most].tolist()


class TestHashes:
    """Hashes stand in catalogs: another version of this code must give the same ones."""

    def test_they_never_change(self) -> None:
        assert number_hashes(np.array([0.0, -0.0, 1.0])).tolist() == PINNED_NUMBERS
        assert text_hashes(["", "a", "é"]).tolist() == PINNED_TEXTS

    @settings(max_examples=examples(50), deadline=None)
    @given(st.lists(st.text(max_size=6), max_size=50, unique=True))
    def test_different_texts_have_different_ones(self, texts: list[str]) -> None:
        assert len(set(text_hashes(texts).tolist())) == len(texts)

    def test_they_are_spread_evenly(self) -> None:
        found: Any = text_hashes([f"flight {n}" for n in range(20_000)]).astype(np.float64) / 2**64
        assert abs(np.histogram(found, 16, (0, 1))[0] - 1_250).max() < 5 * math.sqrt(1_250)


class TestKept:
    def test_the_profile_of_an_append_reads_what_came_only(
        self, platform: Platform, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        session = platform.session()
        write_table(session, "codes", pa.table({"x": [1, 2, 3]}))
        data = b"x\n10\n"
        session.store.put(data)
        platform.call("datasets.append", {"name": "codes", "digest": digest_of(data), "format": "csv"})
        sizes: list[int] = []
        engine = session.ports.get(TableEngine)
        whole = engine.profiled
        monkeypatch.setattr(engine, "profiled", lambda table: sizes.append(table.num_rows) or whole(table))
        (found,) = profile_of(session, snapshot_of(session, "codes")).columns
        assert (found.count, found.maximum, found.mean, found.distinct) == (4, 10.0, 4.0, 4)
        assert sizes == [1]
        profile_of(session, snapshot_of(session, "codes"))
        assert sizes == [1]

    def test_rows_that_were_deleted_are_not_in_the_profile(self, platform: Platform) -> None:
        session = platform.session()
        write_table(session, "codes", pa.table({"x": [1, 2, 30]}))
        data = b"x\n30\n"
        session.store.put(data)
        asked = {"name": "codes", "digest": digest_of(data), "format": "csv", "keys": ["x"]}
        platform.call("datasets.delete_rows", asked)
        (found,) = profile_of(session, snapshot_of(session, "codes")).columns
        assert (found.count, found.maximum) == (2, 2.0)
