"""Tests of dbt: modelled on the shop that dbt is shown with, each kind of test and each way to say it."""

from __future__ import annotations

import json

import pyarrow as pa
import pytest

from everloop.catalog.session import Session
from everloop.datasets.quality.expectations import (
    DistinctInRange,
    Expectation,
    Freshness,
    HasColumns,
    InRange,
    Length,
    NoRows,
    NotNull,
    OneOf,
    References,
    Unique,
)
from everloop.datasets.quality.importers.dbt import read
from everloop.datasets.quality.importers.taken import Taken
from everloop.datasets.quality.service import examine
from everloop.kernel.errors import InvalidInput
from everloop.kernel.usecase import Json

BAKERY = """
# Modelled on the marts and sources of dbt's own example shop.
version: 2
models:
  - name: baskets
    description: One row per basket.
    config: {contract: {enforced: true}}
    data_tests:
      - dbt_utils.expression_is_true: {arguments: {expression: "lines_subtotal = subtotal"}}
      - dbt_utils.expression_is_true: {arguments: {expression: "total = subtotal + tax"}}
    columns:
      - name: basket_id
        description: The key.
        data_type: int
        data_tests: [not_null, unique]
      - name: customer_id
        data_tests:
          - relationships: {arguments: {to: ref('stg_customers'), field: customer_id}}
      - name: status
        tests:
          - accepted_values: {values: [placed, shipped, returned]}
      - name: total
        description: In euros.
unit_tests:
  - {name: totals_add_up, model: baskets, given: [], expect: {rows: []}}
sources:
  - name: till
    schema: raw
    loaded_at_field: loaded_at
    freshness: {warn_after: {count: 6, period: hour}, error_after: {count: 1, period: day}}
    tables:
      - name: raw_baskets
      - {name: raw_lines, loaded_at_field: baked_at}
      - {name: raw_shops, freshness: null}
"""


def model(*tests: Json, **fields: Json) -> Taken:
    """What is taken of a model with one column that has some tests."""
    held: Json = {"models": [{"name": "rows", "columns": [{"name": "x", "data_tests": list(tests), **fields}]}]}
    return read(json.dumps(held), "rows")


def of_column(*tests: Json, **fields: Json) -> tuple[Expectation, ...]:
    """What tests of a column come to beside that it is there."""
    return tuple(one for one in model(*tests, **fields).expectations if not isinstance(one, HasColumns))


def of_table(*tests: Json, **fields: Json) -> Taken:
    """What is taken of a model with tests of its own."""
    return read(json.dumps({"models": [{"name": "rows", "data_tests": list(tests), **fields}]}), "rows")


class TestThePublishedExamples:
    def test_a_mart_is_taken(self) -> None:
        assert read(BAKERY, "baskets").expectations == (
            NotNull("basket_id"),
            Unique(("basket_id",)),
            HasColumns(("basket_id",)),
            References(("customer_id",), "stg_customers", ("customer_id",)),
            HasColumns(("customer_id",)),
            OneOf("status", ("placed", "shipped", "returned")),
            HasColumns(("status",)),
            NoRows('SELECT * FROM "baskets" WHERE NOT (lines_subtotal = subtotal)'),
            NoRows('SELECT * FROM "baskets" WHERE NOT (total = subtotal + tax)'),
        )

    def test_its_expressions_judge_rows_as_they_do_there(self, session: Session) -> None:
        asked = tuple(one for one in read(BAKERY, "baskets").expectations if isinstance(one, NoRows))
        rows = {"lines_subtotal": [1, 2, None], "subtotal": [1, 3, 5], "tax": [0, 0, 0], "total": [1, 3, 5]}
        assert [one.failures for one in examine(session, "baskets", pa.table(rows), asked)] == [1, 0]

    def test_types_of_an_enforced_contract_are_listed(self) -> None:
        assert [one.what for one in read(BAKERY, "baskets").not_taken] == ["data_type of basket_id"]

    @pytest.mark.parametrize(
        ("table", "column"), [("raw_baskets", "loaded_at"), ("raw_lines", "baked_at")], ids=["inherited", "own"]
    )
    def test_a_table_of_a_source_is_as_fresh_as_its_source_says(self, table: str, column: str) -> None:
        assert read(BAKERY, table).expectations == (Freshness(column, "1d"), Freshness(column, "6h", "warning"))

    def test_a_table_may_say_that_it_need_not_be_fresh(self) -> None:
        assert read(BAKERY, "raw_shops") == Taken(())

    @pytest.mark.parametrize("kind", ["models", "seeds", "snapshots"])
    def test_seeds_and_snapshots_are_tables_too(self, kind: str) -> None:
        text = f"{kind}: [{{name: t, columns: [{{name: a, tests: [not_null]}}]}}]"
        assert NotNull("a") in read(text, "anything").expectations

    @pytest.mark.parametrize("text", ["version: 2", "models: []", "models: [5]", "sources: [{name: a}]", "macros: [x]"])
    def test_a_file_without_tables_is_refused(self, text: str) -> None:
        with pytest.raises(InvalidInput, match="no models, sources, seeds or snapshots"):
            read(text, "rows")


class TestHowATestIsSaid:
    @pytest.mark.parametrize(
        "test",
        [
            {"accepted_values": {"values": ["a"]}},
            {"accepted_values": {"arguments": {"values": ["a"]}}},
            {"accepted_values": {"values": ["a"], "quote": False, "name": "mine"}},
            {"name": "mine", "test_name": "accepted_values", "values": ["a"]},
            {"name": "mine", "accepted_values": {"values": ["a"]}},
            {"dbt.accepted_values": {"values": ["a", None]}},
            {"accepted_values": {"values": "a"}},
        ],
    )
    def test_one_meaning_has_many_spellings(self, test: Json) -> None:
        assert of_column(test) == (OneOf("x", ("a",)),)

    @pytest.mark.parametrize(
        ("test", "severity"),
        [
            ({"not_null": {"severity": "warn"}}, "warning"),
            ({"not_null": {"config": {"severity": "WARN"}}}, "warning"),
            ({"not_null": {"config": {"severity": "error"}}}, "error"),
            ({"not_null": {}}, "error"),
        ],
    )
    def test_a_test_that_warns_is_a_warning(self, test: Json, severity: str) -> None:
        (made,) = of_column(test)
        assert made.severity == severity

    @pytest.mark.parametrize("limit", ["where", "error_if", "warn_if", "fail_calc", "limit"])
    @pytest.mark.parametrize("nested", [True, False])
    def test_a_test_with_a_limit_is_listed(self, limit: str, nested: bool) -> None:
        (left,) = model({"not_null": {"config": {limit: "x"}} if nested else {limit: "x"}}).not_taken
        assert (left.what, left.reason.partition(" ")[0]) == ("not_null of x", limit)

    def test_what_only_jinja_knows_is_listed(self) -> None:
        (left,) = model({"accepted_values": {"values": "{{ var('states') }}"}}).not_taken
        assert left.reason == "Jinja is not rendered here"

    def test_tests_stand_below_either_name(self) -> None:
        text = "models: [{name: m, columns: [{name: a, tests: [not_null], data_tests: [unique]}]}]"
        assert read(text, "m").expectations == (NotNull("a"), Unique(("a",)), HasColumns(("a",)))

    @pytest.mark.parametrize(
        "test", ["my_own", {"my_own": {"a": 1}}, {"elementary.volume_anomalies": {}}, {"name": "x"}]
    )
    def test_tests_that_are_not_known_are_listed(self, test: Json) -> None:
        (left,) = model(test).not_taken
        assert left.reason.endswith("has no equal here; say it as no_rows with SQL")

    def test_those_of_dbt_expectations_are_those_of_great_expectations(self) -> None:
        test = {"dbt_expectations.expect_column_values_to_be_between": {"min_value": 0, "strictly": False}}
        assert of_column(test) == (InRange("x", 0),)


class TestRelationships:
    @pytest.mark.parametrize(
        "to",
        [
            *("ref('planes')", 'ref("planes")', "ref( 'air', 'planes' )", "source('raw', 'planes')"),
            *("{{ ref('planes') }}", "planes"),
        ],
    )
    def test_name_a_model_or_a_source(self, to: str) -> None:
        found = of_column({"relationships": {"to": to, "field": "tailnum"}})
        assert found == (References(("x",), "planes", ("tailnum",)),)

    @pytest.mark.parametrize("to", ["ref('planes', v=2)", "ref(name)", "var('planes')"])
    def test_to_what_is_not_known_here_are_listed(self, to: str) -> None:
        (left,) = model({"relationships": {"to": to, "field": "tailnum"}}).not_taken
        assert left.reason == f"{to} names no dataset that is known here"

    def test_without_a_field_are_listed(self) -> None:
        assert "KeyError" in model({"relationships": {"to": "planes"}}).not_taken[0].reason


class TestUnique:
    @pytest.mark.parametrize(
        "fields",
        [{"tests": ["not_null"]}, {"constraints": [{"type": "not_null"}]}, {"constraints": [{"type": "primary_key"}]}],
    )
    def test_where_nothing_is_missing_it_is_a_key(self, fields: dict[str, Json]) -> None:
        assert Unique(("x",)) in of_column("unique", **fields)

    def test_elsewhere_missing_values_are_no_twins(self, session: Session) -> None:
        (asked,) = of_column("unique")
        tables = [pa.table({"x": pa.array(rows, pa.int64())}) for rows in ([1, None, None], [1, 1, None])]
        assert [examine(session, "rows", table, [asked])[0].passed for table in tables] == [True, False]


class TestDbtUtils:
    @pytest.mark.parametrize(
        ("kind", "given", "made"),
        [
            ("accepted_range", {"min_value": 0}, InRange("x", 0)),
            ("accepted_range", {"min_value": 0, "max_value": 9, "inclusive": True}, InRange("x", 0, 9)),
            ("accepted_range", {"max_value": 9, "inclusive": False}, InRange("x", None, 9, strict_maximum=True)),
            ("not_null_proportion", {"at_least": 0.95}, NotNull("x", 0.95)),
            ("not_null_proportion", {"at_least": 0.95, "at_most": 1.0}, NotNull("x", 0.95)),
            ("not_empty_string", {}, Length("x", 1)),
            ("not_constant", {}, DistinctInRange("x", 2)),
            ("at_least_one", {}, DistinctInRange("x", 1)),
            ("expression_is_true", {"expression": "> 0"}, NoRows('SELECT * FROM "rows" WHERE NOT ("x" > 0)')),
        ],
    )
    def test_its_basics_are_known(self, kind: str, given: dict[str, Json], made: Expectation) -> None:
        assert of_column({f"dbt_utils.{kind}": given}) == (made,)

    @pytest.mark.parametrize(
        ("kind", "given", "reason"),
        [
            ("accepted_range", {}, "it names no end"),
            ("accepted_range", {"min_value": "(select 1)"}, "ends that are SQL have no equal here"),
            ("not_null_proportion", {"at_least": 0.5, "at_most": 0.9}, "a highest share"),
            ("not_null_proportion", {}, "it is not as it should be (KeyError"),
            ("equal_rowcount", {"compare_model": "ref('x')"}, "dbt_utils.equal_rowcount has no equal here"),
        ],
    )
    def test_what_it_can_say_beyond_that_is_listed(self, kind: str, given: dict[str, Json], reason: str) -> None:
        (left,) = model({f"dbt_utils.{kind}": given}).not_taken
        assert left.reason.startswith(reason)

    def test_a_table_has_tests_that_name_their_column(self) -> None:
        test = {"dbt_utils.accepted_range": {"column_name": "y", "min_value": 0}}
        assert of_table(test).expectations == (InRange("y", 0),)
        assert of_table("not_null").not_taken[0].reason == "it names no column"

    @pytest.mark.parametrize(
        ("part", "interval", "within"),
        [("day", 1, "1d"), ("hour", 12, "12h"), ("minute", 5.0, "5m"), ("week", 2, "2w")],
    )
    def test_the_newest_row_is_recent(self, part: str, interval: Json, within: str) -> None:
        test = {"dbt_utils.recency": {"datepart": part, "field": "at", "interval": interval}}
        assert of_table(test).expectations == (Freshness("at", within),)

    @pytest.mark.parametrize(("part", "interval"), [("month", 1), ("day", 1.5), ("day", "two")])
    def test_spans_without_an_equal_are_listed(self, part: str, interval: Json) -> None:
        test = {"dbt_utils.recency": {"datepart": part, "field": "at", "interval": interval}}
        assert [one.what for one in of_table(test).not_taken] == ["dbt_utils.recency"]


class TestConstraints:
    @pytest.mark.parametrize(
        ("constraint", "made"),
        [
            ({"type": "not_null"}, (NotNull("x"),)),
            ({"type": "primary_key"}, (NotNull("x"), Unique(("x",)))),
            ({"type": "check", "expression": "x > 0"}, (NoRows('SELECT * FROM "rows" WHERE NOT (x > 0)'),)),
        ],
    )
    def test_of_a_column_are_expectations(self, constraint: Json, made: tuple[Expectation, ...]) -> None:
        assert of_column(constraints=[constraint]) == made

    def test_of_a_table_name_its_columns(self) -> None:
        held = [{"type": "primary_key", "columns": ["a", "b"]}]
        assert of_table(constraints=held).expectations == (NotNull("a"), NotNull("b"), Unique(("a", "b")))

    def test_unique_ones_let_values_miss(self, session: Session) -> None:
        (asked,) = of_table(constraints=[{"type": "unique", "columns": ["a", "b"]}]).expectations
        table = pa.table({"a": [1, 1, 1, 1], "b": [2, None, None, 2]})
        assert examine(session, "rows", table, [asked])[0].failures == 1

    @pytest.mark.parametrize(
        "constraint", [{"type": "foreign_key"}, {"type": "custom"}, {}, "not_null", {"type": "check"}]
    )
    def test_others_are_listed(self, constraint: Json) -> None:
        assert len(model(constraints=[constraint]).not_taken) == 1

    def test_of_a_table_that_name_no_column_are_listed(self) -> None:
        assert len(of_table(constraints=[{"type": "not_null"}]).not_taken) == 1


class TestFreshness:
    def source(self, **fields: Json) -> Taken:
        return read(json.dumps({"sources": [{"name": "s", "tables": [{"name": "rows"}], **fields}]}), "rows")

    def test_may_stand_below_config(self) -> None:
        held: Json = {"loaded_at_field": "at", "freshness": {"error_after": {"count": 2, "period": "day"}}}
        assert self.source(config=held).expectations == (Freshness("at", "2d"),)
        table: Json = {"name": "rows", "config": held}
        assert read(json.dumps({"sources": [{"tables": [table]}]}), "rows").expectations == (Freshness("at", "2d"),)

    @pytest.mark.parametrize(
        "fields",
        [
            {"freshness": {"error_after": {"count": 1, "period": "day"}}},
            {"loaded_at_field": "at", "freshness": {"error_after": {"count": 1, "period": "day"}, "filter": "x"}},
            {"loaded_at_field": "at", "freshness": {"error_after": {"count": 1, "period": "month"}}},
            {"loaded_at_field": "at", "freshness": {"error_after": {"count": 1}}},
            {"loaded_at_field": "at", "freshness": {"error_after": "1d"}},
        ],
    )
    def test_that_cannot_be_judged_is_listed(self, fields: dict[str, Json]) -> None:
        taken = self.source(**fields)
        assert taken.expectations == ()
        assert [one.what for one in taken.not_taken] == ["freshness error_after"]
