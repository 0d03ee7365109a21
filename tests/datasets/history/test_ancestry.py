"""The walk through history: against reachability in random histories."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from everloop.datasets.history.ancestry import Bases, ancestry, common_ancestor, made_from
from tests.examples import examples


@st.composite
def histories(draw: st.DrawFn) -> Bases:
    """Versions that are each made from none, one or two earlier ones."""
    count = draw(st.integers(1, 12))
    return {
        version: tuple(draw(st.lists(st.integers(1, version - 1), max_size=2, unique=True)) if version > 1 else ())
        for version in range(1, count + 1)
    }


@settings(max_examples=examples(100), deadline=None)
@given(histories(), st.data())
def test_no_common_version_comes_after_the_common_ancestor(bases: Bases, data: st.DataObject) -> None:
    one, other = (data.draw(st.sampled_from(sorted(bases))) for _ in range(2))
    common = ancestry(bases, one) & ancestry(bases, other)
    found = common_ancestor(bases, one, other)
    assert found == common_ancestor(bases, other, one)
    assert (found in common) if common else (found == 0)
    assert not any(found in ancestry(bases, version) for version in common - {found})


@settings(max_examples=examples(50), deadline=None)
@given(histories())
def test_what_led_to_a_version_led_to_what_it_led_to(bases: Bases) -> None:
    for version, made in bases.items():
        assert ancestry(bases, version) == {version}.union(*(ancestry(bases, each) for each in made))


def test_a_long_history_is_walked_without_recursion() -> None:
    bases = {version: (version - 1,) if version > 1 else () for version in range(1, 50_001)}
    assert len(ancestry(bases, 50_000)) == 50_000


@pytest.mark.parametrize(
    ("version", "base", "commit", "made"),
    [(1, (), "", ()), (3, (), "", (2,)), (3, (), "c", ()), (3, (1,), "c", (1,))],
)
def test_before_it_was_written_down_each_was_made_from_the_one_before(
    version: int, base: tuple[int, ...], commit: str, made: tuple[int, ...]
) -> None:
    assert made_from(version, base, commit) == made
