"""Immutable files become part of the store without a copy; who changes one is found out."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest

from everloop.backends.blobs.folder import FolderBlobs
from everloop.kernel.errors import Conflict, Corrupted, NotFound, Refused
from everloop.store import adoption
from everloop.store.chunks import WHOLE
from everloop.store.entities import Digest
from everloop.store.service import Store, digest_of

LARGE = Random(3).randbytes(4 * WHOLE)
NOW = timedelta(0)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(FolderBlobs(tmp_path / "store"))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "file").write_bytes(LARGE)
    return tmp_path / "file"


@pytest.fixture
def adopted(store: Store, file: Path) -> Digest:
    return store.adopt(file, ("hardlink",))


def test_an_adopted_file_is_had_by_its_address_and_costs_no_copy(store: Store, adopted: Digest, file: Path) -> None:
    assert adopted == digest_of(LARGE)
    assert store.get(adopted) == LARGE
    assert file.stat().st_nlink == 2
    assert store.stats().bytes < len(LARGE) / 100


def test_nobody_may_write_to_an_adopted_file_by_accident(adopted: Digest, file: Path) -> None:
    assert file.stat().st_mode & 0o222 == 0


def test_an_edited_copy_costs_its_new_chunks_only(store: Store, adopted: Digest, tmp_path: Path) -> None:
    (tmp_path / "edited").write_bytes(LARGE[:WHOLE] + b"edit" + LARGE[WHOLE:])
    second = store.adopt(tmp_path / "edited", ("hardlink",))
    assert (tmp_path / "edited").stat().st_nlink == 1
    assert store.get(second)[WHOLE : WHOLE + 4] == b"edit"
    assert store.stats().bytes < len(LARGE) / 5


def test_a_changed_file_is_named_and_refused(store: Store, adopted: Digest, file: Path) -> None:
    file.chmod(0o600)
    file.write_bytes(LARGE[:-1] + b"!")
    with pytest.raises(Corrupted, match="adopted/"):
        store.get(adopted)
    assert store.verify()[0].key.startswith("adopted/")


def test_the_index_is_made_anew_with_what_was_adopted(store: Store, adopted: Digest) -> None:
    store.rebuild_index()
    assert store.get(adopted) == LARGE


def test_the_file_may_be_removed_from_where_it_was(store: Store, adopted: Digest, file: Path) -> None:
    file.unlink()
    assert store.get(adopted) == LARGE


def test_what_was_adopted_and_is_not_needed_goes(store: Store, adopted: Digest, file: Path) -> None:
    assert store.sweep([adopted], dry_run=False, grace=NOW).removed == 0
    assert store.sweep([], dry_run=False, grace=NOW).removed > 1
    assert not store.has(adopted)
    assert file.read_bytes() == LARGE
    assert [blob.key for blob in store.blobs.keys("adopted/")] == []


def test_a_small_file_is_just_kept(store: Store, tmp_path: Path) -> None:
    (tmp_path / "small").write_bytes(b"small")
    assert store.get(store.adopt(tmp_path / "small")) == b"small"
    assert (tmp_path / "small").stat().st_nlink == 1


def test_a_disk_that_knows_no_way_refuses_and_keeps_nothing(
    store: Store, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def impossible(*_: object) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(adoption, "_reflink", impossible)
    with pytest.raises(Refused, match="reflink: Operation not supported"):
        store.adopt(file, ("reflink",))
    assert list(store.digests()) == []


def test_a_file_that_changes_meanwhile_is_not_taken_in(
    store: Store, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    linked = adoption._linked

    def changed_then_linked(*given: Any) -> None:
        file.write_bytes(LARGE[:-1] + b"!")
        linked(*given)

    mode = file.stat().st_mode
    monkeypatch.setattr(adoption, "_linked", changed_then_linked)
    with pytest.raises(Conflict, match="was changed"):
        store.adopt(file, ("hardlink",))
    # Otherwise the right bytes, put later, would be taken for there already.
    assert store.get(store.put(LARGE)) == LARGE
    assert (file.stat().st_nlink, file.stat().st_mode) == (1, mode)


def test_one_way_that_fails_is_followed_by_the_next(store: Store, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def copied(source: object, target: Path) -> None:
        target.write_bytes(LARGE)

    monkeypatch.setattr(adoption, "_hardlink", _failing)
    monkeypatch.setattr(adoption, "_reflink", copied)
    assert store.get(store.adopt(file, ("hardlink", "reflink"))) == LARGE


def test_a_file_that_is_not_there_is_not_found(store: Store, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="nothing_here"):
        store.adopt(tmp_path / "nothing_here")


def _failing(*_: object) -> None:
    raise OSError(18, "Invalid cross-device link")
