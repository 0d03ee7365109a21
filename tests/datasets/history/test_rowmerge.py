"""Merging rows: against a model of dictionaries, and by what every merge must keep."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from everloop.datasets.history.entities import MergeConflict, OnConflict
from everloop.datasets.history.rowmerge import RowMerge, merge_rows
from everloop.kernel.errors import Conflict, InvalidInput
from tests.datasets.history.rows import FLOATS, TEXTS, plain, table
from tests.examples import examples

Cells = tuple[float | None, str | None]
Keyed = dict[int | None, Cells]

KEYED = st.dictionaries(st.none() | st.integers(0, 4), st.tuples(FLOATS, TEXTS), max_size=5)
DECIDE: st.SearchStrategy[OnConflict] = st.sampled_from(["ours", "theirs"])
_GONE = object()


def as_table(rows: Keyed) -> pa.Table:
    return table([(key, *cells) for key, cells in rows.items()])


def content(merged: pa.Table) -> set[tuple[object, ...]]:
    return {plain(tuple(row.values())) for row in merged.select(["k", "f", "s"]).to_pylist()}


def rows_of(rows: Keyed) -> set[tuple[object, ...]]:
    return {plain((key, *cells)) for key, cells in rows.items()}


def model(base: Keyed, ours: Keyed, theirs: Keyed, prefer: OnConflict) -> tuple[Keyed, int]:
    """The merged rows, and the number of conflicts."""
    merged: Keyed = {}
    count = 0
    for key in {**ours, **theirs}:
        old, mine, yours = (side.get(key) for side in (base, ours, theirs))
        if mine is not None and yours is not None:
            cells = [_cell(old and old[n], mine[n], yours[n], prefer, known=old is not None) for n in (0, 1)]
            count += sum(conflict for _, conflict in cells)
            merged[key] = (cells[0][0], cells[1][0])  # type: ignore[assignment]  # A float and a text.
        elif old is None:
            merged[key] = mine or yours  # type: ignore[assignment]  # One of them is there.
        else:
            left = mine or yours
            assert left is not None
            disputed = plain(left) != plain(old)  # type: ignore[arg-type]  # Any tuple will do.
            count += disputed
            if disputed and (mine is not None) == (prefer == "ours"):
                merged[key] = left
    return merged, count


def _cell(old: object, mine: object, yours: object, prefer: OnConflict, *, known: bool) -> tuple[object, bool]:
    same = [_equal(mine, yours), known and _equal(old, yours), known and _equal(old, mine)]
    if same[0] or same[1]:
        return mine, False
    return (yours, False) if same[2] else (mine if prefer == "ours" else yours, True)


def _equal(one: object, other: object) -> bool:
    return one == other or (one != one and other != other)


class TestAgainstAModel:
    @settings(max_examples=examples(200), deadline=None)
    @given(KEYED, KEYED, KEYED, DECIDE)
    def test_any_edits(self, base: Keyed, ours: Keyed, theirs: Keyed, prefer: OnConflict) -> None:
        merged = merge_rows(as_table(base), as_table(ours), as_table(theirs), ["k"], prefer)
        rows, count = model(base, ours, theirs, prefer)
        assert (content(merged.table), merged.count) == (rows_of(rows), count)

    @settings(max_examples=examples(100), deadline=None)
    @given(KEYED, KEYED, KEYED)
    def test_conflicts_do_not_depend_on_the_side(self, base: Keyed, ours: Keyed, theirs: Keyed) -> None:
        one = merge_rows(as_table(base), as_table(ours), as_table(theirs), ["k"], "ours")
        other = merge_rows(as_table(base), as_table(theirs), as_table(ours), ["k"], "theirs")
        assert (content(one.table), one.count) == (content(other.table), other.count)

    @settings(max_examples=examples(100), deadline=None)
    @given(KEYED, KEYED, st.data())
    def test_disjoint_edits_meet_without_a_conflict(self, base: Keyed, edits: Keyed, data: st.DataObject) -> None:
        keys = data.draw(st.sets(st.sampled_from(sorted(edits, key=str))) if edits else st.just(set()))
        ours = base | {key: edits[key] for key in keys}
        theirs = base | {key: edits[key] for key in edits.keys() - keys}
        there = merge_rows(as_table(base), as_table(ours), as_table(theirs), ["k"])
        back = merge_rows(as_table(base), as_table(theirs), as_table(ours), ["k"])
        assert there.count == back.count == 0
        assert content(there.table) == content(back.table) == rows_of(base | edits)

    @settings(max_examples=examples(100), deadline=None)
    @given(KEYED, KEYED, st.sampled_from([["k"], []]))
    def test_a_side_that_changed_nothing_takes_the_other(self, base: Keyed, other: Keyed, keys: list[str]) -> None:
        for ours, theirs in ((base, other), (other, base)):
            merged = merge_rows(as_table(base), as_table(ours), as_table(theirs), keys)
            assert (content(merged.table), merged.count) == (rows_of(other), 0)
            assert merged.table.num_rows == len(other)


class TestWholeRows:
    @settings(max_examples=examples(100), deadline=None)
    @given(*[st.lists(st.integers(0, 2), max_size=6)] * 3)
    def test_each_row_is_there_as_often_as_the_changes_say(
        self, base: list[int], ours: list[int], theirs: list[int]
    ) -> None:
        tables = [pa.table({"n": pa.array(rows, pa.int64())}) for rows in (base, ours, theirs)]
        merged = merge_rows(tables[0], tables[1], tables[2], []).table["n"].to_pylist()
        for value in range(3):
            old, mine, yours = (rows.count(value) for rows in (base, ours, theirs))
            assert merged.count(value) == (mine if mine == yours else max(mine + yours - old, 0))


BASE = pa.table({"id": [1, 2, 3], "x": [10, 20, 30], "s": ["a", "b", "c"]})


def merged(ours: pa.Table, theirs: pa.Table, prefer: OnConflict = "fail") -> RowMerge:
    return merge_rows(BASE, ours, theirs, ["id"], prefer)


class TestConflicts:
    def test_a_cell_is_listed_with_all_three_values(self) -> None:
        ours = BASE.set_column(1, "x", [[10, 21, 30]])
        theirs = BASE.set_column(1, "x", [[10, 22, 30]])
        (conflict,) = merged(ours, theirs).listed
        assert conflict == MergeConflict(
            reason="both sides changed the cell", column="x", key={"id": 2}, base=20, ours=21, theirs=22
        )

    def test_a_row_that_one_side_removed_and_the_other_changed_is_listed_whole(self) -> None:
        (conflict,) = merged(BASE.slice(0, 2), BASE.set_column(1, "x", [[10, 20, 31]])).listed
        assert (conflict.key, conflict.ours) == ({"id": 3}, None)
        assert conflict.theirs == {"id": 3, "x": 31, "s": "c"}

    def test_cells_of_one_row_meet(self) -> None:
        found = merged(BASE.set_column(1, "x", [[11, 20, 30]]), BASE.set_column(2, "s", [["A", "b", "c"]]))
        assert found.count == 0
        assert found.table.to_pylist()[0] == {"id": 1, "x": 11, "s": "A"}

    def test_many_are_counted_and_some_are_listed(self) -> None:
        base, ours, theirs = (pa.table({"id": range(500), "x": [n] * 500}) for n in range(3))
        found = merge_rows(base, ours, theirs, ["id"])
        assert (found.count, len(found.listed)) == (500, 100)


class TestColumns:
    def test_columns_that_each_side_added_are_all_there(self) -> None:
        found = merged(BASE.append_column("a", [[1, 2, 3]]), BASE.append_column("b", [[4, 5, 6]]))
        assert found.count == 0
        assert found.table.to_pylist()[1] == {"id": 2, "x": 20, "s": "b", "a": 2, "b": 5}

    def test_a_row_that_came_without_a_new_column_misses_it(self) -> None:
        more = pa.concat_tables([BASE, pa.table({"id": [4], "x": [40], "s": ["d"]})])
        found = merged(BASE.append_column("a", [[1, 2, 3]]), more)
        assert found.table.to_pylist()[3] == {"id": 4, "x": 40, "s": "d", "a": None}

    def test_a_column_that_one_side_removed_is_gone(self) -> None:
        found = merged(BASE.drop_columns("s"), BASE.set_column(1, "x", [[11, 20, 30]]))
        assert (found.table.column_names, found.count) == (["id", "x"], 0)
        assert found.table["x"].to_pylist() == [11, 20, 30]

    @pytest.mark.parametrize(("prefer", "columns"), [("ours", ["id", "x"]), ("theirs", ["id", "x", "s"])])
    def test_a_column_removed_here_and_changed_there_is_a_conflict(
        self, prefer: OnConflict, columns: list[str]
    ) -> None:
        found = merged(BASE.drop_columns("s"), BASE.set_column(2, "s", [["A", "b", "c"]]), prefer)
        assert [(each.column, each.ours, each.theirs) for each in found.listed] == [("s", "removed", "changed")]
        assert found.table.column_names == columns

    def test_a_new_type_is_taken_with_the_other_sides_values(self) -> None:
        wide = BASE.set_column(1, "x", BASE["x"].cast(pa.float64()))
        found = merged(BASE.set_column(1, "x", [[10, 20, 33]]), wide)
        assert found.table["x"].to_pylist() == [10.0, 20.0, 33.0]
        assert found.count == 0

    def test_two_new_types_are_a_conflict_that_one_side_can_win(self) -> None:
        ours = BASE.set_column(1, "x", BASE["x"].cast(pa.float64()))
        theirs = BASE.set_column(1, "x", BASE["x"].cast(pa.string()))
        failed = merged(ours, theirs)
        assert [(each.base, each.ours, each.theirs) for each in failed.listed] == [("int64", "float64", "string")]
        assert merged(ours, theirs, "theirs").table.schema.field("x").type == pa.string()

    def test_values_that_do_not_fit_the_other_sides_type_are_named(self) -> None:
        ours = BASE.set_column(2, "s", [["1", "2", "many"]])
        base = BASE.set_column(2, "s", [["1", "2", "3"]])
        theirs = base.set_column(2, "s", base["s"].cast(pa.int64()))
        with pytest.raises(Conflict, match="'s' is int64 now"):
            merge_rows(base, ours, theirs, ["id"])


class TestKeys:
    def test_a_key_that_does_not_tell_rows_apart_is_refused_with_an_example(self) -> None:
        double = pa.concat_tables([BASE, BASE.slice(1, 1)])
        with pytest.raises(InvalidInput, match="several rows of their side, such as id=2"):
            merged(BASE, double)

    def test_a_key_that_one_side_lacks_is_refused(self) -> None:
        with pytest.raises(InvalidInput, match="our side has no such column"):
            merged(BASE.drop_columns("id"), BASE)

    def test_rows_keep_our_order_and_theirs_come_after(self) -> None:
        ours = BASE.take([2, 0, 1])
        theirs = pa.concat_tables([pa.table({"id": [9], "x": [90], "s": ["z"]}), BASE])
        assert merged(ours, theirs).table["id"].to_pylist() == [3, 1, 2, 9]
