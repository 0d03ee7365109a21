"""Sweeps and writers at the same time: one of both always sees the other."""

from __future__ import annotations

import threading
import time
from datetime import timedelta
from pathlib import Path
from random import Random

import pytest

from everloop.backends.blobs.folder import FolderBlobs
from everloop.kernel.errors import Conflict, Unavailable
from everloop.store import compaction, removal
from everloop.store.removal import Removal, wait_for_removals
from everloop.store.service import Store, digest_of
from tests.store.aging import age

NOW = timedelta(0)
MINE, OTHER = b"m" * 32, b"o" * 32


@pytest.fixture
def blobs(tmp_path: Path) -> FolderBlobs:
    return FolderBlobs(tmp_path)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(removal, "DEAD", 0.3)


def test_who_needs_nothing_that_goes_does_not_wait(blobs: FolderBlobs) -> None:
    assert not wait_for_removals(blobs, {MINE})
    with Removal(blobs, OTHER):
        assert not wait_for_removals(blobs, {MINE})


def test_who_needs_what_goes_waits_until_it_is_gone(blobs: FolderBlobs) -> None:
    waited = threading.Event()
    with Removal(blobs, OTHER + MINE):
        waiting = threading.Thread(target=lambda: wait_for_removals(blobs, {MINE}) and waited.set())
        waiting.start()
        time.sleep(0.15)
        assert not waited.is_set()
    waiting.join()
    assert waited.is_set()
    assert list(blobs.keys("removals/")) == []


def test_a_removal_that_died_stops_nobody_for_long(blobs: FolderBlobs, quick: None) -> None:
    Removal(blobs, MINE).__enter__()
    assert wait_for_removals(blobs, {MINE})
    assert list(blobs.keys("removals/")) == []


def test_a_removal_that_lives_is_waited_for_however_long_it_takes(
    blobs: FolderBlobs, quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(removal, "_BEAT", 0.05)
    with Removal(blobs, MINE) as going:
        waiting = threading.Thread(target=lambda: wait_for_removals(blobs, {MINE}))
        waiting.start()
        for _ in range(10):
            time.sleep(0.06)
            going.go_on()
        assert waiting.is_alive()
    waiting.join()


def test_a_removal_that_slept_does_not_go_on(blobs: FolderBlobs, quick: None) -> None:
    with Removal(blobs, MINE) as going:
        time.sleep(0.2)
        with pytest.raises(Unavailable, match="interrupted"):
            going.go_on()


def test_a_writer_elsewhere_that_finds_what_goes_is_told_or_has_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It comes when the sweep has looked for leases already and is about to delete."""
    store, data = Store(FolderBlobs(tmp_path)), [Random(n).randbytes(500) for n in range(20)]
    with store.bulk() as bulk:
        digests = [bulk.put(item) for item in data]
    remove, outcome = compaction.remove, []

    def put_meanwhile() -> None:
        try:
            with Store(FolderBlobs(tmp_path)).bulk() as bulk:
                bulk.put(data[3])
            outcome.append("kept")
        except Conflict:
            outcome.append("told")

    writer = threading.Thread(target=put_meanwhile)

    def removed(*arguments: object) -> None:
        writer.start()
        time.sleep(0.3)
        remove(*arguments)  # type: ignore[arg-type]  # Passed on as they came.

    monkeypatch.setattr(compaction, "remove", removed)
    store.sweep([], dry_run=False, grace=NOW)
    writer.join()
    assert outcome == ["told"] or store.get(digests[3]) == data[3]


def test_a_loose_object_that_is_put_while_it_goes_is_there_afterwards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(FolderBlobs(tmp_path))
    store.put(b"loose")
    age(tmp_path)
    delete, writers = FolderBlobs.delete, []

    def deleted(self: FolderBlobs, key: str) -> None:
        if key.startswith("objects/"):
            writers.append(threading.Thread(target=lambda: Store(FolderBlobs(tmp_path)).put(b"loose")))
            writers[-1].start()
            time.sleep(0.3)
        delete(self, key)

    monkeypatch.setattr(FolderBlobs, "delete", deleted)
    assert store.sweep([], dry_run=False, grace=NOW).removed == 1
    for writer in writers:
        writer.join()
    assert len(writers) == 1
    assert store.get(digest_of(b"loose")) == b"loose"


def test_two_sweeps_at_once_lose_nothing(tmp_path: Path) -> None:
    store = Store(FolderBlobs(tmp_path))
    with store.bulk() as bulk:
        digests = [bulk.put(Random(n).randbytes(500)) for n in range(300)]
    sweeps = [Store(FolderBlobs(tmp_path)).planned_sweep(digests[:100], NOW) for _ in range(3)]
    threads = [threading.Thread(target=sweep.carry_out) for sweep in sweeps]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert store.verify(digests[:100]) == []
    assert store.missing(digests[100:]) == set(digests[100:])
    assert store.examine().faults == []


class Elsewhere(FolderBlobs):
    """A folder that behaves as a bucket: every machine has an index of its own."""

    @property
    def local(self) -> None:  # type: ignore[override]  # A folder has one, a bucket has not.
        return None


@pytest.mark.parametrize("bulk", [True, False])
def test_what_another_machine_swept_is_not_taken_for_there(tmp_path: Path, bulk: bool) -> None:
    """The index here still knows it."""
    here, there = Store(Elsewhere(tmp_path)), Store(Elsewhere(tmp_path))
    with here.bulk() as writer:
        digest = writer.put(b"some bytes")
    assert here.has(digest)
    there.sweep([], dry_run=False, grace=NOW)
    if bulk:
        with here.bulk() as writer:
            writer.put(b"some bytes")
    else:
        here.put(b"some bytes")
    assert Store(Elsewhere(tmp_path)).get(digest) == b"some bytes"


def test_a_lease_on_another_machine_stops_a_sweep_that_was_planned_before(tmp_path: Path) -> None:
    here, there = Store(Elsewhere(tmp_path)), Store(Elsewhere(tmp_path))
    with here.bulk() as writer:
        digest = writer.put(b"some bytes")
    planned = there.planned_sweep([], NOW)
    with here.bulk() as writer:
        writer.put(b"some bytes")
    assert planned.carry_out().removed == 0
    assert there.get(digest) == b"some bytes"
