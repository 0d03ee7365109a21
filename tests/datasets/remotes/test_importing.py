"""Data that stays where it is: versions of references, checked against their source, fetched when wanted."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from everloop.app.platform import Platform
from everloop.datasets.remotes.reach import Reach
from everloop.governance.entities import Principal
from everloop.kernel.errors import Conflict, InvalidInput, PermissionDenied
from tests.datasets.remotes.conftest import FILES, committed, held

LARGE = os.urandom(2 << 20)


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A folder outside of the home, with files in it."""
    folder = tmp_path / "outside"
    for path, data in {"a/one.txt": b"one", "large.bin": LARGE}.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)
    return folder


@pytest.fixture
def imported(ada: Platform, outside: Path) -> Platform:
    """A platform that refers to the folder."""
    ada.call("datasets.import_url", {"name": "big", "url": outside.as_uri(), "note": "stays there"})
    return ada


def check(platform: Platform) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...], bool]:
    found = platform.call("datasets.verify_import", {"name": "big"})
    return found.changed, found.missing, found.added, found.passed


def test_nothing_is_downloaded(imported: Platform) -> None:
    snapshot = imported.call("datasets.get", {"name": "big"})
    assert (snapshot.kind, snapshot.files, snapshot.bytes) == ("files", 2, len(LARGE) + 3)
    assert imported.resources.store.stats().bytes < 5000


def test_importing_again_what_did_not_change_gives_the_same_version(imported: Platform, outside: Path) -> None:
    again = imported.call("datasets.import_url", {"name": "big", "url": outside.as_uri()})
    assert again.version == 1


def test_what_changed_is_a_new_version_that_differs_in_its_path(imported: Platform, outside: Path) -> None:
    (outside / "a/one.txt").write_bytes(b"another")
    assert imported.call("datasets.import_url", {"name": "big", "url": outside.as_uri()}).version == 2


def test_a_source_that_is_as_it_was_passes(imported: Platform) -> None:
    assert check(imported) == ((), (), (), True)


def test_what_changed_is_missing_or_new_is_listed(imported: Platform, outside: Path) -> None:
    (outside / "a/one.txt").write_bytes(b"another")
    (outside / "large.bin").unlink()
    (outside / "new").write_bytes(b"new")
    assert check(imported) == (("a/one.txt",), ("large.bin",), ("new",), False)


def test_a_source_that_is_gone_is_missing_as_a_whole(imported: Platform, outside: Path) -> None:
    outside.rename(outside.with_name("elsewhere"))
    assert check(imported)[1] == ("a/one.txt", "large.bin")


def test_bytes_are_fetched_when_wanted(imported: Platform) -> None:
    made = imported.call("datasets.materialize", {"name": "big"})
    assert held(imported, "big") == {"a/one.txt": b"one", "large.bin": LARGE}
    assert made.parents == ("dataset:default/big@1",)
    assert list(Path(imported.resources.home).glob("tmp*")) == []


def test_what_changed_meanwhile_is_not_fetched(imported: Platform, outside: Path) -> None:
    (outside / "a/one.txt").write_bytes(b"another")
    with pytest.raises(Conflict, match="changed since it was imported"):
        imported.call("datasets.materialize", {"name": "big"})
    assert imported.call("datasets.get", {"name": "big"}).version == 1


def test_a_version_with_its_own_bytes_cannot_be_verified_against_a_source(ada: Platform) -> None:
    committed(ada, FILES)
    for usecase in ("datasets.verify_import", "datasets.materialize"):
        with pytest.raises(InvalidInput, match="holds bytes"):
            ada.call(usecase, {"name": "images"})


@pytest.mark.parametrize(
    "url",
    [
        "https://me:hush@example.org/file",
        "https://hush@example.org/file",
        "s3://:hush@bucket/prefix",
        "https://bucket.example/file?X-Amz-Expires=60&X-Amz-Signature=hush",
        "https://account.example/file?se=2030&sig=hush",
    ],
)
def test_what_lets_somebody_in_is_not_kept(ada: Platform, url: str) -> None:
    with pytest.raises(InvalidInput, match="in it") as caught:
        ada.call("datasets.import_url", {"name": "big", "url": url})
    assert "hush" not in f"{caught.value.message} {caught.value.hint}"
    with pytest.raises(InvalidInput) as caught:
        ada.call("remotes.add", {"name": "there", "url": url})
    assert "hush" not in f"{caught.value.message} {caught.value.hint}"


def test_on_a_server_only_who_may_import_does_and_never_its_own_files(ada: Platform, outside: Path) -> None:
    ada.resources.ports.provide(Reach, lambda: Reach(private=False))
    arguments = {"name": "big", "url": outside.as_uri()}
    with pytest.raises(PermissionDenied, match="may not datasets:import"):
        ada.call("datasets.import_url", arguments, principal=Principal("eve", ("deployer",)))
    with pytest.raises(PermissionDenied, match="folders"):
        ada.call("datasets.import_url", arguments, principal=Principal("ada", ("owner",)))


def test_what_was_imported_before_is_not_read_from_the_server_s_own_files_either(
    imported: Platform, outside: Path
) -> None:
    imported.resources.ports.provide(Reach, lambda: Reach(private=False))
    for usecase in ("datasets.verify_import", "datasets.materialize"):
        with pytest.raises(PermissionDenied):
            imported.call(usecase, {"name": "big"})
