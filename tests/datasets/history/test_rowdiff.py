"""How rows differ: against a model that goes through them one by one."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal

import pyarrow as pa
import pytest
from hypothesis import given, settings

from everloop.datasets.history.entities import CellChange, RowChange
from everloop.datasets.history.rowdiff import difference
from everloop.kernel.errors import InvalidInput
from tests.datasets.history.rows import ROWS, Row, plain, table
from tests.examples import examples


def model(before: list[Row], after: list[Row], width: int) -> dict[str, object]:
    """What `difference` should count, when the first `width` columns are the key."""
    old, new = [plain(row) for row in before], [plain(row) for row in after]
    same = Counter(old) & Counter(new)
    old, new = _without(old, same), _without(new, same)
    cells: Counter[str] = Counter()
    changed = 0
    for key in {row[:width] for row in old} & {row[:width] for row in new}:
        mine, yours = ([row for row in rows if row[:width] == key] for rows in (old, new))
        for one, other in zip(mine, yours, strict=False):
            changed += 1
            cells.update(name for name, a, b in zip("kfs", one, other, strict=True) if a != b)
    counts = {"added": len(new) - changed, "removed": len(old) - changed, "changed": changed}
    return counts | {"unchanged": same.total(), "changed_cells": dict(cells)}


def _without(rows: list[tuple[object, ...]], some: Counter[tuple[object, ...]]) -> list[tuple[object, ...]]:
    left = some.copy()
    kept = []
    for row in rows:
        if left[row]:
            left[row] -= 1
        else:
            kept.append(row)
    return kept


def counted(before: pa.Table, after: pa.Table, keys: list[str]) -> dict[str, object]:
    found = difference(before, after, keys, 3)
    return {name: getattr(found, name) for name in ("added", "removed", "changed", "unchanged", "changed_cells")}


class TestAgainstAModel:
    @settings(max_examples=examples(150), deadline=None)
    @given(ROWS, ROWS)
    def test_rows_with_a_key(self, before: list[Row], after: list[Row]) -> None:
        assert counted(table(before), table(after), ["k"]) == model(before, after, 1)

    @settings(max_examples=examples(100), deadline=None)
    @given(ROWS, ROWS)
    def test_rows_with_a_key_of_two_columns_one_of_them_a_float(self, before: list[Row], after: list[Row]) -> None:
        assert counted(table(before), table(after), ["k", "f"]) == model(before, after, 2)

    @settings(max_examples=examples(100), deadline=None)
    @given(ROWS, ROWS)
    def test_whole_rows_are_never_changed(self, before: list[Row], after: list[Row]) -> None:
        assert counted(table(before), table(after), []) == model(before, after, 3)

    @settings(max_examples=examples(50), deadline=None)
    @given(ROWS, ROWS)
    def test_what_was_added_one_way_was_removed_the_other(self, before: list[Row], after: list[Row]) -> None:
        there, back = (difference(table(a), table(b), ["k"], 0) for a, b in ((before, after), (after, before)))
        assert (there.added, there.removed, there.changed) == (back.removed, back.added, back.changed)
        assert there.changed_cells == back.changed_cells

    @settings(max_examples=examples(50), deadline=None)
    @given(ROWS)
    def test_the_order_of_rows_does_not_matter(self, rows: list[Row]) -> None:
        found = difference(table(rows), table(rows[::-1]), [], 5)
        assert (found.unchanged, found.sample) == (len(rows), ())


class TestSample:
    def test_it_shows_the_cells_that_changed_and_what_came_and_went(self) -> None:
        before = pa.table({"id": [1, 2, 3], "x": [0.5, float("nan"), None], "s": ["a", "b", "c"]})
        after = pa.table({"id": [4, 2, 1], "x": [9.0, None, 0.5], "s": ["d", "b", "A"]})
        assert difference(before, after, ["id"], 5).sample == (
            RowChange("changed", {"id": 1}, (CellChange("s", "a", "A"),)),
            RowChange("changed", {"id": 2}, (CellChange("x", "nan", None),)),
            RowChange("removed", {"id": 3}),
            RowChange("added", {"id": 4}),
        )

    def test_it_is_limited_for_each_kind(self) -> None:
        before, after = pa.table({"n": range(100)}), pa.table({"n": range(50, 150)})
        found = difference(before, after, [], 2)
        assert [(row.change, row.key["n"]) for row in found.sample] == [
            ("removed", 0),
            ("removed", 1),
            ("added", 100),
            ("added", 101),
        ]


class TestColumns:
    def test_a_new_column_is_no_change_of_every_row(self) -> None:
        before = pa.table({"id": [1, 2], "x": [1, 2]})
        found = difference(before, before.append_column("y", [[5, 6]]), ["id"], 5)
        assert (found.changed, found.unchanged) == (0, 2)

    @pytest.mark.parametrize(
        ("old", "new"),
        [
            (pa.array([1, 2], pa.int8()), pa.array([1, 2], pa.int64())),
            (pa.array([1, 2]), pa.array([1.0, 2.0])),
            (pa.array([1, 2]), pa.array(["1", "2"])),
            (pa.array([Decimal("1.5"), None]), pa.array([1.5, None])),
            (pa.array([None, None]), pa.array([None, None], pa.string())),
        ],
    )
    def test_values_that_only_changed_their_type_are_the_same(self, old: pa.Array, new: pa.Array) -> None:
        found = difference(pa.table({"id": [1, 2], "x": old}), pa.table({"id": [1, 2], "x": new}), ["id"], 5)
        assert (found.changed, found.unchanged) == (0, 2)

    @pytest.mark.parametrize(
        "values",
        [
            pa.array([[1, None], [2]]),
            pa.array([{"a": 1}, None]),
            pa.array([b"x", None]),
            pa.array([None, None]),
            pa.array([1, 2], pa.decimal256(50, 2)),
            pa.array([1, None], pa.timestamp("us", "UTC")),
        ],
    )
    def test_columns_of_any_type_are_compared(self, values: pa.Array) -> None:
        one = pa.table({"id": [1, 2], "x": values})
        assert difference(one, one.slice(0), ["id"], 5).unchanged == 2
        swapped = pa.table({"id": [2, 1], "x": values})
        assert difference(one, swapped, ["id"], 5).changed == (0 if values.null_count == 2 else 2)

    def test_tables_without_a_column_in_common_share_no_row(self) -> None:
        found = difference(pa.table({"a": [1]}), pa.table({"b": [1]}), [], 5)
        assert (found.added, found.removed, found.unchanged) == (1, 1, 0)

    def test_a_key_that_one_side_lacks_is_refused(self) -> None:
        with pytest.raises(InvalidInput, match="b cannot be a key"):
            difference(pa.table({"a": [1], "b": [1]}), pa.table({"a": [1]}), ["a", "b"], 5)
