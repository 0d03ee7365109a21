"""What a place can do is found out by trying."""

from __future__ import annotations

import pytest

from everloop.datasets.remotes.entities import Probe
from everloop.datasets.remotes.probe import FORMAT, probe, settle
from everloop.kernel.errors import Misconfigured
from tests.datasets.remotes.memory import MemoryBlobs


def test_a_place_that_does_all_is_found_to_do_all() -> None:
    found = probe(MemoryBlobs(), "one")
    assert (found.writes, found.ranges, found.creates_once, found.swaps) == (True, True, True, True)
    assert found.conditional


def test_a_server_that_ignores_conditions_is_found_out() -> None:
    found = probe(MemoryBlobs(conditional=False), "one")
    assert found.writes
    assert not found.creates_once
    assert not found.swaps


def test_a_place_that_can_only_be_read_is_fine() -> None:
    found = probe(MemoryBlobs(writable=False), "one")
    assert not found.writes
    assert not found.conditional


def test_nothing_is_left_behind() -> None:
    blobs = MemoryBlobs()
    probe(blobs, "one")
    assert blobs.kept == {}


def test_a_place_that_forgets_is_no_place() -> None:
    blobs = MemoryBlobs()
    blobs.get = lambda key: b"something else"  # type: ignore[method-assign]
    with pytest.raises(Misconfigured, match="come back"):
        probe(blobs, "one")
    assert blobs.kept == {}


def test_a_place_that_lists_late_is_no_place() -> None:
    blobs = MemoryBlobs()
    blobs.keys = lambda prefix: iter([])  # type: ignore[method-assign]
    with pytest.raises(Misconfigured, match="listing"):
        probe(blobs, "one")


def test_the_first_user_settles_how_refs_move() -> None:
    blobs = MemoryBlobs(conditional=False)
    assert settle(blobs, probe(blobs, "one")) == "claims"
    blobs.conditional = True
    assert settle(blobs, probe(blobs, "two")) == "claims"


def test_a_place_set_up_for_conditions_is_not_used_without_them() -> None:
    blobs = MemoryBlobs()
    assert settle(blobs, probe(blobs, "one")) == "conditional"
    blobs.conditional = False
    with pytest.raises(Misconfigured, match="ignores them"):
        settle(blobs, probe(blobs, "two"))


def test_nothing_is_settled_where_nothing_can_be_written() -> None:
    blobs = MemoryBlobs(writable=False)
    assert settle(blobs, probe(blobs, "one")) == "claims"
    assert blobs.kept == {}


def test_a_place_of_somebody_else_is_refused() -> None:
    blobs = MemoryBlobs()
    blobs.put(FORMAT, b"not ours")
    with pytest.raises(Misconfigured, match="not ours"):
        settle(blobs, Probe(True, True, True, True, 1.0))
