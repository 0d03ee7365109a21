"""Commands made from signatures: words become arguments, answers become tables or JSON."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import text

from everloop.app.platform import Platform
from everloop.store.service import digest_of
from tests.cli.conftest import Everloop

CSV = b"a,b\n1,x\n2,\n"


@pytest.fixture
def table(platform: Platform) -> str:
    """The name of a dataset."""
    platform.resources.store.put(CSV)
    platform.call("datasets.commit", {"name": "t", "digest": digest_of(CSV), "format": "csv"})
    return "t"


def test_what_stands_in_the_path_is_given_by_position(everloop: Everloop, table: str) -> None:
    assert everloop("datasets", "get", table, "--version", "1", "--json").json["version"] == 1


def test_a_list_that_is_all_that_is_required_is_given_by_position(everloop: Everloop) -> None:
    one, other = (everloop("runs", "start", "--experiment", name, "--json").json["id"] for name in ("a", "b"))
    assert everloop("runs", "compare", one, other, "--json").json["runs"] == [one, other]
    ran = everloop("runs", "compare")
    assert (ran.code, "IDS" in ran.err) == (2, True)


def test_a_missing_argument_is_wrong_usage(everloop: Everloop) -> None:
    ran = everloop("datasets", "get")
    assert ran.code == 2
    assert "NAME" in ran.err


def test_a_closed_choice_is_checked_and_listed(everloop: Everloop) -> None:
    ran = everloop("lineage", "graph", "--urn", "x", "--direction", "sideways")
    assert ran.code == 2
    assert "'upstream', 'downstream', 'both'" in ran.err


def test_a_flag_can_be_set_and_unset(everloop: Everloop) -> None:
    assert everloop("store", "gc", "--no-dry-run", "--json").json["dry_run"] is False
    assert everloop("store", "gc", "--dry-run", "--json").json["dry_run"] is True


def test_a_list_is_given_one_by_one_or_as_json(everloop: Everloop, table: str) -> None:
    words = ("datasets", "derive", "s", "--sql", "SELECT a FROM t")
    one = everloop(*words, "--inputs", "t@1", "--json").json
    assert everloop(*words, "--inputs", '["t@1"]', "--json").json == one


def test_a_mapping_is_given_pair_by_pair_or_as_json(everloop: Everloop) -> None:
    pairs = everloop("runs", "start", "--experiment", "e", "--parameters", "a=1", "--parameters", "b=x=y", "--json")
    whole = everloop("runs", "start", "--experiment", "e", "--parameters", '{"a": "1", "b": "x=y"}', "--json")
    assert pairs.json["parameters"] == whole.json["parameters"] == {"a": "1", "b": "x=y"}


def test_a_pair_without_a_key_is_wrong_input(everloop: Everloop) -> None:
    ran = everloop("runs", "start", "--experiment", "e", "--parameters", "leaves")
    assert ran.code == 2
    assert "KEY=VALUE" in ran.err


def test_structs_are_given_as_json_or_in_a_file(everloop: Everloop, table: str, tmp_path: Path) -> None:
    expected = '[{"type": "not_null", "column": "b"}]'
    (tmp_path / "suite.json").write_text(expected)
    inline = everloop("datasets", "expect", table, "--expectations", expected, "--json").json
    filed = everloop("datasets", "expect", table, "--expectations", f"@{tmp_path}/suite.json", "--json").json
    assert inline["expectations"] == filed["expectations"]


@pytest.mark.parametrize("word", ["[", "{", "@/no/such/file", '[{"type": "nonsense"}]', "[1]", "nonsense"])
def test_json_that_makes_no_sense_is_wrong_input(everloop: Everloop, table: str, word: str) -> None:
    ran = everloop("datasets", "expect", table, "--expectations", word, "--json")
    assert ran.code == 2
    assert ran.problem["code"] == "invalid_input"


def test_a_number_that_is_none_is_wrong_input(everloop: Everloop) -> None:
    ran = everloop("audit", "entries", "--limit", "ten")
    assert ran.code == 2
    assert "--limit" in ran.err


def test_help_shows_the_defaults_and_the_whole_docstring(everloop: Everloop) -> None:
    text = everloop("audit", "entries", "--help").out
    assert "default: 100" in text
    assert "pass the last sequence you saw" in " ".join(text.split())


class TestOutput:
    def test_a_list_is_a_table(self, everloop: Everloop, table: str) -> None:
        lines = everloop("datasets", "list").out.splitlines()
        assert lines[0].split() == ["name", "latest", "created"]
        assert lines[1].startswith("t ")

    def test_an_empty_list_is_nothing_on_standard_output(self, everloop: Everloop) -> None:
        ran = everloop("datasets", "list")
        assert (ran.code, ran.out) == (0, "")

    def test_an_empty_list_is_an_empty_list_in_json(self, everloop: Everloop) -> None:
        assert everloop("datasets", "list", "--json").json == []

    def test_one_thing_is_shown_field_by_field(self, everloop: Everloop, table: str) -> None:
        text = everloop("datasets", "get", table).out
        assert digest_of(CSV) not in text
        assert ["version", "1"] in [line.split() for line in text.splitlines()]
        assert "int64" in text

    def test_long_digests_are_short_in_tables_and_whole_in_json(self, everloop: Everloop, table: str) -> None:
        whole = everloop("datasets", "log", table, "--json").json[0]["digest"]
        text = everloop("datasets", "log", table).out
        assert whole not in text
        assert whole[:12] in text

    def test_text_is_printed_as_it_is(self, everloop: Everloop, platform: Platform) -> None:
        from tests.sdk.scenario import model, objects

        for data in objects():
            platform.resources.store.put(data)
        platform.call("models.register", {"name": "m", "trained": model()[0], "card": "# M\n\nText."})
        assert everloop("models", "card", "m").out.startswith("# M\n\nText.\n")

    def test_colours_are_for_terminals(self, everloop: Everloop, table: str) -> None:
        assert "\x1b" not in everloop("datasets", "get", table).out


def test_an_answer_that_is_a_bad_verdict_has_an_exit_code(everloop: Everloop, platform: Platform, table: str) -> None:
    everloop("datasets", "expect", table, "--expectations", '[{"type": "not_null", "column": "a"}]')
    assert everloop("datasets", "check", table).code == 0
    everloop("datasets", "expect", table, "--expectations", '[{"type": "not_null", "column": "b"}]')
    assert everloop("datasets", "check", table).code == 6
    assert everloop("audit", "verify").code == 0
    with platform.resources.database.engine.begin() as connection:
        connection.execute(text("UPDATE ledger SET principal = 'somebody' WHERE sequence = 1"))
    ran = everloop("audit", "verify", "--json")
    assert (ran.code, ran.json["first_broken"]) == (8, 1)
