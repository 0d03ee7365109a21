"""Pages of lists: nothing twice, nothing left out, also while the list grows; and no token but one of its own."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from everloop.kernel.errors import InvalidInput
from everloop.server.mlflow.paging import page, page_after

ASKED = {"Filter does not match": "name = 'a'", "Order does not match": ["name"]}
IDS = st.lists(st.text(min_size=1, max_size=5), unique=True, max_size=40)


@given(IDS, st.integers(1, 7))
def test_the_pages_of_a_search_are_its_list(ids: list[str], size: int) -> None:
    shown, token = page_after(ids, "", size, ASKED)
    told = [*shown]
    while token:
        shown, token = page_after(ids, token, size, ASKED)
        told += shown
    assert told == ids


@given(IDS.filter(lambda ids: len(ids) > 3), st.lists(st.text(min_size=6), unique=True, max_size=5))
def test_what_is_added_before_a_page_moves_nothing(ids: list[str], fresh: list[str]) -> None:
    first, token = page_after(ids, "", 2, ASKED)
    rest, end = page_after([*fresh, *ids], token, 100, ASKED)
    assert [*first, *rest] == ids
    assert not end


def test_a_page_goes_on_where_its_last_item_stood_when_that_is_gone() -> None:
    _, token = page_after(["a", "b", "c", "d"], "", 2, ASKED)
    assert page_after(["a", "c", "d"], token, 2, ASKED)[0] == ["d"]


@pytest.mark.parametrize("name", ASKED)
def test_a_token_of_another_search_is_refused_in_words(name: str) -> None:
    _, token = page_after(["a", "b"], "", 1, ASKED)
    with pytest.raises(InvalidInput, match=name):
        page_after(["a", "b"], token, 1, ASKED | {name: "another"})


@given(st.text(min_size=1))
def test_whatever_is_sent_as_a_token_is_read_or_refused(token: str) -> None:
    for pages in (lambda: page(["a"], token, 1), lambda: page_after(["a"], token, 1, ASKED)):
        with suppress(InvalidInput):
            pages()
