"""The verbs of a working copy, from the first add to switching between versions."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from everloop.datasets.workspace.metafile import read_metafile, write_metafile
from everloop.datasets.workspace.workspace import ONLY, Workspace, default_name
from everloop.kernel.errors import Conflict, InvalidInput, NotFound, Refused
from tests.datasets.workspace.conftest import Kept, read, write

Opened = Callable[[Path], Workspace]


def states(work: Workspace) -> dict[str, str]:
    return {change.path: change.state for change in work.status().changes}


def test_add_makes_a_version_and_a_metafile_beside_the_folder(opened: Opened, images: Path) -> None:
    made = opened(images).add(note="first")
    named = read_metafile(images.with_name("images.everloop"))
    assert (made.dataset, made.version, made.files, made.size) == ("images", 1, 3, 11)
    assert (named.dataset, named.root, named.commit, named.files) == ("images", made.root, made.commit, 3)


def test_a_folder_that_was_just_added_is_clean(opened: Opened, images: Path) -> None:
    opened(images).add()
    assert opened(images).status().clean


def test_status_says_what_was_added_modified_and_removed(opened: Opened, images: Path) -> None:
    opened(images).add()
    write(images, {"a.txt": "other", "new.txt": "new"})
    (images / "b.txt").unlink()
    assert states(opened(images)) == {"a.txt": "modified", "b.txt": "removed", "new.txt": "added"}


def test_a_file_of_equal_size_with_other_bytes_is_modified(opened: Opened, images: Path) -> None:
    opened(images).add()
    write(images, {"a.txt": "eno"})
    assert states(opened(images)) == {"a.txt": "modified"}


def test_a_file_that_was_only_touched_is_clean(opened: Opened, images: Path) -> None:
    opened(images).add()
    (images / "a.txt").touch()
    assert opened(images).status().clean


def test_a_moved_file_is_renamed(opened: Opened, images: Path) -> None:
    opened(images).add()
    (images / "a.txt").rename(images / "deep" / "z.txt")
    change = opened(images).status().changes[0]
    assert (change.state, change.before, change.path) == ("renamed", "a.txt", "deep/z.txt")


def test_a_copied_and_removed_file_is_renamed_too(opened: Opened, images: Path) -> None:
    opened(images).add()
    write(images, {"z.txt": "one"})
    (images / "a.txt").unlink()
    assert states(opened(images)) == {"z.txt": "renamed"}


def test_the_bit_that_makes_a_file_executable_is_part_of_its_version(opened: Opened, images: Path) -> None:
    opened(images).add()
    (images / "a.txt").chmod(0o755)
    assert states(opened(images)) == {"a.txt": "modified"}
    opened(images).add()
    opened(images).checkout("1")
    assert not (images / "a.txt").stat().st_mode & 0o111
    opened(images).checkout("2")
    assert (images / "a.txt").stat().st_mode & 0o100


def test_a_status_of_what_did_not_change_needs_no_platform(opened: Opened, images: Path, versions: Kept) -> None:
    opened(images).add()
    versions.calls.clear()
    opened(images).status()
    assert versions.calls == []


def test_only_what_changed_is_read_again(opened: Opened, images: Path) -> None:
    opened(images).add()
    opened(images).add()  # Files that were young at the first add are read once more.
    write(images, {"a.txt": "changed"})
    made = opened(images).add()
    assert (made.version, made.read_files, made.read_bytes) == (2, 1, 7)


def test_adding_what_did_not_change_makes_no_version(opened: Opened, images: Path) -> None:
    assert [opened(images).add().version for _ in range(2)] == [1, 1]


def test_checkout_brings_a_lost_folder_back(opened: Opened, images: Path) -> None:
    (images / "empty" / "folder").mkdir(parents=True)
    (images / "link").symlink_to("deep/er/c.txt")
    before = read(images)
    opened(images).add()
    shutil.rmtree(images)
    assert opened(images).checkout().written == 5
    assert read(images) == before
    assert opened(images).status().clean


def test_checkout_switches_between_versions(opened: Opened, images: Path) -> None:
    opened(images).add()
    first = read(images)
    write(images, {"a.txt": "changed", "more/new.txt": "new"})
    (images / "deep" / "er" / "c.txt").unlink()
    opened(images).add()
    second = read(images)
    opened(images).checkout("1")
    assert read(images) == first
    assert opened(images).status().clean
    opened(images).checkout("2")
    assert {path for path in read(images) if not path.endswith("/")} == {p for p in second if not p.endswith("/")}


def test_checkout_touches_only_what_differs(opened: Opened, images: Path) -> None:
    opened(images).add()
    write(images, {"a.txt": "changed"})
    opened(images).add()
    before = (images / "b.txt").stat()
    done = opened(images).checkout("1")
    assert (done.written, done.removed, done.kept) == (1, 0, 2)
    assert (images / "b.txt").stat() == before


def test_changes_that_are_in_no_store_are_not_overwritten(opened: Opened, images: Path) -> None:
    opened(images).add()
    write(images, {"a.txt": "precious"})
    with pytest.raises(Refused, match=r"a\.txt"):
        opened(images).checkout()
    assert read(images)["a.txt"] == "precious"
    opened(images).checkout(force=True)
    assert read(images)["a.txt"] == "one"


def test_changes_that_some_version_has_may_be_overwritten(opened: Opened, images: Path) -> None:
    opened(images).add()
    write(images, {"a.txt": "changed"})
    opened(images).add()
    opened(images).checkout("1")
    write(images, {"a.txt": "changed"})
    assert opened(images).checkout().written == 1


def test_unknown_files_are_left_alone(opened: Opened, images: Path) -> None:
    opened(images).add()
    write(images, {"mine.txt": "mine"})
    (images / "b.txt").unlink()
    opened(images).checkout()
    assert read(images)["mine.txt"] == "mine"
    assert read(images)["b.txt"] == "two"


def test_an_unknown_file_in_the_way_of_a_folder_is_not_overwritten(opened: Opened, images: Path) -> None:
    opened(images).add()
    shutil.rmtree(images / "deep")
    write(images, {"deep": "a file of mine"})
    with pytest.raises(Refused, match="deep"):
        opened(images).checkout()
    opened(images).checkout(force=True)
    assert read(images)["deep/er/c.txt"] == "three"


def test_a_folder_may_become_a_file_and_a_file_a_folder(opened: Opened, images: Path) -> None:
    opened(images).add()
    first = read(images)
    shutil.rmtree(images / "deep")
    (images / "a.txt").unlink()
    write(images, {"deep": "now a file", "a.txt/inside": "now a folder"})
    opened(images).add()
    opened(images).checkout("1")
    assert read(images) == first
    opened(images).checkout("2")
    assert read(images) == {"a.txt/inside": "now a folder", "b.txt": "two", "deep": "now a file"}


def test_a_metafile_that_git_changed_is_followed(opened: Opened, images: Path) -> None:
    opened(images).add()
    first = read_metafile(images.with_name("images.everloop"))
    write(images, {"a.txt": "changed"})
    opened(images).add()
    write_metafile(images.with_name("images.everloop"), first)
    assert states(opened(images)) == {"a.txt": "modified"}
    opened(images).checkout()
    assert read(images)["a.txt"] == "one"


def test_without_its_index_a_folder_is_known_again_by_reading_it(opened: Opened, images: Path, versions: Kept) -> None:
    opened(images).add()
    shutil.rmtree(versions.home / "workspace")
    assert opened(images).status().clean
    write(images, {"a.txt": "other"})
    assert states(opened(images)) == {"a.txt": "modified"}


def test_some_paths_of_a_version_can_be_had_alone(opened: Opened, images: Path) -> None:
    opened(images).add()
    shutil.rmtree(images)
    opened(images).checkout(only=("deep",))
    assert read(images) == {"deep/er/c.txt": "three", ONLY: "deep\n"}
    assert opened(images).status().clean


def test_an_add_of_some_paths_keeps_the_others_in_the_version(opened: Opened, images: Path) -> None:
    opened(images).add()
    shutil.rmtree(images)
    opened(images).checkout(only=("deep",))
    write(images, {"deep/er/c.txt": "changed"})
    assert opened(images).add().files == 3
    other = opened(images.with_name("elsewhere"))
    other.checkout(name="images")
    assert read(other.folder) == {"a.txt": "one", "b.txt": "two", "deep/er/c.txt": "changed"}


def test_some_paths_of_another_version_come_in_as_changes(opened: Opened, images: Path) -> None:
    opened(images).add()
    write(images, {"a.txt": "changed", "b.txt": "changed too"})
    opened(images).add()
    opened(images).checkout("1", only=("a.txt",))
    assert (read(images)["a.txt"], read(images)["b.txt"]) == ("one", "changed too")
    assert states(opened(images)) == {"a.txt": "modified"}


def test_diff_compares_versions_and_the_folder(opened: Opened, images: Path) -> None:
    opened(images).add()
    (images / "a.txt").rename(images / "z.txt")
    write(images, {"b.txt": "changed"})
    opened(images).add()
    shown = [(change.path, change.state) for change in opened(images).diff("1", "2")]
    assert shown == [("b.txt", "modified"), ("z.txt", "renamed")]
    assert opened(images).diff() == ()
    assert [change.path for change in opened(images).diff("1")] == ["b.txt", "z.txt"]
    assert opened(images).status().clean


def test_of_two_who_add_to_one_branch_the_second_is_told(opened: Opened, images: Path) -> None:
    opened(images).add()
    mine = opened(images.with_name("mine"))
    mine.checkout(name="images")
    write(images, {"a.txt": "faster"})
    opened(images).add()
    write(mine.folder, {"a.txt": "slower"})
    with pytest.raises(Conflict):
        opened(mine.folder).add()


def test_a_branch_begun_in_a_folder_is_committed_to(opened: Opened, images: Path) -> None:
    opened(images).add()
    opened(images).branch("trial")
    write(images, {"a.txt": "tried"})
    opened(images).add()
    assert [snapshot.version for snapshot in opened(images).log()] == [2, 1]
    opened(images).checkout("main")
    assert read(images)["a.txt"] == "one"


def test_a_tag_names_the_version_that_the_folder_shows(opened: Opened, images: Path) -> None:
    opened(images).add()
    opened(images).tag("golden")
    write(images, {"a.txt": "changed"})
    opened(images).add()
    opened(images).checkout("golden")
    assert read(images)["a.txt"] == "one"


def test_a_folder_that_is_not_there_is_not_found(opened: Opened, images: Path) -> None:
    with pytest.raises(NotFound, match="no folder"):
        opened(images.with_name("nothing")).add()


def test_a_folder_without_a_metafile_has_no_status(opened: Opened, images: Path) -> None:
    with pytest.raises(NotFound, match="everloop data add"):
        opened(images).status()


def test_a_table_is_no_folder(opened: Opened, images: Path, versions: Kept) -> None:
    digest = versions.store.put(b"a,b\n1,2\n")
    versions.call("datasets.commit", {"name": "table", "digest": digest, "format": "csv"})
    with pytest.raises(InvalidInput, match="table"):
        opened(images.with_name("t")).checkout(name="table")


def test_a_folder_s_name_becomes_a_dataset_s() -> None:
    assert default_name(Path("/x/my images (2)")) == "my-images-2"


class TestBranches:
    """A folder goes on in the branch that it shows, wherever the versions that it shows were made."""

    def test_a_merge_that_only_moves_on_leaves_the_folder_on_its_branch(self, opened: Opened, images: Path) -> None:
        opened(images).add()
        opened(images).branch("trial")
        write(images, {"a.txt": "tried"})
        opened(images).add()
        opened(images).checkout("main")
        opened(images).merge("trial")
        assert opened(images).status().branch == "main"
        assert opened(images.with_name("fresh")).checkout(name="images").written == len(read(images))
        assert opened(images.with_name("fresh")).status().branch == "main"

    def test_adding_what_the_branch_has_already_stays_on_the_branch(self, opened: Opened, images: Path) -> None:
        opened(images).add()
        opened(images).branch("trial")
        assert opened(images).add().version == 1
        assert opened(images).status().branch == "trial"

    def test_a_number_shows_a_version_and_a_branch_goes_over_to_it(self, opened: Opened, images: Path) -> None:
        opened(images).add()
        opened(images).branch("trial")
        write(images, {"a.txt": "tried"})
        opened(images).add()
        opened(images).checkout("1")
        assert opened(images).status().branch == "trial"
        opened(images).checkout("main")
        assert opened(images).status().branch == "main"


def test_who_comes_second_is_told_how_to_keep_both(opened: Opened, images: Path) -> None:
    opened(images).add()
    other = images.with_name("other")
    opened(other).checkout(name="images")
    for folder in (images, other):
        write(folder, {"new.txt": str(folder)})
    opened(images).add()
    with pytest.raises(Conflict, match="--branch mine"):
        opened(other).add()
    opened(other).add(branch="mine")
    opened(other).checkout("main", force=True)
    with pytest.raises(Conflict, match=r"new\.txt"):
        opened(other).merge("mine")
