"""Suites of other tools mean here what they mean there, and what has no equal is listed."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pandas as pd
import pandera.pandas as pandera
import pyarrow as pa
import pyarrow.csv as csv
import pytest

from everloop.catalog.session import Session
from everloop.datasets.formats import normalised
from everloop.datasets.quality.expectations import (
    Expectation,
    Freshness,
    HasColumns,
    InRange,
    Length,
    Matches,
    NoRows,
    NotNull,
    OneOf,
    References,
    RowCount,
    Unique,
)
from everloop.datasets.quality.importers import READERS, WRITERS
from everloop.datasets.quality.importers.taken import Taken
from everloop.datasets.quality.service import examine
from everloop.kernel.errors import InvalidInput

FIXTURE = json.loads((Path(__file__).parent / "foreign" / "great_expectations.json").read_text())
"""A suite of Great Expectations 1.24.1, the data it was validated on there, and the verdict on each expectation."""
UNTRANSLATABLE = {
    "expect_column_kl_divergence_to_be_less_than",
    "expect_column_value_z_scores_to_be_less_than",
}
CASES = list(zip(FIXTURE["suite"]["expectations"], FIXTURE["verdicts"], strict=True))


def passes(session: Session, table: pa.Table, expectations: tuple[Expectation, ...]) -> bool:
    return all(result.passed for result in examine(session, "flights", table, expectations))


def ge(*expectations: dict[str, Any], dataset: str = "flights") -> Taken:
    return READERS["great_expectations"](json.dumps({"expectations": list(expectations)}), dataset)


class TestGreatExpectations:
    @pytest.fixture
    def flights(self) -> pa.Table:
        options = csv.ConvertOptions(strings_can_be_null=True, null_values=[""])
        return csv.read_csv(io.BytesIO(FIXTURE["csv"].encode()), convert_options=options)

    def test_each_expectation_has_the_verdict_that_it_has_there(self, session: Session, flights: pa.Table) -> None:
        different = [
            (one, verdict)
            for one, verdict in CASES
            if not (taken := ge(one)).not_taken and passes(session, flights, taken.expectations) is not verdict
        ]
        assert different == []

    def test_what_has_no_equal_is_listed_with_the_reason(self) -> None:
        left = [(one, ge(one).not_taken) for one, _ in CASES if ge(one).not_taken]
        assert {one["type"] for one, _ in left} - UNTRANSLATABLE == {
            "expect_column_values_to_match_regex",  # It looks ahead.
            "expect_column_values_to_be_between",  # It has a condition on rows.
        }
        assert all(listed.reason for _, several in left for listed in several)

    def test_nothing_is_dropped_in_silence(self) -> None:
        assert all(len(ge(one).expectations) + len(ge(one).not_taken) >= 1 for one, _ in CASES)

    def test_the_names_of_older_versions_mean_the_same(self) -> None:
        older = [{"expectation_type": one["type"], "kwargs": one["kwargs"]} for one, _ in CASES]
        assert ge(*older).expectations[:5] == ge(*[one for one, _ in CASES]).expectations[:5]

    def test_a_mild_severity_is_a_warning(self) -> None:
        kind, kwargs = "expect_column_values_to_not_be_null", {"column": "origin"}
        assert ge({"type": kind, "kwargs": kwargs, "severity": "info"}).expectations[0].severity == "warning"

    @pytest.mark.parametrize(
        "broken",
        [
            {"type": "expect_column_values_to_not_be_null", "kwargs": {}},
            {"type": "expect_column_values_to_be_in_set", "kwargs": {"column": "a", "value_set": {"$PARAMETER": "x"}}},
            {"type": "expect_column_values_to_be_between", "kwargs": {"column": "a", "min_value": {"$PARAMETER": 1}}},
            {"type": "expect_table_row_count_to_equal", "kwargs": {"value": "many"}},
            {"type": "expect_column_values_to_not_be_null", "kwargs": {"column": "a", "mostly": "most"}},
            {"kwargs": {}},
        ],
    )
    def test_what_is_broken_is_listed_and_the_rest_is_taken(self, broken: dict[str, Any]) -> None:
        taken = ge(broken, {"type": "expect_column_to_exist", "kwargs": {"column": "b"}})
        assert (len(taken.not_taken), taken.expectations) == (1, (HasColumns(("b",)),))

    def test_a_file_of_something_else_is_refused(self) -> None:
        with pytest.raises(InvalidInput, match="no list of expectations"):
            READERS["great_expectations"]("{}", "flights")

    def test_what_is_exported_is_taken_back_as_it_was(self) -> None:
        suite = (NotNull("a", 0.9), InRange("b", 0, 5, severity="warning"), OneOf("c", ("x", 1)), RowCount(1, 9))
        assert READERS["great_expectations"](WRITERS["great_expectations"]("flights", suite), "f").expectations == suite

    def test_what_cannot_be_exported_is_in_the_notes(self) -> None:
        written = json.loads(WRITERS["great_expectations"]("flights", (Freshness("at", "1d"), NotNull("a"))))
        assert [one["type"] for one in written["meta"]["not_exported"]] == ["freshness"]


GOOD = pd.DataFrame(
    {
        "flight": [1, 2, 3],
        "tailnum": ["N1", "N22", None],
        "origin": ["EWR", "JFK", "no"],
        "delay": [0.5, None, 9.0],
        "note": ["abc", "axc", "a.c"],
    }
)
TYPES: dict[str, type] = {"flight": int, "tailnum": str, "origin": str, "delay": float, "note": str}
TWICE = pd.concat([GOOD, GOOD.iloc[[2]]], ignore_index=True)
C = pandera.Check
CHECKS = {
    "flight": [
        *(C.ge(1), C.gt(1), C.le(3), C.lt(3), C.in_range(1, 4, include_max=False), C.in_range(1, 3, False)),
        *(C.ne(9), C.eq(1), C.isin([1, 2, 3]), C.isin([1, 2]), C.notin([7]), C.notin([3])),
    ],
    "tailnum": [
        *(C.str_matches("N[0-9]"), C.str_matches("[0-9]"), C.str_contains("[0-9]"), C.str_length(2, 3)),
        *(C.str_length(max_value=2), C.str_startswith("N"), C.str_endswith("2")),
    ],
    "note": [C.str_endswith(".c"), C.str_contains("b|x|\\."), C.str_matches("a$"), C.str_length(exact_value=3)],
    "delay": [C.ge(0.5), C.gt(0.5), C.in_range(0.5, 9.0)],
}
ONE_COLUMN = [
    (column, pandera.Column(TYPES[column], check, nullable=True))
    for column, checks in CHECKS.items()
    for check in checks
] + [
    (column, pandera.Column(TYPES[column], nullable=nullable, unique=unique))
    for column in TYPES
    for nullable in (True, False)
    for unique in (True, False)
]
SHAPES = [GOOD, TWICE, GOOD.drop(columns="delay"), GOOD.assign(more=1), GOOD[list(TYPES)[::-1]]]


class TestPandera:
    def same(self, session: Session, schema: pandera.DataFrameSchema, frame: pd.DataFrame) -> bool:
        """Whether a frame has one verdict there and here; the schema travels as text."""
        taken = READERS["pandera"](schema.to_yaml(), "flights")
        assert taken == READERS["pandera"](schema.to_json(), "flights")
        assert taken.not_taken == ()
        table = normalised(pa.Table.from_pandas(frame, preserve_index=False))
        try:
            schema.validate(frame, lazy=True)
        except pandera.errors.SchemaErrors:
            return not passes(session, table, taken.expectations)
        return passes(session, table, taken.expectations)

    @pytest.mark.parametrize("frame", [GOOD, TWICE], ids=["good", "twice"])
    def test_checks_of_a_column_have_the_verdict_that_they_have_there(
        self, session: Session, frame: pd.DataFrame
    ) -> None:
        schemas = [pandera.DataFrameSchema({column: of}) for column, of in ONE_COLUMN]
        assert [schema for schema in schemas if not self.same(session, schema, frame)] == []

    @pytest.mark.parametrize("rule", [{"strict": True}, {"ordered": True}, {"unique": ["flight", "origin"]}, {}])
    def test_rules_of_a_frame_have_the_verdict_that_they_have_there(
        self, session: Session, rule: dict[str, Any]
    ) -> None:
        schema = pandera.DataFrameSchema(
            {name: pandera.Column(of, nullable=True) for name, of in TYPES.items()}, **rule
        )
        assert [list(frame) for frame in SHAPES if not self.same(session, schema, frame)] == []

    def test_a_check_that_only_warns_is_a_warning(self) -> None:
        schema = pandera.DataFrameSchema({"a": pandera.Column(int, C.ge(0, raise_warning=True))})
        (found,) = [one for one in READERS["pandera"](schema.to_yaml(), "f").expectations if isinstance(one, InRange)]
        assert found.severity == "warning"

    def test_what_pandera_wrote_before_is_read_too(self) -> None:
        older = "schema_type: dataframe\ncolumns: {a: {dtype: int64, nullable: true, checks: {less_than: 5}}}"
        assert InRange("a", None, 5, strict_maximum=True) in READERS["pandera"](older, "f").expectations

    @pytest.mark.parametrize(
        ("text", "told"),
        [
            ("columns: {a: {dtype: 'datetime64[ns]', nullable: true}}", "not one type"),
            ("columns: {'^x': {regex: true}}", "named by a pattern"),
            ("columns: {a: {nullable: true, my_own: 5}}", "no check that pandera itself has"),
            ("columns: {}\nchecks: [x]", "no_rows"),
            ("columns: {}\nindex: [x]", "no index"),
            ("columns: {}\nstrict: filter", "change no data"),
            ("columns: {a: {nullable: true, str_matches: '(?=x)'}}", "(?="),
        ],
    )
    def test_what_has_no_equal_is_listed_with_the_reason(self, text: str, told: str) -> None:
        (left,) = READERS["pandera"](text, "f").not_taken
        assert told in left.reason


DBT = """
version: 2
models:
  - name: planes
    columns: [{name: tailnum, tests: [not_null]}]
  - name: flights
    columns:
      - name: flight
        data_tests: [unique, not_null]
        constraints: [{type: not_null}]
      - name: tailnum
        tests:
          - unique
          - relationships: {to: ref('planes'), field: tailnum, severity: warn}
      - name: origin
        tests:
          - accepted_values: {arguments: {values: [EWR, JFK, no]}}
          - not_null: {config: {where: "origin <> ''"}}
          - dbt_utils.not_null_proportion: {at_least: 0.9}
          - dbt_utils.expression_is_true: {expression: "<> 'XXX'"}
          - dbt_expectations.expect_column_value_lengths_to_equal: {value: 3}
      - name: delay
        tests:
          - dbt_utils.accepted_range: {min_value: 0, inclusive: false}
          - dbt_utils.accepted_range: {max_value: "{{ var('most') }}"}
          - my_own_test
    tests:
      - dbt_utils.unique_combination_of_columns: {combination_of_columns: [flight, origin]}
      - dbt_utils.recency: {datepart: day, field: at, interval: 2}
sources:
  - name: raw
    loaded_at_field: at
    freshness: {error_after: {count: 12, period: hour}, warn_after: {count: 6, period: hour}}
    tables: [{name: weather}]
"""


class TestDbt:
    def test_tests_become_expectations(self) -> None:
        taken = READERS["dbt"](DBT, "flights").expectations
        wanted = {
            "unique": Unique(("flight",)),
            "not null": NotNull("flight"),
            "relationships": References(("tailnum",), "planes", ("tailnum",), severity="warning"),
            "accepted values": OneOf("origin", ("EWR", "JFK", "no")),
            "proportion": NotNull("origin", 0.9),
            "expectations": Length("origin", 3, 3),
            "range": InRange("delay", 0, strict_minimum=True),
            "combination": Unique(("flight", "origin")),
            "recency": Freshness("at", "2d"),
        }
        assert {name: one for name, one in wanted.items() if one not in taken} == {}

    def test_a_unique_column_may_miss_values_there(self, session: Session) -> None:
        queries = tuple(one for one in READERS["dbt"](DBT, "flights").expectations if isinstance(one, NoRows))
        rows = {"flight": [1, 2, 3], "origin": ["EWR", "JFK", "JFK"]}
        missing = pa.table({**rows, "tailnum": pa.array([None, None, "N1"])})
        twice = pa.table({**rows, "tailnum": pa.array(["N1", None, "N1"])})
        assert (passes(session, missing, queries), passes(session, twice, queries)) == (True, False)

    def test_what_has_no_equal_is_listed_with_the_reason(self) -> None:
        left = {listed.what: listed.reason for listed in READERS["dbt"](DBT, "flights").not_taken}
        assert set(left) == {"not_null of origin", "dbt_utils.accepted_range of delay", "my_own_test of delay"}
        assert "where" in left["not_null of origin"]

    def test_sources_are_fresh(self) -> None:
        taken = READERS["dbt"](DBT, "weather").expectations
        assert taken == (Freshness("at", "12h"), Freshness("at", "6h", "warning"))

    def test_a_file_without_the_model_says_what_it_has(self) -> None:
        with pytest.raises(InvalidInput, match="no model 'trains'") as refused:
            READERS["dbt"](DBT, "trains")
        assert "flights, planes, weather" in refused.value.hint


ODCS = """
apiVersion: v3.1.0
kind: DataContract
schema:
  - name: flights
    relationships: [{type: foreignKey, from: [flights.tailnum, flights.year], to: [planes.tailnum, planes.year]}]
    properties:
      - {name: flight, logicalType: integer, physicalType: bigint, primaryKey: true, primaryKeyPosition: 2}
      - {name: day, logicalType: date, primaryKey: true, primaryKeyPosition: 1}
      - name: origin
        logicalType: string
        required: true
        logicalTypeOptions: {minLength: 3, maxLength: 4, pattern: "^[A-Z]+$", format: airport}
        quality:
          - {metric: invalidValues, arguments: {validValues: [EWR, JFK]}, mustBeLessOrEqualTo: 5, unit: percent}
          - {metric: nullValues, mustBeLessThan: 1, unit: percent}
          - {metric: duplicateValues, mustBeLessThan: 10}
          - {type: sql, query: "SELECT 1", mustBe: 1}
          - {type: text, description: as good as can be}
      - name: delay
        logicalType: number
        logicalTypeOptions: {minimum: -60, exclusiveMaximum: 1500}
        quality:
          - type: custom
            engine: greatExpectations
            implementation: "type: expect_column_mean_to_be_between\\nkwargs: {minValue: 0, maxValue: 60}"
    quality:
      - {metric: rowCount, mustBeBetween: [100, 120], severity: warning}
      - {metric: rowCount, mustBeGreaterThan: 50}
      - {metric: duplicateValues, mustBe: 0, arguments: {properties: [flight, origin]}}
slaDefaultElement: flights.at
slaProperties: [{property: latency, value: 4, unit: d}, {property: latency, value: 1, unit: y}]
"""


class TestOdcs:
    def test_promises_become_expectations(self) -> None:
        taken = READERS["odcs"](ODCS, "flights").expectations
        wanted = {
            "key": Unique(("day", "flight")),
            "required": NotNull("origin"),
            "length": Length("origin", 3),
            "share": OneOf("origin", ("EWR", "JFK"), 0.95),
            "bounds": InRange("delay", -60),
            "strict": InRange("delay", None, 1500, strict_maximum=True),
            "band": RowCount(100, 120, "warning"),
            "least": RowCount(51),
            "relation": References(("tailnum", "year"), "planes", ("tailnum", "year")),
            "service": Freshness("at", "4d"),
            "twins": Unique(("flight", "origin")),
        }
        assert {name: one for name, one in wanted.items() if one not in taken} == {}
        assert any(isinstance(one, Matches) for one in taken)
        assert "mean_in_range" in {str(type(one).__struct_config__.tag) for one in taken}

    def test_what_has_no_equal_is_listed_with_the_reason(self) -> None:
        left = {listed.what for listed in READERS["odcs"](ODCS, "flights").not_taken}
        assert left == {
            *("type of day", "type of delay", "format of origin", "nullValues of origin"),
            *("duplicateValues of origin", "sql of origin", "text of origin", "sla latency"),
        }

    @pytest.mark.parametrize("text", ["apiVersion: v2.2.2", "a: 1", "apiVersion: v3.0.0"])
    def test_what_is_no_contract_of_version_3_is_refused(self, text: str) -> None:
        with pytest.raises(InvalidInput):
            READERS["odcs"](text, "flights")


@pytest.mark.parametrize("format", sorted(READERS))
@pytest.mark.parametrize("text", ["", "[1]", "a: [", "{", "columns: 5", '{"expectations": [5, null, {"kwargs": 5}]}'])
def test_any_text_is_read_or_refused_with_a_sentence(format: str, text: str) -> None:
    try:
        told = [listed.reason for listed in READERS[format](text, "flights").not_taken]
    except InvalidInput as refused:
        told = [refused.message]
    assert all(told)
