"""Changing the rows of a table, through the front door."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from typing import Any

import pyarrow as pa
import pytest

from everloop.app.platform import Platform
from everloop.datasets.entities import Snapshot
from everloop.kernel.errors import InvalidInput, NotFound
from tests.datasets.changes.conftest import Change

Rows = Callable[[Snapshot], list[dict[str, Any]]]
ADA, BOB, NOBODY = {"id": 1, "name": "Ada"}, {"id": 2, "name": "Bob"}, {"id": 3, "name": None}
EVA = {"id": 4, "name": "Eva"}


def table(*rows: dict[str, Any]) -> pa.Table:
    return pa.Table.from_pylist(list(rows))


class TestAppend:
    def test_rows_come_after_those_that_are_there(self, people: Snapshot, change: Change, rows: Rows) -> None:
        made = change("append", table(EVA), note="one more")
        assert rows(made) == [ADA, BOB, NOBODY, EVA]
        assert (made.version, made.rows, made.base, made.note) == (2, 4, (1,), "one more")

    def test_older_versions_are_what_they_were(self, people: Snapshot, change: Change, rows: Rows) -> None:
        change("append", table(EVA))
        assert rows(people) == [ADA, BOB, NOBODY]

    @pytest.mark.parametrize(("verb", "more"), [("append", {}), ("upsert", {"keys": ["id"]}), ("commit", {})])
    def test_what_the_rows_come_from_is_a_parent(
        self, people: Snapshot, change: Change, verb: str, more: dict[str, Any]
    ) -> None:
        change("commit", table(EVA), name="letters")
        made = change(verb, table(EVA), source="letters@1", **more)
        assert made.parents == ("dataset:default/letters@1",)

    def test_a_source_that_is_not_there_is_refused(self, people: Snapshot, change: Change) -> None:
        with pytest.raises(NotFound, match="letters"):
            change("append", table(EVA), source="letters@1")

    def test_what_is_there_is_not_read(
        self, people: Snapshot, change: Change, rows: Rows, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with monkeypatch.context() as patched:
            patched.setattr("everloop.datasets.parquet.read", None)
            made = change("append", table(EVA))
            twice = change("append", table({"id": 5, "name": None}))
        assert (made.rows, twice.rows, twice.columns) == (4, 5, people.columns)
        assert rows(twice)[-1] == {"id": 5, "name": None}

    def test_a_column_that_gets_its_first_gap_may_have_gaps(self, people: Snapshot, change: Change) -> None:
        assert [column.nullable for column in people.columns] == [False, True]
        made = change("append", table({"id": None, "name": "Zoe"}))
        assert [column.nullable for column in made.columns] == [True, True]

    def test_nothing_makes_no_version(self, people: Snapshot, change: Change) -> None:
        assert change("append", table(EVA).slice(0, 0)) == people

    def test_csv_is_read_in_the_types_of_the_table(self, people: Snapshot, change: Change, rows: Rows) -> None:
        assert rows(change("append", b"id,name\n4,007\n"))[-1] == {"id": 4, "name": "007"}

    def test_lines_of_json_are_read_in_the_types_of_the_table(
        self, platform: Platform, change: Change, rows: Rows
    ) -> None:
        first = change("commit", b"id,day,at,zip\n1,2026-01-01,2026-01-01T00:00:00Z,x7\n")
        line = b'{"id": 2, "day": "2026-01-02", "at": "2026-01-02T00:00:00Z", "zip": "007"}\n'
        made = change("append", line, format="jsonl")
        assert made.columns == first.columns
        assert rows(made)[1] | {"at": None} == {"id": 2, "day": date(2026, 1, 2), "at": None, "zip": "007"}

    def test_a_new_column_is_null_in_older_rows(self, people: Snapshot, change: Change, rows: Rows) -> None:
        made = change("append", table(EVA | {"age": 40}))
        assert [row["age"] for row in rows(made)] == [None, None, None, 40]
        assert made.columns[-1].nullable

    def test_a_wider_type_widens_the_column(self, people: Snapshot, change: Change, rows: Rows) -> None:
        made = change("append", table({"id": 4.5, "name": "Eva"}))
        assert [row["id"] for row in rows(made)] == [1.0, 2.0, 3.0, 4.5]

    def test_a_column_that_is_not_sent_is_refused_by_name(self, people: Snapshot, change: Change, rows: Rows) -> None:
        with pytest.raises(InvalidInput, match="no column name"):
            change("append", table({"id": 4}))
        assert rows(change("append", table({"id": 4}), evolve="any"))[-1] == {"id": 4, "name": None}

    def test_another_type_is_refused_by_name(self, people: Snapshot, change: Change) -> None:
        with pytest.raises(InvalidInput, match="Column 'id' of people is int64, but in the rows it is string"):
            change("append", table({"id": "four", "name": "Eva"}))

    def test_a_dataset_that_is_not_there_is_not_found(self, change: Change) -> None:
        with pytest.raises(NotFound):
            change("append", table(EVA))


class TestUpsert:
    def test_rows_with_a_known_key_are_replaced_and_others_added(
        self, people: Snapshot, change: Change, rows: Rows
    ) -> None:
        made = change("upsert", table({"id": 2, "name": "Bert"}, EVA), keys=["id"])
        assert rows(made) == [ADA, NOBODY, {"id": 2, "name": "Bert"}, EVA]
        assert [(layer.added and layer.added.rows, layer.deleted and layer.deleted.rows) for layer in made.layers] == [
            (3, None),
            (2, 1),
        ]

    def test_rows_that_are_there_already_are_not_stored(self, people: Snapshot, change: Change) -> None:
        assert change("upsert", table(ADA, NOBODY), keys=["id"]) == people
        made = change("upsert", table(ADA, EVA), keys=["id"])
        assert made.layers[-1].added is not None
        assert made.layers[-1].added.rows == 1

    def test_a_row_that_was_changed_can_be_changed_again(self, people: Snapshot, change: Change, rows: Rows) -> None:
        for name in ("Bert", "Bill"):
            made = change("upsert", table({"id": 2, "name": name}), keys=["id"])
        assert rows(made) == [ADA, NOBODY, {"id": 2, "name": "Bill"}]

    def test_keys_may_be_several_columns(self, people: Snapshot, change: Change, rows: Rows) -> None:
        made = change("upsert", table({"id": 1, "name": "Eva"}, ADA), keys=["id", "name"])
        assert rows(made) == [ADA, BOB, NOBODY, {"id": 1, "name": "Eva"}]

    def test_one_row_takes_the_place_of_all_that_have_its_key(self, change: Change, rows: Rows) -> None:
        change("commit", table(ADA, BOB, ADA))
        assert rows(change("upsert", table(ADA), keys=["id"])) == [BOB, ADA]

    @pytest.mark.parametrize(
        ("sent", "keys", "message"),
        [
            (table(EVA, EVA | {"name": "Evi"}), ["id"], "1 keys stand in several rows, the first is id = 4"),
            (table(EVA, {"id": None, "name": "x"}), ["id"], "Key 'id' is missing in 1 of 2 rows"),
            (table(EVA), ["nr"], "no column nr"),
            (table(EVA), [], "No key is named"),
            (table(EVA | {"age": 4}), ["age"], "people@1 has no column age"),
        ],
    )
    def test_keys_that_do_not_tell_rows_apart_are_refused(
        self, people: Snapshot, change: Change, sent: pa.Table, keys: list[str], message: str
    ) -> None:
        with pytest.raises(InvalidInput, match=message):
            change("upsert", sent, keys=keys)


class TestDeleteRows:
    def test_rows_with_the_keys_are_gone(self, people: Snapshot, change: Change, rows: Rows) -> None:
        assert rows(change("delete_rows", table({"id": 1}, {"id": 9}), keys=["id"])) == [BOB, NOBODY]

    def test_keys_that_nothing_has_make_no_version(self, people: Snapshot, change: Change) -> None:
        assert change("delete_rows", table({"id": 9}), keys=["id"]) == people

    @pytest.mark.parametrize("keys", [["none"], ["id", "none"], []])
    def test_keys_that_the_rows_lack_are_refused(self, people: Snapshot, change: Change, keys: list[str]) -> None:
        with pytest.raises(InvalidInput, match=r"no column none|No key"):
            change("delete_rows", table({"id": 1}), keys=keys)

    def test_a_table_may_become_empty_and_full_again(self, people: Snapshot, change: Change, rows: Rows) -> None:
        empty = change("delete_rows", table({"id": 1}, {"id": 2}, {"id": 3}), keys=["id"])
        assert (rows(empty), empty.rows) == ([], 0)
        assert rows(change("append", table(ADA))) == [ADA]


class TestCompact:
    def test_rows_and_their_order_stay_and_layers_go(
        self, platform: Platform, people: Snapshot, change: Change, rows: Rows
    ) -> None:
        before = change("upsert", table({"id": 1, "name": "Ada L."}), keys=["id"])
        after: Snapshot = platform.call("datasets.compact", {"name": "people"})
        assert rows(after) == rows(before)
        assert (after.layers, after.version) == ((), 3)

    def test_a_table_without_layers_is_left_alone(self, platform: Platform, people: Snapshot) -> None:
        assert platform.call("datasets.compact", {"name": "people"}) == people

    def test_compaction_is_proposed_when_a_fifth_of_the_rows_is_deleted(
        self, platform: Platform, people: Snapshot, change: Change
    ) -> None:
        change("append", table(EVA))
        assert platform.call("audit.entries", {"kind": "datasets.compaction"}) == []
        change("delete_rows", table(ADA), keys=["id"])
        (entry,) = platform.call("audit.entries", {"kind": "datasets.compaction"})
        assert (entry.event["deleted"], entry.event["rows"]) == (1, 4)


class TestSchema:
    def test_it_tells_in_which_version_columns_came_and_changed(
        self, platform: Platform, people: Snapshot, change: Change
    ) -> None:
        change("append", table(EVA | {"age": 40}))
        change("append", table(EVA | {"age": 40}))
        change("append", table(EVA | {"age": 40.5}))
        found = platform.call("datasets.schema", {"name": "people"})
        assert [(each.version, each.added, each.changed) for each in found.history] == [
            (4, (), (("age", "int64", "float64"),)),
            (2, ("age",), ()),
            (1, ("id", "name"), ()),
        ]
        assert found.columns[-1].type == "float64"

    def test_of_an_older_version_only_what_led_to_it(
        self, platform: Platform, people: Snapshot, change: Change
    ) -> None:
        change("append", table(EVA | {"age": 40}))
        found = platform.call("datasets.schema", {"name": "people", "at": 1})
        assert [each.version for each in found.history] == [1]


class TestBesideOthers:
    def test_a_branch_changes_alone(self, platform: Platform, people: Snapshot, change: Change, rows: Rows) -> None:
        platform.call("datasets.branch", {"name": "people", "branch": "try"})
        assert rows(change("append", table(EVA), branch="try"))[-1] == EVA
        assert platform.call("datasets.get", {"name": "people"}) == people

    def test_of_many_writers_at_once_each_gets_its_rows_in(
        self, platform: Platform, people: Snapshot, change: Change, rows: Rows
    ) -> None:
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda key: change("append", table({"id": key, "name": "x"})), range(10, 14)))
        newest = platform.call("datasets.get", {"name": "people"})
        assert sorted(row["id"] for row in rows(newest)) == [1, 2, 3, 10, 11, 12, 13]
        assert newest.version == 5

    def test_what_a_table_without_a_value_of_a_wider_type_cannot_hold_is_refused(self, change: Change) -> None:
        change("commit", table({"id": 2**60 + 1}))
        with pytest.raises(InvalidInput, match="do not fit together"):
            change("append", table({"id": 0.5}))
