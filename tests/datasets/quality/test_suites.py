"""Suites come and go as files: imported with what could not be taken, exported with their comments."""

from __future__ import annotations

import json
import warnings
from contextlib import suppress
from pathlib import Path

import pandera.pandas as pandera
import pytest
from hypothesis import given
from hypothesis import strategies as st

from everloop.app.platform import Platform
from everloop.cli.usecases import UseCase, arguments
from everloop.datasets.entities import Snapshot
from everloop.datasets.quality.expectations import HasColumns, HasTypes, InRange, NotNull
from everloop.datasets.quality.suitefile import read_suite
from everloop.datasets.quality.suites.declare import Suite, suites_in
from everloop.datasets.quality.suites.entities import ImportedSuite
from everloop.kernel.errors import InvalidInput, NotFound
from everloop.kernel.usecase import published

WRITTEN = """\
# The feed out of New York.
dataset: flights
gates: [training]
on_failure: quarantine
expectations:
  # Nobody flies without a number.
  - {kind: not_null, column: flight}
  - {kind: in_range, column: dep_delay, maximum: 500}
"""


def take(platform: Platform, text: str, **more: object) -> ImportedSuite:
    made: ImportedSuite = platform.call("datasets.import_suite", {"name": "flights", "text": text, **more})
    return made


class TestImport:
    def test_a_suite_is_in_force_with_its_gates(self, platform: Platform, flights: Snapshot) -> None:
        assert take(platform, WRITTEN).installed
        assert len(platform.call("datasets.expectations", {"name": "flights"}).expectations) == 2
        gates = platform.call("datasets.gates", {"name": "flights"})
        assert (gates.gates, gates.on_failure) == (("training",), "quarantine")

    def test_a_dry_run_changes_nothing(self, platform: Platform, flights: Snapshot) -> None:
        found = take(platform, WRITTEN, dry_run=True)
        assert (len(found.declaration.expectations), found.installed) == (2, False)
        with pytest.raises(NotFound):
            platform.call("datasets.expectations", {"name": "flights"})

    def test_a_foreign_suite_leaves_the_gates_that_are_set(self, platform: Platform, flights: Snapshot) -> None:
        platform.call("datasets.gate", {"name": "flights", "at": ["commit"]})
        take(platform, "columns: {flight: {}}", format="pandera")
        assert platform.call("datasets.gates", {"name": "flights"}).gates == ("commit",)

    def test_what_makes_no_sense_for_the_data_is_listed_too(self, platform: Platform, flights: Snapshot) -> None:
        text = "columns: {flight: {}, gate: {str_length: 3}, tailnum: {nullable: true, str_matches: '('}}"
        found = take(platform, text, format="pandera")
        assert HasColumns(("gate",)) in found.declaration.expectations
        assert {listed.what for listed in found.not_taken} == {
            "gate is never missing",
            "gate has 3 characters",
            "tailnum has the form (?:()(?s:.*)",
        }

    def test_our_own_format_is_refused_as_a_whole(self, platform: Platform, flights: Snapshot) -> None:
        with pytest.raises(InvalidInput, match="gate"):
            take(platform, "expectations: [{kind: not_null, column: gate}]")

    def test_a_suite_may_be_there_before_its_dataset(self, platform: Platform) -> None:
        assert take(platform, WRITTEN).installed


class TestExport:
    def test_it_has_the_comments_that_it_was_imported_with(self, platform: Platform, flights: Snapshot) -> None:
        take(platform, WRITTEN)
        assert platform.call("datasets.export_suite", {"name": "flights"}) == WRITTEN

    def test_comments_outlive_a_change_of_other_expectations(self, platform: Platform, flights: Snapshot) -> None:
        take(platform, WRITTEN)
        platform.call("datasets.expect", {"name": "flights", "expectations": [InRange("flight", 0), NotNull("flight")]})
        text = platform.call("datasets.export_suite", {"name": "flights"})
        assert "  # Nobody flies without a number.\n  - {kind: not_null, column: flight}" in text
        assert "dep_delay" not in text

    def test_what_is_exported_can_be_imported(self, platform: Platform, flights: Snapshot) -> None:
        take(platform, WRITTEN)
        text = platform.call("datasets.export_suite", {"name": "flights"})
        before = platform.call("datasets.expectations", {"name": "flights"})
        take(platform, text)
        assert platform.call("datasets.expectations", {"name": "flights"}) == before

    def test_other_tools_get_their_own_format(self, platform: Platform, flights: Snapshot) -> None:
        take(platform, WRITTEN)
        text = platform.call("datasets.export_suite", {"name": "flights", "format": "great_expectations"})
        kinds = [one["type"] for one in json.loads(text)["expectations"]]
        assert kinds == ["expect_column_values_to_not_be_null", "expect_column_values_to_be_between"]

    def test_without_a_suite_there_is_nothing_to_export(self, platform: Platform, flights: Snapshot) -> None:
        with pytest.raises(NotFound, match="Nothing is expected"):
            platform.call("datasets.export_suite", {"name": "flights"})


class TestDeclarations:
    def test_a_schema_of_pandera_is_a_suite(self) -> None:
        schema = pandera.DataFrameSchema({"flight": pandera.Column(int, pandera.Check.ge(0))})
        assert Suite("flights", schema, gates=["commit"]).expectations == (
            HasColumns(("flight",)),
            HasTypes({"flight": "int64"}),
            NotNull("flight"),
            InRange("flight", 0),
        )

    def test_it_warns_of_what_it_could_not_take(self) -> None:
        schema = pandera.DataFrameSchema({"at": pandera.Column("datetime64[ns]", nullable=True)})
        with pytest.warns(UserWarning, match=r"Suite of flights: dtype of at was not taken: datetime64\[ns\]"):
            Suite("flights", schema)

    def test_plain_expectations_warn_of_nothing(self) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert Suite("flights", [NotNull("x")]).expectations == (NotNull("x"),)


class TestOnTheCommandLine:
    def usecase(self, platform: Platform) -> UseCase:
        return published()["datasets.import_suite"]

    def test_the_text_may_be_a_file(self, platform: Platform, tmp_path: Path) -> None:
        file = tmp_path / "flights.checks.yaml"
        file.write_text(WRITTEN)
        assert arguments(self.usecase(platform), {"name": "flights", "text": f"@{file}"})["text"] == WRITTEN

    def test_a_file_that_is_not_there_is_told(self, platform: Platform) -> None:
        with pytest.raises(InvalidInput, match="--text"):
            arguments(self.usecase(platform), {"name": "flights", "text": "@nowhere.yaml"})


@given(st.text())
def test_any_text_is_a_suite_or_refused(text: str) -> None:
    with suppress(InvalidInput):
        assert read_suite(text, "flights").dataset == "flights"


class TestSuitesInAFolder:
    def test_each_file_is_one_and_is_called_as_its_dataset(self, tmp_path: Path) -> None:
        (tmp_path / "flights.yaml").write_text(WRITTEN)
        (tmp_path / "a.checks.yaml").write_text("expectations: [{kind: not_null, column: x}]")
        (tmp_path / "notes.txt").write_text("no suite")
        first, second = suites_in(tmp_path)
        assert (first.dataset, first.expectations) == ("a", (NotNull("x"),))
        assert second == read_suite(WRITTEN)

    def test_a_file_that_is_called_otherwise_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "trains.yaml").write_text(WRITTEN)
        with pytest.raises(InvalidInput, match="suite of flights, not of trains"):
            suites_in(tmp_path)

    def test_a_folder_without_any_is_a_mistake(self, tmp_path: Path) -> None:
        with pytest.raises(NotFound, match="No suite is in"):
            suites_in(tmp_path)
