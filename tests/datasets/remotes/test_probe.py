"""What a place can do is found out by trying."""

from __future__ import annotations

import pytest

from everloop.datasets.remotes.entities import Probe
from everloop.datasets.remotes.probe import FORMAT, probe, settle
from everloop.kernel.errors import Conflict, EverloopError, InvalidInput, Misconfigured, PermissionDenied, Unavailable
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


class Grudging(MemoryBlobs):
    """A place that fails at some requests: those that begin with a word."""

    def __init__(self, *refused: str, error: type[EverloopError] = Unavailable) -> None:
        super().__init__()
        self.refused = refused
        self.error = error

    def _ask(self, request: str) -> None:
        super()._ask(request)
        if request.startswith(self.refused):
            raise self.error(f"{request} failed.")


class TestTrying:
    def test_happens_below_a_key_of_its_own(self) -> None:
        blobs = MemoryBlobs()
        probe(blobs, "4711")
        asked = {request.partition(" ")[2] for request in blobs.requests}
        assert asked == {"probe/4711/", "probe/4711/plain", "probe/4711/once", "probe/4711/swap"}

    def test_two_at_once_do_not_meet(self) -> None:
        blobs, other = MemoryBlobs(), [probe]
        blobs.turn = lambda: other and other.pop()(blobs, "two")
        assert probe(blobs, "one").conditional
        assert blobs.kept == {}

    def test_a_server_that_does_not_know_conditions_has_none(self) -> None:
        found = probe(Grudging("swap", error=InvalidInput), "one")
        assert found.writes
        assert not found.creates_once
        assert not found.swaps

    def test_a_place_that_cannot_even_be_listed_is_no_place(self) -> None:
        with pytest.raises(Unavailable):
            probe(Grudging("list"), "one")
        with pytest.raises(PermissionDenied):
            probe(Grudging("put", "list", error=PermissionDenied), "one")

    def test_what_went_wrong_is_told_and_not_that_tidying_failed_too(self) -> None:
        blobs = Grudging("list", "delete")
        with pytest.raises(Unavailable, match="list probe/one/ failed"):
            probe(blobs, "one")

    def test_a_place_that_may_not_be_tidied_is_fine_too(self) -> None:
        assert probe(Grudging("delete", error=PermissionDenied), "one").conditional

    def test_ranges_are_found_out(self) -> None:
        blobs = MemoryBlobs()
        blobs.get_range = lambda key, start, length: blobs.get(key)  # type: ignore[method-assign]  # Whole, as some do.
        assert not probe(blobs, "one").ranges

    def test_a_refused_write_that_was_made_all_the_same_does_not_count(self) -> None:
        def overwritten(key: str, data: bytes, expected: str | None) -> str:
            try:
                return swap(key, data, expected)
            except Conflict:
                blobs.kept[key] = (data, blobs.now)
                raise

        blobs = MemoryBlobs()
        swap, blobs.swap = blobs.swap, overwritten  # type: ignore[method-assign]
        found = probe(blobs, "one")
        assert not found.creates_once
        assert not found.swaps

    def test_a_request_takes_time(self) -> None:
        assert probe(MemoryBlobs(), "one").milliseconds >= 0


class TestSettling:
    @pytest.mark.parametrize(
        ("creates_once", "swaps", "scheme"),
        [(True, True, "conditional"), (True, False, "claims"), (False, True, "claims"), (False, False, "claims")],
    )
    def test_takes_both_conditions(self, creates_once: bool, swaps: bool, scheme: str) -> None:
        assert settle(MemoryBlobs(), Probe(True, True, creates_once, swaps, 1.0)) == scheme

    def test_is_kept_where_all_can_read_it(self) -> None:
        blobs = MemoryBlobs()
        settle(blobs, Probe(True, True, True, True, 1.0))
        assert blobs.get(FORMAT) == b'{"refs":"conditional","version":1}'

    def test_of_two_at_once_counts_the_last_for_both(self) -> None:
        blobs = MemoryBlobs()
        put = blobs.put

        def overtaken(key: str, data: bytes) -> None:
            put(key, data)
            put(key, b'{"refs":"claims"}')

        blobs.put = overtaken  # type: ignore[method-assign,assignment]
        assert settle(blobs, Probe(True, True, True, True, 1.0)) == "claims"

    def test_a_reader_uses_what_writers_settled(self) -> None:
        blobs = MemoryBlobs()
        settle(blobs, Probe(True, True, True, True, 1.0))
        assert settle(blobs, Probe(False, True, False, False, 1.0)) == "conditional"

    @pytest.mark.parametrize("data", [b"", b"{}", b'{"refs":"magic"}', b'{"refs":"claims"', b"[]"])
    def test_what_is_not_ours_is_refused_with_what_to_do(self, data: bytes) -> None:
        blobs = MemoryBlobs()
        blobs.put(FORMAT, data)
        with pytest.raises(Misconfigured) as refused:
            settle(blobs, Probe(True, True, True, True, 1.0))
        assert refused.value.hint == "Choose an empty prefix, or a newer everloop."
