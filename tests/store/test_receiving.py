"""Objects that come piece by piece, as from a network."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from everloop.backends.blobs.folder import open_blobs
from everloop.store.chunks import WHOLE
from everloop.store.ranged import stream
from everloop.store.receiving import Receiving
from everloop.store.service import Store, digest_of

LARGE = Random(5).randbytes(3 * WHOLE + 77)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A store in a folder."""
    return Store(open_blobs((tmp_path / "store").as_uri()))


def received(store: Store, *blocks: list[bytes]) -> str:
    """The address of what came in these blocks."""
    receiving = Receiving(store)
    try:
        for block in blocks:
            receiving.feed(block)
        return receiving.finish()
    finally:
        receiving.close()


@pytest.mark.parametrize("size", [0, 1, WHOLE - 1, WHOLE, WHOLE + 1, 2 * WHOLE])
def test_what_came_in_pieces_has_the_address_of_the_whole(store: Store, size: int) -> None:
    data = LARGE[:size]
    assert received(store, [data[:7], data[7:]]) == digest_of(data)
    assert store.get(digest_of(data)) == data
    assert store.size(digest_of(data)) == size


def test_a_large_object_is_cut_where_the_same_file_would_be(store: Store, tmp_path: Path) -> None:
    digest = received(store, *([LARGE[at : at + 500_000]] for at in range(0, len(LARGE), 500_000)))
    other = Store(open_blobs((tmp_path / "other").as_uri()))
    assert store.recipe(digest) == other.recipe(other.put(LARGE))


@settings(max_examples=20, deadline=None)
@given(cuts=st.lists(st.integers(0, len(LARGE)), max_size=8))
def test_how_the_pieces_are_cut_makes_no_difference(tmp_path_factory: pytest.TempPathFactory, cuts: list[int]) -> None:
    store = Store(open_blobs(tmp_path_factory.mktemp("store").as_uri()))
    edges = [0, *sorted(cuts), len(LARGE)]
    digest = received(store, *([LARGE[low:high]] for low, high in pairwise(edges)))
    assert digest == digest_of(LARGE)
    assert b"".join(store.parts(digest)) == LARGE


def test_what_was_not_finished_cannot_be_found(store: Store) -> None:
    receiving = Receiving(store)
    receiving.feed([LARGE])
    receiving.close()
    assert not store.has(digest_of(LARGE))
    assert store.verify() == []


def test_two_at_once_do_not_mix(store: Store) -> None:
    one, two = Receiving(store), Receiving(store)
    for at in range(0, len(LARGE), WHOLE):
        one.feed([LARGE[at : at + WHOLE]])
        two.feed([LARGE[::-1][at : at + WHOLE]])
    assert (one.finish(), two.finish()) == (digest_of(LARGE), digest_of(LARGE[::-1]))
    one.close()
    two.close()


@settings(max_examples=30, deadline=None)
@given(start=st.integers(0, len(LARGE) + 5), length=st.integers(0, len(LARGE)))
def test_any_stretch_of_an_object_is_read_back(kept: Store, start: int, length: int) -> None:
    for data in (LARGE, LARGE[:1000]):
        assert b"".join(stream(kept, digest_of(data), start, start + length)) == data[start : start + length]


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A store with a large object and a small one."""
    store = Store(open_blobs(tmp_path_factory.mktemp("store").as_uri()))
    store.put(LARGE)
    store.put(LARGE[:1000])
    return store
