"""Files that cannot be kept are refused by name, and nothing that goes wrong leaves half a version behind."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import unicodedata
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from everloop.datasets.workspace import adding, reading
from everloop.datasets.workspace.scan import Seen
from everloop.datasets.workspace.workspace import Workspace
from everloop.kernel.errors import Conflict, Corrupted, EverloopError, InvalidInput, Refused, Unavailable
from everloop.store.entities import TreeEntry
from everloop.store.paths import leads_out
from tests.datasets.workspace.conftest import Kept, read, write

Opened = Callable[[Path], Workspace]


@pytest.mark.parametrize("name", ["a\nb", "bell\x07", "del\x7f", "back\\slash"])
def test_names_with_control_characters_are_refused(opened: Opened, images: Path, name: str) -> None:
    (images / name).write_text("x")
    with pytest.raises(InvalidInput, match="not a path"):
        opened(images).add()


def test_a_name_that_is_no_text_is_refused(opened: Opened, images: Path) -> None:
    Path(os.fsdecode(os.fsencode(images) + b"/\xff\xfe")).write_text("x")
    with pytest.raises(InvalidInput, match="udcff"):
        opened(images).add()


def test_names_that_differ_only_in_case_are_told(opened: Opened, images: Path) -> None:
    write(images, {"A.txt": "another"})
    remarks = " ".join(opened(images).add().remarks)
    assert "'A.txt' and 'a.txt'" in remarks
    assert "case" in remarks


def test_names_that_differ_only_in_their_unicode_form_are_told(opened: Opened, images: Path) -> None:
    for form in ("NFC", "NFD"):
        write(images, {unicodedata.normalize(form, "é.txt"): form})
    assert "Unicode form" in " ".join(opened(images).add().remarks)


@pytest.mark.parametrize("target", ["/etc/passwd", "../secret", "deep/../../x"])
def test_a_link_out_of_the_folder_is_refused(opened: Opened, images: Path, target: str) -> None:
    (images / "link").symlink_to(target)
    with pytest.raises(InvalidInput, match="'link' leads out"):
        opened(images).add()


def test_links_inside_of_the_folder_stay_links(opened: Opened, images: Path, versions: Kept) -> None:
    (images / "deep" / "up").symlink_to("../a.txt")
    (images / "folder").symlink_to("deep")
    made = opened(images).add()
    kinds = {entry.path: entry.kind for entry in versions.store.tree(made.root)}
    assert (kinds["deep/up"], kinds["folder"]) == ("link", "link")
    assert opened(images).status().clean


@pytest.mark.parametrize("leaf", ["pipe", "socket"])
def test_pipes_and_sockets_are_refused(
    opened: Opened, images: Path, leaf: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(images)
    with socket.socket(socket.AF_UNIX) as listener:
        os.mkfifo(leaf) if leaf == "pipe" else listener.bind(leaf)
        with pytest.raises(InvalidInput, match=f"'{leaf}' is no file"):
            opened(images).add()


def test_a_version_whose_link_leads_out_is_not_checked_out(opened: Opened, images: Path, versions: Kept) -> None:
    digest = versions.store.put(b"../../outside")
    root = versions.store.put_tree([TreeEntry("evil", digest, 13, "link")])
    versions.call("datasets.commit_files", {"name": "images", "digest": root})
    with pytest.raises(InvalidInput, match="leads out"):
        opened(images.with_name("fresh")).checkout(name="images")


def test_a_folder_that_became_a_link_is_not_written_through(opened: Opened, images: Path, tmp_path: Path) -> None:
    opened(images).add()
    outside = write(tmp_path / "outside", {"er/c.txt": "not yours"})
    (images / "deep" / "er" / "c.txt").unlink()
    (images / "deep" / "er").rmdir()
    (images / "deep").rmdir()
    (images / "deep").symlink_to(outside)
    with pytest.raises(Refused, match="deep"):
        opened(images).checkout()
    assert read(outside) == {"er/c.txt": "not yours"}


def test_a_file_that_keeps_changing_is_refused_by_name(tmp_path: Path) -> None:
    file = write(tmp_path, {"busy.log": "0"}) / "busy.log"

    def put(data: bytes) -> str:
        file.write_bytes(data + b"1")
        return reading.hash_bytes(data)

    with pytest.raises(Conflict, match=r"busy\.log"):
        reading.read_stable(tmp_path, Seen("busy.log", file.lstat()), put, reading.hash_file)  # type: ignore[arg-type]


def test_a_file_that_changed_once_is_read_again(tmp_path: Path) -> None:
    file = write(tmp_path, {"a": "old"}) / "a"
    seen = Seen("a", file.lstat())
    file.write_text("newer")
    _, content = reading.read_stable(tmp_path, seen, reading.hash_bytes, reading.hash_file)
    assert content[:32].hex() == reading.hash_bytes(b"newer")


def test_a_damaged_object_is_named_and_nothing_is_overwritten(
    opened: Opened, images: Path, versions: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened(images).add()
    (images / "a.txt").unlink()

    def damaged(wanted: object) -> object:
        raise Corrupted("Object 12ab has other bytes than its address says.")

    monkeypatch.setattr(versions.store, "get_many", damaged)
    with pytest.raises(Corrupted, match="12ab"):
        opened(images).checkout()
    assert not (images / "a.txt").exists()


def test_a_full_disk_is_told_and_the_next_checkout_goes_on(
    opened: Opened, images: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened(images).add()
    before = read(images)
    for path in before:
        (images / path).unlink()
    with monkeypatch.context() as patched:
        patched.setattr(os, "write", lambda *_: 0)
        with pytest.raises(Unavailable, match="No space left"):
            opened(images).checkout()
    opened(images).checkout()
    assert read(images) == before


def test_an_add_that_was_stopped_goes_on_where_it_was(
    opened: Opened, images: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(images, {f"{number}.bin": os.urandom(100) for number in range(50)})
    monkeypatch.setattr(adding, "FLUSH_BYTES", 1000)
    time.sleep(0.05)  # What is as young as the index would be read again for that.
    with monkeypatch.context() as patched:
        patched.setattr(adding, "build", interrupt)
        with pytest.raises(KeyboardInterrupt):
            opened(images).add()
    assert not images.with_name("images.everloop").exists()
    made = opened(images).add()
    assert (made.files, made.read_files <= 12) == (53, True)
    assert opened(images).status().clean


def interrupt(*_: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.slow
@pytest.mark.parametrize("moment", [0.15, 0.4, 0.8])
def test_an_add_that_is_killed_leaves_a_store_that_works(home: Path, tmp_path: Path, moment: float) -> None:
    folder = write(tmp_path / "many", {f"{n // 100}/{n}.bin": os.urandom(3000) for n in range(3000)})
    code = "import sys; from everloop.cli.main import main; sys.argv[0] = 'everloop'; main()"
    command = [sys.executable, "-c", code, "data", "add", str(folder), "--home", str(home), "--json"]
    started = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        started.wait(moment)
    except subprocess.TimeoutExpired:
        started.send_signal(signal.SIGKILL)
    started.wait()
    assert b'"files":3000' in subprocess.run(command, capture_output=True, check=True).stdout
    status = [*command[:4], "status", *command[5:]]
    assert b'"clean":true' in subprocess.run(status, capture_output=True, check=True).stdout


steps = st.lists(st.sampled_from(["..", "..", "deep", "er", "one", "two", "."]), min_size=1, max_size=6).map("/".join)


@given(st.fixed_dictionaries(dict.fromkeys(("one", "deep/two", "deep/er/three"), steps)))
@settings(max_examples=60, deadline=None)
def test_links_that_are_let_through_lead_nowhere_outside_whatever_other_links_they_pass(links: dict[str, str]) -> None:
    with TemporaryDirectory() as made:
        top = Path(made).resolve() / "top"
        (top / "deep" / "er").mkdir(parents=True)
        for path, target in links.items():
            if not leads_out(path, target):
                (top / path).symlink_to(target)
        for path in links:
            assert Path(os.path.realpath(top / path)).is_relative_to(top)


@pytest.mark.parametrize("target", ["../a", "../../b", "../er/../x", "deep/two/../../x", "/etc", ""])
def test_a_link_may_only_go_up_at_its_beginning_and_no_further_than_the_top(target: str) -> None:
    assert leads_out("one", target)
    assert not leads_out("deep/er/one", "../../two")


def test_files_are_not_written_behind_a_link_however_deep_they_are(
    opened: Opened, images: Path, versions: Kept, tmp_path: Path
) -> None:
    opened(images).add()
    outside = write(tmp_path / "outside", {"er/c.txt": "not yours"})
    write(tmp_path / "fresh", {".everloopignore": "deep\n"})
    (tmp_path / "fresh" / "deep").symlink_to(outside)
    with pytest.raises(Conflict, match="deep is no folder"):
        opened(tmp_path / "fresh").checkout(name="images", force=True)
    assert read(outside) == {"er/c.txt": "not yours"}


def test_an_error_of_one_file_names_it(opened: Opened, images: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("Root may read everything.")
    (images / "a.txt").chmod(0)
    with pytest.raises(EverloopError, match=r"a\.txt"):
        opened(images).add()
