"""Names, ids and URNs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from random import Random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from everloop.kernel.errors import InvalidInput
from everloop.kernel.ids import Name, Urn, new_id, parse_urn

AT = datetime(2026, 1, 1, tzinfo=UTC)
NAMES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,20}", fullmatch=True)


@given(st.from_regex(r"[a-z][a-z_]{0,10}", fullmatch=True), NAMES, NAMES, st.just("") | NAMES)
def test_a_urn_goes_there_and_back(kind: str, project: str, name: str, version: str) -> None:
    urn = Urn(kind, project, name, version)
    assert parse_urn(str(urn)) == urn


def test_a_urn_reads_as_it_is_written() -> None:
    assert str(Urn("model", "default", "delay", "3")) == "model:default/delay@3"
    assert str(Urn("endpoint", "default", "delay")) == "endpoint:default/delay"


def test_a_name_in_a_urn_may_have_parts() -> None:
    assert parse_urn("monitor:default/delay/drift").name == "delay/drift"


@pytest.mark.parametrize(
    "text",
    ["", "delay", "model:delay", "Model:default/delay", "model:default/", "model:default/a b", "model:default/a\n"],
)
def test_what_is_no_urn_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(InvalidInput, match="not a URN") as caught:
        parse_urn(text)
    assert "model:default/delay@3" in caught.value.hint


@pytest.mark.parametrize("name", ["a", "A-1.b_c", "0", "x" * 128])
def test_names_that_are_fine(name: str) -> None:
    assert msgspec.convert(name, Name) == name


@pytest.mark.parametrize("name", ["", ".a", "-a", "_a", "a b", "a/b", "a\n", "é", "x" * 129, "a@1", "../a", "a\0"])
def test_names_that_are_not(name: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(name, Name)


def test_ids_sort_by_time() -> None:
    random = Random(1)
    ids = [new_id(AT + timedelta(milliseconds=n), random) for n in range(200)]
    assert ids == sorted(ids)
    assert all(len(found) == 32 for found in ids)


def test_ids_of_one_moment_differ_and_follow_the_seed() -> None:
    one, other = ([new_id(AT, random) for _ in range(100)] for random in (Random(1), Random(1)))
    assert len(set(one)) == 100
    assert one == other


def test_ids_have_their_length_at_the_beginning_of_time_too() -> None:
    assert len(new_id(datetime(1970, 1, 1, tzinfo=UTC), Random(1))) == 32
