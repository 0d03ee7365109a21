"""To and from DVC: what the real `dvc` tracked is read, and what we write it finds clean."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from everloop.datasets.workspace.dvc.layout import Repository, file_md5, fits, manifest_of
from everloop.datasets.workspace.exchange import export_dvc, import_dvc
from everloop.kernel.errors import Corrupted, InvalidInput, NotFound, Refused
from everloop.store.entities import TreeEntry
from tests.datasets.workspace.conftest import Kept, read, write

DVC = Path(sys.executable).with_name("dvc")
FILES = {"data/a.txt": "a\n", "data/sub/b.txt": "b\n", "data/dé/x y.txt": "x\n", "big.csv": "1,2\r\n", "other/c": "c"}


def dvc(folder: Path, home: Path, *arguments: str) -> str:
    """What the real DVC says."""
    variables = os.environ | {"DVC_NO_ANALYTICS": "1", "HOME": str(home)}
    done = subprocess.run(
        [str(DVC), *arguments], cwd=folder, capture_output=True, text=True, env=variables, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository that the real DVC made: a folder, a file, and what a stage made."""
    top, home = tmp_path_factory.mktemp("dvc"), tmp_path_factory.mktemp("home")
    write(top, FILES)
    dvc(top, home, "init", "-q", "--no-scm")
    dvc(top, home, "add", "-q", "data", "big.csv")
    stage = {"cmd": "mkdir -p out && cp big.csv out/o.csv", "deps": ["big.csv"], "outs": ["out"]}
    (top / "dvc.yaml").write_text(yaml.safe_dump({"stages": {"make": stage}}))
    dvc(top, home, "repro", "-q")
    return top


def by_hand(top: Path, files: dict[str, bytes], *, hash_of: str = "md5") -> Path:
    """A repository as DVC 2 laid it out: no folder for the kind of hash, and text is hashed as on Unix (`legacy`)."""
    for path, data in files.items():
        plain = data.replace(b"\r\n", b"\n") if hash_of == "legacy" else data
        md5 = hashlib.md5(plain, usedforsecurity=False).hexdigest()
        write(top, {f".dvc/cache/{md5[:2]}/{md5[2:]}": data, f"{path}.dvc": told(md5, Path(path).name, hash_of)})
    return top


def told(md5: str, path: str, hash_of: str = "legacy") -> str:
    return yaml.safe_dump({"outs": [{"md5": md5, "path": path} | ({"hash": "md5"} if hash_of == "md5" else {})]})


@pytest.mark.slow
def test_everything_that_dvc_tracks_becomes_a_version(versions: Kept, repository: Path) -> None:
    made = import_dvc(versions, repository, "theirs")
    found = {entry.path: versions.store.get(entry.digest).decode() for entry in versions.store.tree(made.digest)}
    tracked = {path: text for path, text in FILES.items() if path != "other/c"}
    assert found == tracked | {"out/o.csv": "1,2\r\n"}
    assert (made.files, made.note) == (5, "Imported from DVC: big.csv, data, out")


@pytest.mark.slow
def test_some_of_what_dvc_tracks_can_be_had_alone(versions: Kept, repository: Path) -> None:
    made = import_dvc(versions, repository, "theirs", ("data/sub",))
    assert [entry.path for entry in versions.store.tree(made.digest)] == ["data/sub/b.txt"]


@pytest.mark.slow
def test_a_version_exported_for_dvc_is_clean_to_it(versions: Kept, tmp_path: Path) -> None:
    files = {"a.txt": "one", "deep/er/b.txt": "two", "deep/ü n.txt": "three", "twin.txt": "one", "empty": ""}
    entries = [TreeEntry(path, versions.store.put(text.encode()), len(text)) for path, text in files.items()]
    versions.call("datasets.commit_files", {"name": "images", "digest": versions.store.put_tree(entries)})
    top = tmp_path / "theirs"
    export_dvc(versions, "images", "", top, "data/images")
    dvc(top, tmp_path / "home", "checkout")
    assert read(top / "data" / "images") == files
    assert "up to date" in dvc(top, tmp_path / "home", "status")
    assert dvc(top, tmp_path / "home", "data", "status").strip().startswith("No changes")


@pytest.mark.slow
def test_what_was_exported_is_imported_as_it_was(versions: Kept, repository: Path, tmp_path: Path) -> None:
    made = import_dvc(versions, repository, "theirs")
    export_dvc(versions, "theirs", "", tmp_path / "again", "theirs")
    again = import_dvc(versions, tmp_path / "again", "again")
    moved = {f"theirs/{entry.path}": entry.digest for entry in versions.store.tree(made.digest)}
    assert {entry.path: entry.digest for entry in versions.store.tree(again.digest)} == moved


@pytest.mark.slow
def test_git_ignores_what_was_exported_as_dvc_would_have_it(versions: Kept, tmp_path: Path) -> None:
    digest = versions.store.put_tree([TreeEntry("a", versions.store.put(b"a"), 1)])
    versions.call("datasets.commit_files", {"name": "images", "digest": digest})
    for _ in range(2):
        export_dvc(versions, "images", "", tmp_path, "deep/images")
    assert (tmp_path / "deep" / ".gitignore").read_text() == "/images\n"


def test_the_cache_of_dvc_2_is_read_with_its_own_idea_of_text(versions: Kept, tmp_path: Path) -> None:
    top = by_hand(tmp_path / "old", {"table.csv": b"a\r\nb\r\n", "x/raw.bin": b"\x00\r\n"[:1]}, hash_of="legacy")
    made = import_dvc(versions, top, "old")
    found = {entry.path: versions.store.get(entry.digest) for entry in versions.store.tree(made.digest)}
    assert found == {"table.csv": b"a\r\nb\r\n", "x/raw.bin": b"\x00"}


def test_a_file_with_another_md5_is_named(versions: Kept, tmp_path: Path) -> None:
    top = by_hand(tmp_path / "bad", {"a.bin": b"right"})
    next((top / ".dvc" / "cache").glob("??/*")).write_bytes(b"wrong")
    with pytest.raises(Corrupted, match=r"a\.bin"):
        import_dvc(versions, top)


def test_a_file_that_the_cache_lacks_is_named_with_what_to_do(versions: Kept, tmp_path: Path) -> None:
    write(tmp_path, {".dvc/config": "", "a.bin.dvc": told("0" * 32, "a.bin")})
    with pytest.raises(NotFound, match=r"a\.bin.*dvc fetch"):
        import_dvc(versions, tmp_path)


def test_a_path_out_of_the_repository_is_refused(versions: Kept, tmp_path: Path) -> None:
    top = by_hand(tmp_path / "evil", {"a.bin": b"x"})
    (top / "a.bin.dvc").write_text(told(hashlib.md5(b"x").hexdigest(), "../../etc/x"))
    with pytest.raises(InvalidInput, match=r"etc/x"):
        import_dvc(versions, top)


@pytest.mark.parametrize(
    "text", ["outs: 3", "- a", "outs:\n- md5: [1]\n  path: x", "a: [", 'outs:\n- md5: "../../.."\n  path: x']
)
def test_a_file_that_is_none_of_dvc_s_is_named(versions: Kept, tmp_path: Path, text: str) -> None:
    write(tmp_path, {".dvc/config": "", "odd.dvc": text})
    with pytest.raises(InvalidInput):
        import_dvc(versions, tmp_path)


def test_a_folder_without_dvc_is_no_repository(versions: Kept, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no DVC repository"):
        import_dvc(versions, tmp_path)


def test_a_cache_elsewhere_is_found_by_the_settings(tmp_path: Path) -> None:
    top = by_hand(tmp_path / "top", {"a.bin": b"x"})
    (top / ".dvc" / "cache").rename(tmp_path / "shared")
    (top / ".dvc" / "config").write_text("[core]\n    no_scm = True\n[cache]\n    dir = ../../shared\n")
    repository = Repository(top)
    assert [file.source.read_bytes() for out in repository.outs() for file in repository.files(out)] == [b"x"]


def test_links_cannot_go_to_dvc(versions: Kept, tmp_path: Path) -> None:
    digest = versions.store.put_tree([TreeEntry("link", versions.store.put(b"a"), 1, "link")])
    versions.call("datasets.commit_files", {"name": "linked", "digest": digest})
    with pytest.raises(Refused, match="link"):
        export_dvc(versions, "linked", "", tmp_path)


def test_what_dvc_cannot_keep_is_told(versions: Kept, tmp_path: Path) -> None:
    entry = TreeEntry("run.sh", versions.store.put(b"#!"), 2, "executable")
    versions.call("datasets.commit_files", {"name": "tools", "digest": versions.store.put_tree([entry])})
    assert "run.sh" in export_dvc(versions, "tools", "", tmp_path).remarks[0]


def test_the_list_of_a_folder_s_files_is_dvc_s_to_the_byte() -> None:
    files = {"dé/x y.txt": "401b30e3b8b5d629635a5c613cdb7919", "a.txt": "60b725f10c9c85c70d97880dfe8191b3"}
    listed = manifest_of([*files.items(), ("sub/b.txt", "3b5d5c3712955042212316173ccf37be")])
    assert hashlib.md5(listed).hexdigest() == "496af7b530ae3f085dcccd78f0f75358"


def test_text_has_two_md5s_to_dvc_2(tmp_path: Path) -> None:
    file = write(tmp_path, {"a": b"x\r\n"}) / "a"
    unix = hashlib.md5(b"x\n").hexdigest()
    assert fits(file, unix, legacy=True)
    assert fits(file, file_md5(file), legacy=True)
    assert not fits(file, unix, legacy=False)


def test_a_pipe_in_place_of_a_metafile_is_not_waited_for(tmp_path: Path) -> None:
    (tmp_path / ".dvc").mkdir()
    os.mkfifo(tmp_path / "data.dvc")
    with pytest.raises(InvalidInput, match="no plain file"):
        Repository(tmp_path).outs()


def test_a_metafile_nested_without_end_is_no_crash(tmp_path: Path) -> None:
    write(tmp_path, {".dvc/config": "", "data.dvc": "[" * 5000 + "]" * 5000})
    with pytest.raises(InvalidInput, match="no file of DVC"):
        Repository(tmp_path).outs()
