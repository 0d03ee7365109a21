"""Memory for packs: used again, bounded, let go when nobody wants it."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from random import Random

import pytest

from everloop.backends.blobs.folder import FolderBlobs
from everloop.store import buffers, packs
from everloop.store.buffers import KEPT, Buffers
from everloop.store.service import Store

OBJECTS = [Random(n).randbytes(500) + bytes(500) for n in range(200)]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(FolderBlobs(tmp_path / "store"))


def test_a_buffer_that_was_given_back_is_the_next_one() -> None:
    shared = Buffers()
    first, second = shared.take(), shared.take()
    assert first.obj is not second.obj
    shared.give(first)
    assert shared.take() is first


def test_only_some_buffers_are_kept() -> None:
    shared = Buffers()
    for buffer in [shared.take() for _ in range(KEPT + 3)]:
        shared.give(buffer)
    assert len(shared._unused) == KEPT


def test_buffers_that_nobody_wants_are_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(buffers, "IDLE_SECONDS", 0.01)
    shared = Buffers()
    shared.give(shared.take())
    while shared._timer is not None:
        threading.Event().wait(0.01)
    assert shared._unused == []


def test_a_process_that_was_forked_fills_memory_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(buffers, "IDLE_SECONDS", 60)
    shared = Buffers()
    shared.give(shared.take())
    child = os.fork()
    if not child:
        buffer = shared.take()
        buffer[:5] = b"child"
        shared.give(buffer)
        os._exit(0 if shared._timer is not None and shared._timer.is_alive() else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert shared.take()[:5] == bytes(5)


def test_what_one_pack_left_in_memory_is_in_no_other(store: Store) -> None:
    for some in (OBJECTS, OBJECTS[:3], [b"short"]):
        with store.bulk() as bulk:
            digests = [bulk.put(data[::-1]) for data in some]
        assert [store.get(digest) for digest in digests] == [data[::-1] for data in some]
    assert store.verify() == []
    assert len(store.objects.buffers._unused) == 1


def test_a_pack_whose_footer_is_long_has_room_for_it(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packs, "TARGET", 1_000)
    monkeypatch.setattr(buffers, "WHOLE", 100)
    with store.bulk() as bulk:
        digests = [bulk.put(data) for data in OBJECTS]
    assert [store.get(digest) for digest in digests] == OBJECTS
    assert store.verify() == []


def test_bulks_at_once_share_no_buffer(store: Store) -> None:
    with store.bulk() as before:
        before.put(b"leaves a buffer that both want")
    with store.bulk() as one, store.bulk() as other:
        pairs = [(one.put(data), other.put(data[::-1])) for data in OBJECTS]
    for data, (digest, backwards) in zip(OBJECTS, pairs, strict=True):
        assert (store.get(digest), store.get(backwards)) == (data, data[::-1])
