"""What all importers have in common: an account of what was taken, and patterns that mean the same here."""

from __future__ import annotations

import re

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from everloop.datasets.quality.expectations import Expectation, InRange, Matches, NotNull
from everloop.datasets.quality.importers.taken import (
    Account,
    Untaken,
    below,
    checked,
    document_of,
    integer,
    listing,
    literally,
    mapping,
    portable,
    quoted,
    search,
    starting,
    twins_of,
)
from everloop.datasets.quality.suites.entities import NotTaken
from everloop.kernel.errors import InvalidInput
from tests.datasets.quality.around import TABLES, outcome


def fails(kind: type[Exception]) -> list[Expectation]:
    raise kind("column")


def found(pattern: str, text: str) -> bool:
    """Whether the whole of a text has the form of a pattern, by our engine."""
    return outcome(pa.table({"x": [text]}), Matches("x", pattern))[0]


class TestAccount:
    def test_what_is_made_is_taken(self) -> None:
        account = Account()
        account.take("a", lambda: [NotNull("a")])
        assert account.taken().expectations == (NotNull("a"),)

    def test_what_has_no_equal_is_listed_with_its_reason(self) -> None:
        account = Account()
        account.take("a", fails, Untaken)
        assert account.taken().not_taken == (NotTaken("a", "column"),)

    @pytest.mark.parametrize("kind", [KeyError, TypeError, ValueError, AttributeError])
    def test_what_is_broken_is_listed_too(self, kind: type[Exception]) -> None:
        account = Account()
        account.take("a", fails, kind)
        (left,) = account.taken().not_taken
        assert left.reason.startswith(f"it is not as it should be ({kind.__name__}: ")

    def test_a_fault_of_ours_is_not_taken_for_one_of_the_file(self) -> None:
        with pytest.raises(ZeroDivisionError):
            Account().take("a", fails, ZeroDivisionError)

    def test_a_part_is_taken_whole_or_not_at_all(self) -> None:
        account = Account()
        account.take("a", lambda: [NotNull("a"), NotNull(5)])  # type: ignore[arg-type]  # Foreign files are like that.
        assert account.taken().expectations == ()

    def test_what_is_expected_twice_is_expected_once(self) -> None:
        account = Account()
        for column in ("a", "b", "a"):
            account.take(column, lambda column=column: [NotNull(column)])  # type: ignore[misc]  # Bound in the loop.
        assert account.taken().expectations == (NotNull("a"), NotNull("b"))

    def test_a_note_is_made_once(self) -> None:
        account = Account()
        for sentence in ("less", "more", "less"):
            account.note(sentence)
        assert account.taken().notes == ("less", "more")


class TestChecked:
    def test_numbers_become_what_fields_are(self) -> None:
        assert checked(NotNull("a", 1)).mostly == 1.0  # type: ignore[union-attr]

    @pytest.mark.parametrize("wrong", [NotNull(1), InRange("a", [1]), NotNull("a", "most"), Matches("a", None)])  # type: ignore[arg-type]
    def test_fields_of_another_type_are_refused(self, wrong: Expectation) -> None:
        with pytest.raises(Untaken, match="a value is not as it should be"):
            checked(wrong)


class TestDocuments:
    @pytest.mark.parametrize("text", ['{"a": [1, null]}', "a: [1, null]", "a:\n- 1\n-\n", "\n {a: [1, ~]}"])
    def test_are_json_or_yaml(self, text: str) -> None:
        assert document_of(text, "suite").value == {"a": [1, None]}

    @pytest.mark.parametrize("text", ["[1]", "a", "", "5"])
    def test_of_something_else_than_a_mapping_are_refused(self, text: str) -> None:
        with pytest.raises(InvalidInput, match="The file is no suite") as refused:
            document_of(text, "suite")
        assert "pandera, great_expectations, dbt, odcs" in refused.value.hint

    def test_of_broken_json_are_refused_with_the_line(self) -> None:
        with pytest.raises(InvalidInput, match="Line 2: "):
            document_of('{"a": 1,\n"b": ]}', "suite")

    def test_nested_without_end_are_refused(self) -> None:
        with pytest.raises(InvalidInput):
            document_of('{"a":' * 5000, "suite")


@pytest.mark.parametrize(("value", "listed"), [(None, []), ([], []), (1, [1]), ([1, None], [1, None]), ({}, [{}])])
def test_a_single_value_is_a_list_of_one(value: object, listed: list[object]) -> None:
    assert listing(value) == listed  # type: ignore[arg-type]


def test_a_mapping_is_had_or_missed() -> None:
    assert below({"a": {"b": 1}}, "a") == {"b": 1}
    assert below({"a": 5}, "a") == below({}, "a") == {}
    with pytest.raises(Untaken, match="kwargs is not a mapping"):
        mapping([], "kwargs")


@pytest.mark.parametrize(("value", "whole"), [(3, 3), (3.0, 3), (-1, -1)])
def test_whole_numbers_may_be_written_with_a_point(value: float, whole: int) -> None:
    assert integer(value) == whole


@pytest.mark.parametrize("value", [True, 1.5, "3", None, [1]])
def test_nothing_else_is_a_whole_number(value: object) -> None:
    with pytest.raises(Untaken, match="is no whole number"):
        integer(value)  # type: ignore[arg-type]


class TestPatterns:
    @pytest.mark.parametrize(
        ("pattern", "uses"),
        [
            *((r"(?=a)", "(?="), (r"(?!a)", "(?!"), (r"(?<=a)b", "(?<="), (r"(?<!a)b", "(?<!")),
            *((r"(a)\1", r"\1"), (r"(?P<x>a)(?P=x)", "(?P="), (r"a*+", "*+"), (r"(?>a)", "(?>"), (r"a{2}+", "}+")),
        ],
    )
    def test_that_take_more_than_linear_time_are_refused(self, pattern: str, uses: str) -> None:
        with pytest.raises(Untaken) as refused:
            portable(pattern)
        assert f"uses {uses}" in str(refused.value)

    @pytest.mark.parametrize("pattern", [r"\\1", r"\(?=a", "a+", r"\*+", "(?:a)", "(?P<x>a)", "(?i)a", r"a\\\\2"])
    def test_that_only_look_like_it_are_not(self, pattern: str) -> None:
        assert portable(pattern) == pattern

    @pytest.mark.parametrize(("pattern", "here"), [(r"a\Z", r"a\z"), (r"\\Z", r"\\Z"), (r"\\\Z", r"\\\z")])
    def test_end_where_they_end_there(self, pattern: str, here: str) -> None:
        assert portable(pattern) == here

    @given(st.sampled_from(["b", "^b", "b$", "a|b", "[ab]{2}", ""]), st.text("ab\n", max_size=5))
    def test_are_found_or_matched_as_python_does_it(self, pattern: str, text: str) -> None:
        if not text.endswith("\n"):  # There $ stands before a last line break, too.
            assert found(search(pattern), text) == (re.search(pattern, text) is not None)
            assert found(starting(pattern), text) == (re.match(pattern, text) is not None)

    @given(
        st.text(st.characters(codec="utf-8", categories=["L", "N", "P", "S", "Zs"]), max_size=8),
        st.text("a.*", max_size=8),
    )
    def test_of_a_text_match_it_and_nothing_else(self, text: str, other: str) -> None:
        assert found(literally(text), text)
        assert found(literally(text), other) == (text == other)


class TestSql:
    @pytest.mark.parametrize("name", ["a", "select", 'a"b', "a b", "é", "a;--"])
    def test_any_name_can_be_quoted(self, name: str) -> None:
        table = pa.table({name: [1, 2]})
        assert TABLES.query(f"SELECT {quoted(name)} FROM {quoted(name)}", {name: table}).num_rows == 2

    def test_twins_are_found_where_nothing_is_missing(self) -> None:
        rows = pa.table({"a": [1, 1, None, None, 2], "b": ["x", "x", "y", "y", None]})
        found = TABLES.query(twins_of(["a", "b"], "rows"), {"rows": rows})
        assert found.to_pylist() == [{"a": 1, "b": "x"}]
