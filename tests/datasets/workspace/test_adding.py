"""Adding relies on what the store has, and on nothing that it had once."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from everloop.datasets.workspace import adding
from everloop.datasets.workspace.folders import build
from everloop.datasets.workspace.index import Index, content_of, digest_in
from everloop.datasets.workspace.workspace import Workspace
from everloop.kernel.errors import InvalidInput, NotFound
from everloop.store.entities import Digest, TreeEntry
from everloop.store.objects import raw_digest
from everloop.store.service import Store
from everloop.store.trees import EMPTY
from tests.datasets.workspace.conftest import Kept, read, write

Opened = Callable[[Path], Workspace]


@pytest.fixture
def added(opened: Opened, images: Path) -> Path:
    """A folder that was added, and is old enough for the index to know it unread."""
    time.sleep(0.05)
    opened(images).add()
    return images


@pytest.fixture
def store(versions: Kept) -> Store:
    """The platform's store."""
    return versions.store


def lose(versions: Kept, what: str) -> None:
    """Remove something below the store's folder."""
    place = versions.store.blobs.local
    assert place is not None
    shutil.rmtree(place / what) if what else [shutil.rmtree(inner) for inner in place.iterdir()]
    (place / "staging").mkdir(exist_ok=True)
    versions.store.objects.index.close()


@pytest.mark.parametrize("what", ["", "packs"])
def test_a_store_that_lost_everything_is_filled_again(opened: Opened, added: Path, versions: Kept, what: str) -> None:
    before = read(added)
    lose(versions, what)
    made = opened(added).add()
    assert (made.version, made.read_files) == (1, 3)
    shutil.rmtree(added)
    opened(added).checkout()
    assert read(added) == before


def test_a_change_in_a_folder_whose_store_lost_everything_is_a_whole_version(
    opened: Opened, added: Path, versions: Kept
) -> None:
    lose(versions, "")
    write(added, {"new.txt": "new"})
    made = opened(added).add()
    assert (made.version, made.read_files, made.files) == (2, 4, 4)
    digests = {entry.digest for entry in versions.store.tree(made.root)}
    assert len(list(versions.store.get_many(digests))) == 4


def test_without_store_and_index_the_folder_is_read_again(opened: Opened, added: Path, versions: Kept) -> None:
    lose(versions, "")
    shutil.rmtree(versions.home)
    assert opened(added).add().read_files == 3
    assert opened(added).status().clean


def test_only_what_one_pack_held_is_read_again(opened: Opened, added: Path, versions: Kept) -> None:
    write(added, {"later.txt": "later"})
    time.sleep(0.05)
    opened(added).add()
    wanted = versions.store.objects.index.place(raw_digest(b"later"))
    assert wanted is not None
    place = versions.store.blobs.local
    assert place is not None
    next(place.rglob(wanted.pack.name.hex()[2:])).unlink()
    assert opened(added).add().read_files == 1
    assert versions.store.get(Digest(raw_digest(b"later").hex())) == b"later"


def test_what_is_all_there_is_not_asked_for(
    opened: Opened, added: Path, versions: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[bytes] = []
    rely = adding.Bulk.rely
    monkeypatch.setattr(adding.Bulk, "rely", lambda bulk, raws: asked.extend(raws) or rely(bulk, raws))
    write(added, {"a.txt": "changed"})
    opened(added).add()
    assert raw_digest(b"changed") in asked
    assert raw_digest(b"two") not in asked


def test_after_a_switch_the_store_is_asked_once(opened: Opened, added: Path, versions: Kept) -> None:
    write(added, {"a.txt": "changed"})
    opened(added).add()
    opened(added).checkout("1")
    opened(added).checkout("2")
    assert Index.load(opened(added).index.path).packs == set()
    assert opened(added).add().version == 2
    assert set() < Index.load(opened(added).index.path).packs <= versions.store.objects.index.packs().keys()


def test_paths_that_were_not_chosen_cannot_be_read_again(opened: Opened, added: Path, versions: Kept) -> None:
    shutil.rmtree(added)
    opened(added).checkout(only=("deep",))
    lose(versions, "")
    shutil.rmtree(versions.home)
    with pytest.raises(NotFound, match="does not have the version"):
        opened(added).add()


def test_a_tree_is_made_as_the_store_makes_it(tmp_path: Path, store: Store) -> None:
    index = Index(tmp_path / "index")
    for path in ("b", "a/b/c", "a/d", "a.b/x"):
        known = index.need(path)
        known.content, known.size = content_of(raw_digest(path.encode()), "file"), len(path)
    index.need("gone/file")
    held = [(path, known) for path, known in index.items() if known.content]
    entries = [TreeEntry(path, digest_in(known.content), known.size) for path, known in held]
    entries += [TreeEntry(path, EMPTY, 0, "folder") for path in ("a/none", "void")]
    with store.bulk() as bulk:
        built = build(index.folders, {"a/none", "void"}, (), bulk.put)
        assert built.root == store.put_tree(entries, bulk)
    assert (built.files, built.size) == (4, sum(map(len, ("b", "a/b/c", "a/d", "a.b/x"))))


def test_a_name_cannot_be_a_files_and_a_folders(tmp_path: Path, store: Store) -> None:
    index = Index(tmp_path / "index")
    for path in ("a", "a/b"):
        index.need(path).base = index.need(path).content = content_of(raw_digest(b"x"), "file")
    with pytest.raises(InvalidInput, match="both 'a' and 'a'"), store.bulk() as bulk:
        build(index.folders, set(), ("a/b",), bulk.put)


def test_names_that_differ_by_case_are_told_wherever_they_are(tmp_path: Path, store: Store) -> None:
    index = Index(tmp_path / "index")
    for path in ("x/A/one", "x/a/two"):
        index.need(path).content = content_of(raw_digest(b"x"), "file")
    with store.bulk() as bulk:
        assert build(index.folders, set(), (), bulk.put).twins == [("x/A", "x/a")]
