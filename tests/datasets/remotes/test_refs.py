"""Refs at a remote: whatever the server, of two writers one wins and the other is told."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from everloop.datasets.remotes.entities import Ref
from everloop.datasets.remotes.refs import (
    CLAIMS,
    KEPT,
    RECORDS,
    REFS,
    STALE,
    ClaimedRefs,
    ConditionalRefs,
    Refs,
    refs_at,
    refs_of,
)
from everloop.kernel.errors import Conflict, Corrupted, Unavailable
from everloop.store.entities import Digest
from tests.datasets.remotes.memory import MemoryBlobs

AT = datetime(2026, 1, 1, tzinfo=UTC)
MAIN = "default/flights/main"


def ref(commit: str, by: str = "ada", name: str = MAIN, id: str = "") -> Ref:
    return Ref(name, Digest(commit * 64), by, AT, id or f"{by}-{commit}")


def claimed(blobs: MemoryBlobs, seed: int = 1) -> ClaimedRefs:
    return ClaimedRefs(blobs, Random(seed), pause=lambda _: None)


@pytest.fixture
def blobs() -> MemoryBlobs:
    return MemoryBlobs()


@pytest.fixture(params=["conditional", "claims"])
def refs(request: pytest.FixtureRequest, blobs: MemoryBlobs) -> Refs:
    """Refs in either scheme, the second on a server that ignores conditions."""
    blobs.conditional = request.param == "conditional"
    return ConditionalRefs(blobs) if blobs.conditional else claimed(blobs)


class TestRefs:
    def test_a_ref_that_nobody_made_is_not_there(self, refs: Refs) -> None:
        assert refs.read(MAIN) is None
        assert refs.below() == []

    def test_a_ref_points_where_it_was_moved_to(self, refs: Refs) -> None:
        refs.move(ref("a"), "")
        refs.move(ref("b"), "a" * 64)
        assert refs.read(MAIN) == ref("b")

    def test_a_move_from_somewhere_else_is_refused_and_says_where_it_is(self, refs: Refs) -> None:
        refs.move(ref("a"), "")
        with pytest.raises(Conflict, match="aaaaaaaaaaaa by ada") as caught:
            refs.move(ref("c", "bob"), "b" * 64)
        assert "Pull" in caught.value.hint
        assert refs.read(MAIN) == ref("a")

    def test_a_ref_that_is_there_cannot_be_made_again(self, refs: Refs) -> None:
        refs.move(ref("a"), "")
        with pytest.raises(Conflict):
            refs.move(ref("b", "bob"), "")

    def test_a_ref_that_is_gone_cannot_be_moved(self, refs: Refs) -> None:
        with pytest.raises(Conflict, match="not at the remote"):
            refs.move(ref("b"), "a" * 64)

    def test_refs_are_listed_by_name_below_a_prefix(self, refs: Refs) -> None:
        for name in ("default/weather/main", MAIN, "other/flights/main"):
            refs.move(ref("a", name=name, id=name), "")
        assert [found.name for found in refs.below("default/")] == [MAIN, "default/weather/main"]

    def test_what_refs_point_to_are_roots(self, refs: Refs, blobs: MemoryBlobs) -> None:
        refs.move(ref("a"), "")
        assert "a" * 64 in {ref.commit for ref in refs_at(blobs)}

    def test_a_ref_with_damaged_bytes_is_named(self, refs: Refs, blobs: MemoryBlobs) -> None:
        refs.move(ref("a"), "")
        for key in blobs.kept:
            blobs.kept[key] = (b"{", blobs.now)
        with pytest.raises(Corrupted, match=MAIN):
            refs.read(MAIN)

    def test_the_scheme_that_was_settled_is_used(self, blobs: MemoryBlobs) -> None:
        refs_of(blobs, "conditional", Random(1)).move(ref("a"), "")
        refs_of(blobs, "claims", Random(1)).move(ref("a"), "")
        assert {key.partition("/")[0] + "/" for key in blobs.kept} == {REFS, RECORDS}


def test_a_write_that_was_repeated_after_its_answer_got_lost_has_not_lost(blobs: MemoryBlobs) -> None:
    def swapped_twice(key: str, data: bytes, expected: str | None) -> str:
        swap(key, data, expected)
        return swap(key, data, expected)

    swap, blobs.swap = blobs.swap, swapped_twice  # type: ignore[method-assign]  # As a client's retry does it.
    ConditionalRefs(blobs).move(ref("a"), "")
    assert ConditionalRefs(blobs).read(MAIN) == ref("a")


def test_a_writer_between_reading_and_writing_is_noticed(blobs: MemoryBlobs) -> None:
    def other_first(key: str, data: bytes, expected: str | None) -> str:
        blobs.swap = swap  # type: ignore[method-assign]
        ConditionalRefs(blobs).move(ref("b", "bob"), "")
        return swap(key, data, expected)

    swap, blobs.swap = blobs.swap, other_first  # type: ignore[method-assign]
    with pytest.raises(Conflict, match="bob"):
        ConditionalRefs(blobs).move(ref("a"), "")


class Turns:
    """Lets one writer at a time make one request, in an order that was drawn; then whoever is left."""

    def __init__(self, order: list[int], writers: int) -> None:
        self._order = [turn % writers for turn in order]
        self._going = set(range(writers))
        self._changed = threading.Condition()

    def wait(self, writer: int) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._next() == writer, timeout=10)
            if self._order:
                self._order.pop(0)
            self._changed.notify_all()

    def done(self, writer: int) -> None:
        with self._changed:
            self._going.discard(writer)
            self._changed.notify_all()

    def _next(self) -> int:
        while self._order and self._order[0] not in self._going:
            self._order.pop(0)
        return self._order[0] if self._order else min(self._going)


@given(order=st.lists(st.integers(0, 2), max_size=40), writers=st.integers(2, 3))
def test_of_several_writers_on_a_server_without_conditions_at_most_one_wins_in_any_order(
    order: list[int], writers: int
) -> None:
    blobs, turns = MemoryBlobs(conditional=False), Turns(order, writers)
    ids = threading.local()
    outcomes: dict[int, str] = {}

    def write(writer: int) -> None:
        ids.writer = writer
        try:
            claimed(blobs, writer).move(ref("abc"[writer], f"writer-{writer}"), "")
            outcomes[writer] = "won"
        except (Conflict, Unavailable):
            outcomes[writer] = "told"
        finally:
            turns.done(writer)

    blobs.turn = lambda: turns.wait(ids.writer)
    threads = [threading.Thread(target=write, args=(writer,)) for writer in range(writers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    blobs.turn = lambda: None
    winners = [writer for writer, outcome in outcomes.items() if outcome == "won"]
    found = claimed(blobs).read(MAIN)
    assert len(outcomes) == writers
    assert len(winners) <= 1
    assert (found is None) == (not winners)
    if found is not None:
        assert found.by == f"writer-{winners[0]}"


def test_a_claim_of_a_living_writer_keeps_others_away(blobs: MemoryBlobs) -> None:
    blobs.put(f"{CLAIMS}{MAIN}/{1:012}-somebody", b"")
    with pytest.raises(Unavailable, match="Others are moving"):
        claimed(blobs).move(ref("a"), "")
    assert claimed(blobs).read(MAIN) is None


def test_a_claim_of_a_dead_writer_ends_by_itself(blobs: MemoryBlobs) -> None:
    blobs.put(f"{CLAIMS}{MAIN}/{1:012}-somebody", b"")
    blobs.let_pass(STALE + timedelta(seconds=1))
    claimed(blobs).move(ref("a"), "")
    assert claimed(blobs).read(MAIN) == ref("a")
    assert list(blobs.keys(CLAIMS)) == []


def test_a_writer_whose_claim_was_taken_for_a_dead_one_s_does_not_write(blobs: MemoryBlobs) -> None:
    def robbed(key: str, data: bytes) -> None:
        if not key.startswith(CLAIMS):
            put(key, data)

    put, blobs.put = blobs.put, robbed  # type: ignore[method-assign]
    with pytest.raises(Unavailable):
        claimed(blobs).move(ref("a"), "")
    assert claimed(blobs).read(MAIN) is None


def test_a_move_whose_record_may_have_arrived_keeps_its_claim(blobs: MemoryBlobs) -> None:
    def lost(key: str, data: bytes) -> None:
        if key.startswith(RECORDS):
            raise Unavailable("The line went dead.")
        put(key, data)

    put, blobs.put = blobs.put, lost  # type: ignore[method-assign]
    with pytest.raises(Unavailable):
        claimed(blobs).move(ref("a"), "")
    assert len(list(blobs.keys(CLAIMS))) == 1


def test_old_records_are_forgotten(blobs: MemoryBlobs) -> None:
    refs = claimed(blobs)
    before = ""
    for number in range(KEPT + 5):
        refs.move(Ref(MAIN, Digest(f"{number:064x}"), "ada", AT, str(number)), before)
        before = f"{number:064x}"
    assert len(list(blobs.keys(RECORDS))) == KEPT
