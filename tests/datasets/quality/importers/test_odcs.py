"""Data contracts: modelled on the examples that the standard is published with, each rule and each way to miss it."""

from __future__ import annotations

import json

import pyarrow as pa
import pytest

from everloop.catalog.session import Session
from everloop.datasets.quality.expectations import (
    Expectation,
    Freshness,
    HasColumns,
    HasTypes,
    InRange,
    Length,
    Matches,
    MeanInRange,
    NotNull,
    NotOneOf,
    OneOf,
    References,
    RowCount,
    Unique,
)
from everloop.datasets.quality.importers.odcs import read
from everloop.datasets.quality.importers.taken import Taken
from everloop.datasets.quality.service import examine
from everloop.kernel.errors import InvalidInput
from everloop.kernel.usecase import Json

PAYMENTS = """
# Modelled on the standard's full example.
domain: harbour
version: 1.1.0
status: active
kind: DataContract
apiVersion: v3.1.0
servers: [{server: db, type: postgres, host: localhost, port: 5432}]
schema:
  - name: berths
    physicalType: table
    tags: [harbour]
    relationships:
      - type: foreignKey
        from: [berths.ship, berths.flag]
        to: [ships.id, ships.flag]
        customProperties: [{property: cardinality, value: many-to-one}]
    properties:
      - name: day
        physicalName: bth_dt
        primaryKey: false
        primaryKeyPosition: -1
        logicalType: date
        physicalType: date
        required: false
        examples: ["2022-10-03"]
      - name: ship
        primaryKey: true
        primaryKeyPosition: 1
        logicalType: string
        physicalType: varchar(18)
        relationships: [{to: ships.id, type: foreignKey}]
      - name: flag
        primaryKey: false
        logicalType: string
        quality:
          - {metric: nullValues, mustBe: 0, type: library, dimension: completeness, severity: error}
    quality:
      - {metric: rowCount, mustBeGreaterThan: 1000000, type: library, severity: error, schedule: 0 20 * * *}
  - name: ships
    properties:
      - {name: id, primaryKey: true, primaryKeyPosition: 1, logicalType: string, required: true, unique: true}
      - {name: flag, primaryKey: true, primaryKeyPosition: 2, logicalType: string, required: true}
slaDefaultElement: berths.day
slaProperties:
  - {property: latency, value: 4, unit: d, element: berths.day}
  - {property: generalAvailability, value: "2022-05-12T09:30:10-08:00"}
  - {property: retention, value: 3, unit: y, element: berths.day}
  - {property: frequency, value: 1, valueExt: 1, unit: d, element: berths.day}
  - {property: timeOfAvailability, value: 09:00-08:00, element: berths.day, driver: regulatory}
"""


def contract(**table: Json) -> Taken:
    """What is taken of a contract with one table."""
    return read(json.dumps({"apiVersion": "v3.1.0", "schema": [{"name": "flights", **table}]}), "flights")


def of_property(**fields: Json) -> tuple[Expectation, ...]:
    """What is expected of a property beside that it is there."""
    return contract(properties=[{"name": "x", **fields}]).expectations[1:]


def of_rule(**rule: Json) -> tuple[Expectation, ...]:
    """What a rule of a property comes to."""
    return of_property(quality=[rule])


def why_not(**rule: Json) -> str:
    """Why a rule of a property is not taken."""
    (left,) = contract(properties=[{"name": "x", "quality": [rule]}]).not_taken
    return left.reason


class TestThePublishedExamples:
    def test_of_a_table_everything_that_rows_can_show_is_taken(self) -> None:
        wanted = [
            *(HasColumns((name,)) for name in ("day", "ship", "flag")),
            HasTypes({"ship": "string"}),
            HasTypes({"flag": "string"}),
            *(NotNull("ship"), NotNull("flag"), Unique(("ship",)), RowCount(1_000_001)),
            References(("ship",), "ships", ("id",)),
            References(("ship", "flag"), "ships", ("id", "flag")),
            Freshness("day", "4d"),
        ]
        assert sorted(map(repr, read(PAYMENTS, "berths").expectations)) == sorted(map(repr, wanted))

    def test_of_the_other_table_that_one(self) -> None:
        taken = read(PAYMENTS, "ships").expectations
        assert Unique(("id", "flag")) in taken
        assert Unique(("id",)) in taken
        assert not any(isinstance(one, Freshness | RowCount) for one in taken)

    def test_what_rows_cannot_show_is_listed(self) -> None:
        left = {one.what for one in read(PAYMENTS, "berths").not_taken}
        assert left == {"type of day", "sla frequency"}

    def test_another_name_at_the_server_is_noted(self) -> None:
        (note,) = read(PAYMENTS, "berths").notes
        assert note.startswith("Property day is called bth_dt where it is kept")

    def test_values_with_labels_are_a_set(self) -> None:
        listed = [{"value": "moored", "label": "Moored"}, {"value": "gone", "tags": ["terminal"]}, "adrift"]
        assert of_property(enum=listed) == (OneOf("x", ("moored", "gone", "adrift")),)
        assert of_property(enum=[{"value": 1}, {"value": 2}, {"value": None}]) == (OneOf("x", (1, 2)),)

    def test_a_share_of_invalid_values_may_be(self) -> None:
        valid = {"validValues": ["", None, "n/a"]}
        taken = of_rule(metric="invalidValues", mustBeLessOrEqualTo=5, unit="percent", arguments=valid)
        assert taken == (OneOf("x", ("", "n/a"), 0.95),)

    def test_an_old_rule_and_the_words_of_another_engine_are_listed(self) -> None:
        assert why_not(type="library", rule="between") == "the metric between has no equal here"
        assert why_not(type="custom", engine="soda", implementation="type: x") == "checks of soda are not read"

    def test_a_contract_without_tables_is_refused(self) -> None:
        with pytest.raises(InvalidInput, match="no table 'flights'") as refused:
            read("apiVersion: v3.0.2\nschema: []", "flights")
        assert refused.value.hint == "It has none."

    def test_a_table_of_another_name_is_taken_when_it_is_the_only_one(self) -> None:
        assert (
            HasColumns(("a",))
            in read("apiVersion: v3.0.0\nschema: [{name: t, properties: [{name: a}]}]", "f").expectations
        )
        with pytest.raises(InvalidInput, match="no table 'trains'"):
            read(PAYMENTS, "trains")

    def test_objects_in_objects_are_columns_with_a_type_that_is_open(self) -> None:
        taken = contract(properties=[{"name": "lines", "logicalType": "array", "items": {"logicalType": "string"}}])
        assert taken.expectations == (HasColumns(("lines",)),)
        assert [one.what for one in taken.not_taken] == ["type of lines"]


class TestProperties:
    @pytest.mark.parametrize(
        ("fields", "type_name"),
        [
            ({"logicalType": "string", "physicalType": "varchar(36)"}, "string"),
            ({"logicalType": "boolean"}, "bool"),
            ({"logicalType": "integer", "physicalType": "BIGINT"}, "int64"),
            ({"logicalType": "number", "physicalType": "int"}, "int32"),
            ({"physicalType": "double precision"}, "float64"),
            ({"physicalType": "real"}, "float32"),
        ],
    )
    def test_a_type_that_is_one_of_arrows_is_expected(self, fields: dict[str, Json], type_name: str) -> None:
        assert of_property(**fields) == (HasTypes({"x": type_name}),)

    @pytest.mark.parametrize(
        "fields", [{"logicalType": "date"}, {"logicalType": "number"}, {"physicalType": "numeric(9,2)"}]
    )
    def test_a_type_that_leaves_the_width_open_is_listed(self, fields: dict[str, Json]) -> None:
        (left,) = contract(properties=[{"name": "x", **fields}]).not_taken
        assert left.reason == f"{next(iter(fields.values()))} is not one type of Arrow's; say it with has_types"

    @pytest.mark.parametrize(
        ("option", "value", "made"),
        [
            ("minimum", 1, InRange("x", 1)),
            ("maximum", 1.5, InRange("x", None, 1.5)),
            ("exclusiveMinimum", 0, InRange("x", 0, strict_minimum=True)),
            ("exclusiveMaximum", 9, InRange("x", None, 9, strict_maximum=True)),
            ("minLength", 2, Length("x", 2)),
            ("maxLength", 3, Length("x", 0, 3)),
            ("minimum", "2020-01-01", InRange("x", "2020-01-01")),
        ],
    )
    def test_an_option_of_a_type_is_a_bound(self, option: str, value: Json, made: Expectation) -> None:
        assert of_property(logicalTypeOptions={option: value}) == (made,)

    @pytest.mark.parametrize(
        ("option", "value"),
        [
            ("multipleOf", 5),
            ("format", "email"),
            ("exclusiveMinimum", True),
            ("minLength", "two"),
            ("pattern", "(?=a)"),
        ],
    )
    def test_an_option_without_an_equal_is_listed(self, option: str, value: Json) -> None:
        taken = contract(properties=[{"name": "x", "logicalTypeOptions": {option: value}}])
        assert [one.what for one in taken.not_taken] == [f"{option} of x"]
        assert taken.expectations == (HasColumns(("x",)),)

    def test_keys_are_in_the_order_of_their_positions(self) -> None:
        keys = [
            {"name": name, "primaryKey": True, "primaryKeyPosition": n} for name, n in (("a", 3), ("b", 1), ("c", 2))
        ]
        assert contract(properties=keys).expectations[-1] == Unique(("b", "c", "a"))

    def test_what_has_no_name_is_left_alone(self) -> None:
        assert contract(properties=[{"logicalType": "string"}, "x", None]).expectations == ()


class TestRules:
    @pytest.mark.parametrize(
        ("bound", "low", "high"),
        [
            ({"mustBe": 5}, 5, 5),
            ({"mustBeGreaterThan": 5}, 6, None),
            ({"mustBeGreaterThan": 5.5}, 6, None),
            ({"mustBeGreaterOrEqualTo": 5}, 5, None),
            ({"mustBeGreaterThanOrEqualTo": 5}, 5, None),
            ({"mustBeLessThan": 5}, 0, 4),
            ({"mustBeLessThan": 4.5}, 0, 4),
            ({"mustBeLessOrEqualTo": 5}, 0, 5),
            ({"mustBeLessThanOrEqualTo": 5}, 0, 5),
            ({"mustBeBetween": [5, 9]}, 5, 9),
            ({"mustBeGreaterThan": 5, "mustBeLessThan": 9}, 6, 8),
        ],
    )
    def test_a_count_is_bounded_by_what_it_must_be(self, bound: dict[str, Json], low: int, high: int | None) -> None:
        assert contract(quality=[{"metric": "rowCount", **bound}]).expectations == (RowCount(low, high),)

    @pytest.mark.parametrize(
        ("bound", "reason"),
        [
            ({}, "it compares with nothing"),
            ({"mustNotBe": 5}, "mustNotBe has no equal here"),
            ({"mustNotBeBetween": [1, 2]}, "mustNotBeBetween has no equal here"),
            ({"mustBeBetween": 5}, "it is not as it should be"),
            ({"mustBe": "many"}, "it is not as it should be"),
        ],
    )
    def test_other_bounds_are_listed(self, bound: dict[str, Json], reason: str) -> None:
        (left,) = contract(quality=[{"metric": "rowCount", **bound}]).not_taken
        assert left.reason.startswith(reason)

    @pytest.mark.parametrize(
        ("rule", "made"),
        [
            ({"metric": "nullValues", "mustBe": 0}, NotNull("x")),
            ({"rule": "nullCheck", "mustBe": 0}, NotNull("x")),
            ({"metric": "nullValues", "mustBeLessThan": 1}, NotNull("x")),
            ({"metric": "nullValues", "mustBeLessOrEqualTo": 10, "unit": "percent"}, NotNull("x", 0.9)),
            ({"metric": "missingValues", "mustBe": 0}, NotNull("x")),
            ({"metric": "duplicateValues", "mustBe": 0}, Unique(("x",))),
            ({"rule": "uniqueCheck", "mustBeLessThan": 1}, Unique(("x",))),
            ({"rule": "validValues", "validValues": ["a"], "mustBe": 0}, OneOf("x", ("a",))),
            ({"metric": "invalidValues", "mustBe": 0, "arguments": {"validValues": "a"}}, OneOf("x", ("a",))),
        ],
    )
    def test_a_metric_of_a_property_is_an_expectation(self, rule: dict[str, Json], made: Expectation) -> None:
        assert of_rule(**rule) == (made,)

    @pytest.mark.parametrize("severity", ["warning", "WARN", "info", "low", "minor"])
    def test_a_mild_severity_is_a_warning(self, severity: str) -> None:
        assert of_rule(metric="nullValues", mustBe=0, severity=severity) == (NotNull("x", severity="warning"),)

    def test_values_that_mean_missing_are_no_values(self) -> None:
        both = {"missingValues": [None, "", "N/A"]}
        assert of_rule(metric="missingValues", mustBe=0, arguments=both) == (NotNull("x"), NotOneOf("x", ("", "N/A")))
        texts = {"missingValues": ["N/A"]}
        assert of_rule(metric="missingValues", mustBe=0, arguments=texts) == (NotOneOf("x", ("N/A",)),)

    def test_a_pattern_makes_values_valid(self, session: Session) -> None:
        taken = of_rule(
            metric="invalidValues", mustBe=0, arguments={"pattern": "^[A-Z]{3}$", "validValues": ["EWR", "no"]}
        )
        assert [type(one) for one in taken] == [OneOf, Matches]
        found = examine(session, "flights", pa.table({"x": ["EWR", "no"]}), taken)
        assert [result.failures for result in found] == [0, 1]

    @pytest.mark.parametrize(
        ("rule", "reason"),
        [
            ({"metric": "nullValues", "mustBeLessThan": 10}, "a number of rows that may fail has no equal here"),
            ({"metric": "nullValues", "mustBeGreaterThan": 10}, "a number of rows that may fail has no equal here"),
            ({"metric": "nullValues", "mustBeLessThan": 5, "unit": "percent"}, "mustBeLessThan of a share"),
            ({"metric": "invalidValues", "mustBe": 0}, "it names no valid values and no pattern"),
            ({"metric": "duplicateValues", "mustBeLessThan": 5, "unit": "percent"}, "mustBeLessThan of a share"),
            ({"metric": "duplicateValues", "mustBeLessOrEqualTo": 5, "unit": "percent"}, "it allows duplicates"),
            ({"metric": "entropy", "mustBe": 0}, "the metric entropy has no equal here"),
            ({}, "the metric without a name has no equal here"),
            ({"type": "text", "description": "good"}, "words are no check"),
            ({"type": "sql", "query": "SELECT 1"}, "SQL that gives a figure has no equal here"),
            ({"type": "custom", "engine": "monteCarlo"}, "checks of monteCarlo are not read"),
        ],
    )
    def test_a_rule_without_an_equal_is_listed_with_the_reason(self, rule: dict[str, Json], reason: str) -> None:
        assert why_not(**rule).startswith(reason)

    @pytest.mark.parametrize(
        "rule",
        [
            {"metric": "missingValues", "arguments": {"missingValues": [""]}},
            {"metric": "invalidValues", "arguments": {"validValues": ["a"], "pattern": "a"}},
        ],
    )
    def test_a_share_of_two_ways_to_fail_has_no_equal(self, rule: dict[str, Json]) -> None:
        assert "a share of several ways" in why_not(**rule, mustBeLessOrEqualTo=5, unit="percent")

    def test_duplicates_of_several_properties_are_looked_for_at_the_table(self) -> None:
        rule: dict[str, Json] = {"metric": "duplicateValues", "mustBe": 0, "arguments": {"properties": ["a", "b"]}}
        assert contract(quality=[rule]).expectations == (Unique(("a", "b")),)
        (left,) = contract(quality=[{"metric": "duplicateValues", "mustBe": 0}]).not_taken
        assert left.reason == "it allows duplicates, or names no properties"


class TestTheWordsOfGreatExpectations:
    def rule(self, implementation: Json) -> Taken:
        rule: dict[str, Json] = {"type": "custom", "engine": "great_expectations", "implementation": implementation}
        return contract(properties=[{"name": "x", "quality": [rule]}])

    @pytest.mark.parametrize(
        "implementation",
        [
            {"type": "expect_column_mean_to_be_between", "kwargs": {"minValue": 0, "maxValue": 5}},
            {"expectation_type": "expect_column_mean_to_be_between", "kwargs": {"min_value": 0, "max_value": 5}},
            "type: expect_column_mean_to_be_between\nkwargs: {minValue: 0, maxValue: 5}",
        ],
    )
    def test_are_read_however_they_are_written(self, implementation: Json) -> None:
        assert self.rule(implementation).expectations[1:] == (MeanInRange("x", 0, 5),)

    @pytest.mark.parametrize(
        ("implementation", "reason"),
        [("[", "this is not YAML"), ("words", "is not a mapping"), (5, "is not a mapping"), ({}, "has no equal here")],
    )
    def test_are_listed_where_they_are_none(self, implementation: Json, reason: str) -> None:
        (left,) = self.rule(implementation).not_taken
        assert reason in left.reason


class TestRelations:
    def relation(self, **fields: Json) -> Taken:
        return contract(relationships=[fields])

    @pytest.mark.parametrize(
        ("to", "made"),
        [
            ("planes.tailnum", References(("a",), "planes", ("tailnum",))),
            (["planes.tailnum"], References(("a",), "planes", ("tailnum",))),
            ("db.planes.tailnum", References(("a",), "planes", ("tailnum",))),
        ],
    )
    def test_name_the_columns_of_another_table(self, to: Json, made: Expectation) -> None:
        assert self.relation(**{"from": "flights.a", "to": to}).expectations == (made,)

    @pytest.mark.parametrize("to", [["planes.a", "ships.b"], "tailnum", "schema/planes_id/properties/a", []])
    def test_that_name_no_one_table_are_listed(self, to: Json) -> None:
        (left,) = self.relation(**{"from": "flights.a", "to": to}).not_taken
        assert "does not name columns of one table" in left.reason

    def test_without_an_end_are_listed(self) -> None:
        assert "KeyError" in self.relation(**{"from": "flights.a"}).not_taken[0].reason


class TestPromises:
    def promised(self, **promise: Json) -> Taken:
        held = {"apiVersion": "v3.1.0", "schema": [{"name": "flights"}], "slaProperties": [promise]}
        return read(json.dumps(held), "flights")

    @pytest.mark.parametrize(
        ("unit", "within"),
        [("d", "4d"), ("days", "4d"), ("h", "4h"), ("hour", "4h"), ("minutes", "4m"), ("weeks", "4w")],
    )
    def test_latency_is_how_old_the_newest_row_may_be(self, unit: str, within: str) -> None:
        for name in ("latency", "ly", "freshness"):
            taken = self.promised(property=name, value=4, unit=unit, element="flights.at")
            assert taken.expectations == (Freshness("at", within),)

    @pytest.mark.parametrize(
        ("promise", "reason"),
        [
            ({"property": "latency", "value": 1, "unit": "y", "element": "flights.at"}, "a span in y has no equal"),
            ({"property": "latency", "value": 1, "element": "flights.at"}, "a span in no unit has no equal"),
            ({"property": "latency", "value": 1, "unit": "d", "element": "trains.at"}, "it is of trains.at"),
            ({"property": "frequency", "value": 1, "unit": "d", "element": "flights.at"}, "it is of flights.at"),
        ],
    )
    def test_others_that_speak_of_time_are_listed(self, promise: dict[str, Json], reason: str) -> None:
        (left,) = self.promised(**promise).not_taken
        assert left.reason.startswith(reason)

    @pytest.mark.parametrize("name", ["retention", "generalAvailability", "endOfLife"])
    def test_those_of_the_service_are_none_of_the_rows(self, name: str) -> None:
        taken = self.promised(property=name, value=3, unit="y", element="flights.at")
        assert taken == Taken(())
