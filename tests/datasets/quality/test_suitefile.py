"""Suites are files that people write: read with lines, written without loss, comments kept."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from everloop.datasets.quality.expectations import Expectation, InRange, NotNull, OneOf
from everloop.datasets.quality.suitefile import comments_in, kinds, read_suite, write_suite
from everloop.datasets.quality.suites.entities import Place, SuiteDeclaration
from everloop.datasets.quality.yamltext import read_yaml, write_yaml
from everloop.kernel.errors import InvalidInput
from everloop.kernel.usecase import Json
from tests.examples import examples

WRITTEN = """\
# What we expect of the feed
dataset: flights   # out of New York
gates: [commit, training]
# One by one:
expectations:
  # A flight leaves somewhere.
  - kind: not_null # always
    column: no
  - {kind: in_range, column: "dep # delay", minimum: -120, mostly: 0.99, severity: warning}
  # Only these:
  - kind: one_of
    column: origin
    # New York
    values: [EWR, 1, '2.50', no]
# Ask us before you change it.
"""


class TestReading:
    def test_a_suite_names_its_dataset_its_gates_and_its_expectations(self) -> None:
        suite = read_suite(WRITTEN)
        assert (suite.dataset, suite.gates, suite.on_failure) == ("flights", ("commit", "training"), "refuse")
        assert suite.expectations[1] == InRange("dep # delay", -120, None, 0.99, "warning")

    def test_what_looks_like_a_switch_is_a_name(self) -> None:
        first, _, last = read_suite(WRITTEN).expectations
        assert first == NotNull("no")
        assert last == OneOf("origin", ("EWR", 1, "2.50", "no"))

    def test_the_dataset_may_be_named_by_who_reads(self) -> None:
        assert read_suite("expectations: []", "planes").dataset == "planes"

    @pytest.mark.parametrize(
        ("text", "told"),
        [
            ("dataset: f\nexpectations:\n- kind: nul", "Line 3: 'nul' is no kind of expectation"),
            ("dataset: f\nexpectations:\n- kind: not_null\n  column: a\n  mostl: 1", "Line 5: not_null has no field"),
            ("dataset: f\nexpectations:\n- kind: not_null\n  column: a\n  mostly: x", "Line 5: mostly: expected"),
            ("dataset: f\nexpectations:\n\n- kind: not_null", "Line 4: object missing required field `column`"),
            ("dataset: f\nexpectations:\n- column: x", "Line 3: an expectation begins with its kind"),
            ("dataset: f\ngates: [coffee]", "Line 2: gates: "),
            ("dataset: f\nexpectation: []", "Line 2: A suite has no field 'expectation'"),
            ("dataset: f\nexpectations: 5", "Line 2: expectations is a list"),
            ("dataset: f\ndataset: g", "Line 2: 'dataset' stands here a second time"),
            ("dataset: [", "Line 1: this is not YAML"),
            ("dataset: !!python/object:os.system x", "Line 1: the tag"),
            ("a: &a {<<: *a}", "Line 1: "),
            ("expectations: []", "names no dataset"),
            ("just words", "no suite"),
            ("", "no suite"),
        ],
    )
    def test_what_is_wrong_is_told_with_its_line(self, text: str, told: str) -> None:
        with pytest.raises(InvalidInput, match=told.replace("[", r"\[")):
            read_suite(text)

    def test_a_suite_of_another_dataset_is_refused(self) -> None:
        with pytest.raises(InvalidInput, match="Line 2: this is the suite of flights, not of planes"):
            read_suite(WRITTEN, "planes")

    @pytest.mark.parametrize("text", ["a: &a [*a]", "[" * 3000], ids=["endless", "deep"])
    def test_files_that_unfold_without_end_are_refused(self, text: str) -> None:
        with pytest.raises(InvalidInput):
            read_suite(text)

    def test_aliases_of_aliases_cannot_exhaust_the_memory(self) -> None:
        lines = ["a0: &a0 [x,x,x,x,x,x,x,x,x,x]"]
        lines += [f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
        with pytest.raises(InvalidInput, match="unfolds to more than"):
            read_yaml("\n".join(lines))


class TestWriting:
    def test_comments_stay_with_the_expectation_that_they_stand_at(self) -> None:
        written = write_suite(read_suite(WRITTEN), comments_in(WRITTEN))
        lines = written.splitlines()
        assert lines[:3] == ["# What we expect of the feed", "# out of New York", "# One by one:"]
        assert lines[7:9] == ["  # A flight leaves somewhere.", "  # always"]
        assert lines[-1] == "# Ask us before you change it."

    def test_comments_follow_an_expectation_that_has_moved_and_go_with_one_that_is_gone(self) -> None:
        suite = read_suite(WRITTEN)
        moved = SuiteDeclaration(dataset="flights", expectations=suite.expectations[::-1][:2])
        written = write_suite(moved, comments_in(WRITTEN))
        assert written.index("# Only these:") < written.index("one_of") < written.index("in_range")
        assert "always" not in written

    def test_writing_what_was_written_changes_nothing(self) -> None:
        once = write_suite(read_suite(WRITTEN), comments_in(WRITTEN))
        assert write_suite(read_suite(once), comments_in(once)) == once


TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXTS
PLACES: list[Place] = ["commit", "merge", "training", "deployment"]
st.register_type_strategy(str, TEXTS)
st.register_type_strategy(float, st.floats(allow_nan=False, allow_infinity=False))


@settings(max_examples=examples(150), deadline=None)
@given(
    st.lists(st.sampled_from(sorted(kinds())).flatmap(lambda name: st.from_type(kinds()[name])), max_size=4),
    st.lists(st.sampled_from(PLACES), unique=True),
)
def test_every_suite_is_the_same_after_writing_and_reading(made: list[Expectation], places: list[Place]) -> None:
    suite = SuiteDeclaration(dataset="flights", expectations=tuple(made), gates=tuple(places))
    assert read_suite(write_suite(suite)) == suite


KEYS = TEXTS.filter(lambda key: key != "<<")
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4))


@settings(max_examples=examples(150), deadline=None)
@given(VALUES)
def test_every_value_is_the_same_after_writing_and_reading(value: Json) -> None:
    assert read_yaml(write_yaml(value)).value == value
