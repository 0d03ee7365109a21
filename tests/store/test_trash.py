"""The trash: what is dead waits for the time of grace, can be had all the while, and comes back when it is needed."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from random import Random

import pytest

from everloop.backends.blobs.folder import FolderBlobs
from everloop.kernel.errors import NotFound
from everloop.store.chunks import WHOLE
from everloop.store.entities import Digest, TreeEntry
from everloop.store.service import Store
from tests.store.aging import age

NOW = timedelta(0)
DATA = [Random(n).randbytes(1_000) for n in range(10)]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(FolderBlobs(tmp_path))


def packed(store: Store, *data: bytes) -> list[Digest]:
    with store.bulk() as bulk:
        return [bulk.put(item) for item in data]


def later(store: Store, *roots: Digest, days: float = 2) -> int:
    """A sweep some days later; how many objects it removed."""
    assert store.blobs.local is not None
    age(store.blobs.local, days)
    return store.sweep(roots, dry_run=False).removed


def stamps(store: Store) -> list[str]:
    return [each.stamp for each in store.trash()]


def test_what_is_dead_waits_in_the_trash_and_can_be_read_there(store: Store) -> None:
    digests = packed(store, *DATA)
    assert later(store) == 0
    assert [each.objects for each in store.trash()] == [10]
    assert [store.get(digest) for digest in digests] == DATA


def test_what_waited_for_the_time_of_grace_goes(store: Store) -> None:
    packed(store, *DATA)
    assert [later(store), later(store, days=0.5), later(store)] == [0, 0, 10]
    assert (stamps(store), list(store.digests())) == ([], [])


def test_a_dry_run_tells_what_would_be_condemned(store: Store, tmp_path: Path) -> None:
    packed(store, *DATA)
    age(tmp_path)
    planned = store.sweep([], dry_run=True)
    assert (planned.removed, planned.condemned, planned.condemned_bytes) == (0, 10, 10_000)
    assert store.trash() == []


def test_what_is_pointed_to_again_comes_out_of_the_trash(store: Store) -> None:
    digests = packed(store, *DATA)
    later(store)
    assert later(store, digests[0]) == 9 or store.has(digests[0])
    assert store.get(digests[0]) == DATA[0]
    assert stamps(store) == []


def test_what_was_needed_in_between_waits_anew(store: Store) -> None:
    digests = packed(store, *DATA)
    later(store)
    later(store, *digests)
    assert later(store) == 0
    assert later(store) == 10


def test_without_grace_all_goes_at_once_and_the_trash_is_empty(store: Store) -> None:
    packed(store, *DATA)
    later(store)
    assert store.sweep([], dry_run=False, grace=NOW).removed == 10
    assert store.trash() == []


def test_undeleting_keeps_objects_for_the_time_of_grace(store: Store) -> None:
    digests = [*packed(store, *DATA), store.put(b"loose")]
    later(store)
    (stamp,) = stamps(store)
    done = store.undelete(stamp)
    assert (done.stamps, done.objects, done.gone) == ((stamp,), 11, 0)
    assert store.sweep([], dry_run=False).condemned == 0
    assert store.missing(digests) == set()


def test_undeleting_does_not_bring_back_what_is_gone(store: Store, tmp_path: Path) -> None:
    packed(store, *DATA)
    later(store)
    kept = store.blobs.get(next(iter(store.blobs.keys("trash/"))).key)
    later(store)
    store.blobs.put("trash/20260101T000000Z-0011223344556677", kept)
    assert store.undelete("all").gone == 10


def test_nothing_is_undeleted_from_a_bin_that_is_not_there(store: Store) -> None:
    assert store.undelete("all").objects == 0
    with pytest.raises(NotFound, match="never"):
        store.undelete("never")


def test_all_takes_every_bin_and_a_stamp_one(store: Store) -> None:
    packed(store, DATA[0])
    (kept,) = packed(store, DATA[1])
    later(store, kept)
    later(store, days=0.1)
    oldest, newest = stamps(store)
    assert store.undelete(newest).objects == 1
    assert stamps(store) == [oldest]
    assert store.undelete("all").stamps == (oldest,)


def test_who_puts_again_what_is_in_the_trash_saves_it(store: Store) -> None:
    digests = [*packed(store, *DATA), store.put(b"loose")]
    later(store)
    assert store.blobs.local is not None
    age(store.blobs.local)
    packed(store, DATA[0])
    store.put(b"loose")
    assert store.sweep([], dry_run=False).removed == 9
    assert [store.has(digest) for digest in (digests[0], digests[1], digests[10])] == [True, False, True]


@pytest.mark.parametrize("size", [100, 2 * WHOLE])
def test_what_waits_keeps_all_that_it_is_made_of(store: Store, size: int) -> None:
    """A part that was condemned long ago must wait for a tree that was condemned just now."""
    part = packed(store, Random(1).randbytes(size))[0]
    later(store)
    tree = store.put_tree([TreeEntry("a", part, size)])
    assert later(store) == 0
    store.undelete("all")
    assert store.get(store.tree(tree)[0].digest) == Random(1).randbytes(size)
    assert store.examine().faults == []


def test_relying_on_objects_keeps_them_and_names_those_that_are_not_there(store: Store, tmp_path: Path) -> None:
    digests = [*packed(store, *DATA), store.put(b"loose")]
    age(tmp_path)
    assert store.rely([*digests, Digest("0" * 64)]) == {"0" * 64}
    assert store.sweep([], dry_run=False).condemned == 0


def test_a_torn_list_in_the_trash_condemns_nothing_more_than_it_names(store: Store, tmp_path: Path) -> None:
    kept = packed(store, *DATA)
    (tmp_path / "trash").mkdir()
    (tmp_path / "trash" / "notes.txt").write_bytes(b"x" * 64)
    assert later(store, *kept) == 0
    assert (tmp_path / "trash" / "notes.txt").exists()
