"""YAML that people write: plain values with their lines, scalars as YAML 1.2 reads them, and nothing hidden."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from everloop.datasets.quality import yamltext
from everloop.datasets.quality.yamltext import LARGEST, comments_of, read_yaml, write_yaml
from everloop.kernel.errors import InvalidInput
from everloop.kernel.usecase import Json

TEXT = """\
# head
name: flights
gates:
  - commit
  - training   # before a step
limits: {low: 1, high: [2,
  3]}
note: |
  # no comment
  two lines
last:
"""


class TestScalars:
    @pytest.mark.parametrize(
        ("written", "value"),
        [
            *(
                ("no", "no"),
                ("on", "on"),
                ("Yes", "Yes"),
                ("y", "y"),
                ("2013-01-01", "2013-01-01"),
                ("12:30:45", "12:30:45"),
            ),
            *(
                ("true", True),
                ("False", False),
                ("TRUE", True),
                ("null", None),
                ("~", None),
                ("", None),
                ("Null", None),
            ),
            *(
                ("1", 1),
                ("-7", -7),
                ("+7", 7),
                ("007", 7),
                ("1_000", "1_000"),
                ("0x10", "0x10"),
                ("0o7", "0o7"),
                ("1,5", "1,5"),
            ),
            *(("1.5", 1.5), (".5", 0.5), ("1.", 1.0), ("1e3", 1000.0), ("-1.5E-3", -0.0015), ("1e", "1e"), (".", ".")),
            *((".inf", math.inf), ("-.INF", -math.inf), ("inf", "inf"), ("nan", "nan"), ("1.2.3", "1.2.3")),
            *(("'1'", "1"), ('"true"', "true"), ("''", ""), ('"~"', "~"), ("9" * 400, math.inf)),
        ],
    )
    def test_are_what_yaml_1_2_says(self, written: str, value: Json) -> None:
        assert read_yaml(f"a: {written}").value == {"a": value}

    def test_that_are_no_number_are_one_all_the_same(self) -> None:
        found = read_yaml("a: .nan").value
        assert isinstance(found, dict)
        assert math.isnan(found["a"])  # type: ignore[arg-type]

    @given(st.integers() | st.floats(allow_nan=False))
    def test_numbers_are_read_as_python_writes_them(self, number: float) -> None:
        written = repr(number).replace("inf", ".inf")
        assert read_yaml(f"[{written}]").value == [number]

    def test_their_spelling_is_kept(self) -> None:
        document = read_yaml("a: 007\nb: [0.50]\nc: 'x'")
        assert [document.texts[path] for path in (("a",), ("b", 0), ("c",))] == ["007", "0.50", "x"]


class TestLines:
    @pytest.mark.parametrize(
        ("path", "span"),
        [
            (("name",), (2, 2)),
            (("gates",), (3, 5)),
            (("gates", 1), (5, 5)),
            (("limits",), (6, 7)),
            (("limits", "high", 1), (7, 7)),
            (("note",), (8, 10)),
            (("last",), (11, 11)),
        ],
    )
    def test_each_value_knows_where_it_stands(self, path: tuple[str | int, ...], span: tuple[int, int]) -> None:
        assert read_yaml(TEXT).spans[path] == span

    def test_what_is_not_there_stands_at_what_is_around_it(self) -> None:
        document = read_yaml(TEXT)
        assert document.line(("gates", 9, "x")) == document.line(("gates",)) == 3
        assert document.line(("nowhere",)) == document.line(()) == 2

    def test_a_refusal_names_the_line_and_what_to_do(self) -> None:
        with pytest.raises(InvalidInput, match="Line 5: no such place") as refused:
            read_yaml(TEXT).refuse(("gates", 1), "no such place.", "Say another.")
        assert refused.value.hint == "Say another."


class TestComments:
    def test_are_told_with_their_lines(self) -> None:
        assert list(comments_of(TEXT)) == [(1, "# head"), (5, "# before a step")]

    @pytest.mark.parametrize("text", ["a: 'x # y'", 'a: "# y"', "a: x#y", "a: |\n  # y\n", "'a # b': 1"])
    def test_are_not_taken_out_of_texts(self, text: str) -> None:
        assert list(comments_of(text)) == []

    def test_stand_anywhere_else(self) -> None:
        text = "a: [1, # one\n  2] # two\n# three\nb: x # four\n  # five"
        assert [comment for _, comment in comments_of(text)] == ["# one", "# two", "# three", "# four", "# five"]


class TestRefusals:
    @pytest.mark.parametrize(
        ("text", "told"),
        [
            ("a: 1\na: 2", "Line 2: 'a' stands here a second time"),
            ("x:\n  - {b: 1, b: 2}", "Line 2: 'b' stands here a second time"),
            ("a: !!int 5", "Line 1: the tag"),
            ("a: !mine 5", "Line 1: the tag '!mine' is not known here"),
            ("a: &x {b: 1}\nc: {<<: *x}", r"Line 2: keys are plain words here; merge keys \(<<\) are not read"),
            ("[1, 2]: 3", "Line 1: keys are plain words"),
            ("a:\n\t- b", "Line 2: this is not YAML"),
            ("a: 'open", "Line 1: this is not YAML"),
            ("a: *nowhere", "Line 1: this is not YAML"),
            ("a: 1\n---\nb: 2", "this is not YAML"),
            ("a: \x00", "This is not YAML"),
        ],
    )
    def test_what_is_wrong_is_told_with_its_line(self, text: str, told: str) -> None:
        with pytest.raises(InvalidInput, match=told):
            read_yaml(text)

    def test_a_file_that_is_too_large_is_not_read(self) -> None:
        with pytest.raises(InvalidInput, match="The file has 2,097,153 characters"):
            read_yaml("#" * (LARGEST + 1))

    def test_a_file_with_too_many_values_is_not_unfolded(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(yamltext, "MOST_VALUES", 10)
        assert read_yaml("[1, 2, 3, 4, 5, 6, 7, 8, 9]").value == list(range(1, 10))
        with pytest.raises(InvalidInput, match="unfolds to more than 10 values"):
            read_yaml("[1, 2, 3, 4, 5, 6, 7, 8, 9, 10]")

    @pytest.mark.parametrize("depth", [59, 60])
    def test_so_many_levels_are_enough(self, depth: int) -> None:
        assert read_yaml("[" * depth + "]" * depth).value is not None

    @pytest.mark.parametrize("depth", [62, 100, 5000])
    def test_more_are_refused(self, depth: int) -> None:
        with pytest.raises(InvalidInput):
            read_yaml("[" * depth + "]" * depth)

    @given(st.text(max_size=40))
    def test_any_text_is_read_or_refused(self, text: str) -> None:
        try:
            value = read_yaml(text).value
        except InvalidInput:
            return
        assert value is None or isinstance(value, str | int | float | bool | list | dict)


class TestWriting:
    @pytest.mark.parametrize(
        ("value", "written"),
        [
            ({"a": [1, 2, 3], "b": {"c": "x"}}, "a: [1, 2, 3]\nb: {c: x}\n"),
            ({"a": "no", "b": "true", "c": "1", "d": ""}, "{a: no, b: 'true', c: '1', d: ''}\n"),
            ([{"kind": "x", "values": ["a"]}], "- kind: x\n  values: [a]\n"),
            ({"a": "two\nlines"}, 'a: "two\\nlines"\n'),
            ({"é": "日本"}, "{é: 日本}\n"),
            ({"a": None, "b": True}, "{a: null, b: true}\n"),
        ],
    )
    def test_is_short_and_quotes_only_what_it_must(self, value: Json, written: str) -> None:
        assert write_yaml(value) == written
        assert read_yaml(written).value == value

    def test_nothing_is_written_as_an_alias(self) -> None:
        same: Json = ["x"]
        assert "&" not in write_yaml([same, same])
