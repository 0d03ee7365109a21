"""Remotes that misbehave, writers that are killed, and sweeps at the same time."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

import pytest

from everloop.app.platform import Platform
from everloop.datasets.remotes.commits import roots_at
from everloop.datasets.remotes.places import Places
from everloop.kernel.errors import Corrupted, EverloopError, Unavailable
from everloop.store.entities import Digest
from everloop.store.service import Store
from tests.datasets.remotes.conftest import FILES, bucket, committed, held, linked, pull, push
from tests.proxy import Proxy

REPOSITORY = Path(__file__).parents[3]


def store_at(platform: Platform) -> Store:
    """The store of the remote `origin`."""
    remote = platform.call("remotes.get", {"name": "origin"})
    return platform.resources.ports.get(Places).store(remote.url)


def damaged_file(folder: Path, digest: Digest, store: Store) -> None:
    """Change a byte of a packed object in a folder."""
    place = store.objects.index.place(bytes.fromhex(digest))
    assert place is not None
    name = place.pack.name.hex()
    path = folder / "packs" / name[:2] / name[2:]
    data = bytearray(path.read_bytes())
    data[place.offset + place.stored // 2] ^= 1
    path.write_bytes(data)


class TestRequests:
    """DVC makes one request for each file, and as many to see what is there."""

    @pytest.mark.slow
    def test_ten_thousand_files_take_few_requests(
        self, ada: Platform, bob: Platform, moto: str, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        files = {f"{n % 100:02}/{n:05}.bin": os.urandom(2000) for n in range(10_000)}
        committed(linked(ada, bucket(moto, monkeypatch, proxy.endpoint)), files)
        proxy.clear()
        push(ada)
        pushed = len(proxy.requests)
        linked(bob, ada.call("remotes.get", {"name": "origin"}).url)
        proxy.clear()
        pull(bob)
        pulled = len(proxy.requests)
        assert pushed <= 10_000 // 20 // 20
        assert pulled <= 10_000 // 20 // 20
        assert len(held(bob)) == 10_000

    @pytest.mark.slow
    def test_pushing_a_change_takes_a_handful(
        self, ada: Platform, moto: str, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        committed(linked(ada, bucket(moto, monkeypatch, proxy.endpoint)), FILES)
        push(ada)
        committed(ada, FILES | {"new": b"new"})
        proxy.clear()
        push(ada)
        assert len(proxy.requests) <= 12, proxy.requests


@pytest.mark.slow
class TestHostileServer:
    @pytest.fixture
    def origin(self, ada: Platform, moto: str, proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> Platform:
        url = bucket(moto, monkeypatch, proxy.endpoint).replace("timeout=5", "timeout=1")
        committed(linked(ada, url), FILES)
        proxy.clear()
        return ada

    def test_passing_errors_do_not_matter(self, origin: Platform, proxy: Proxy) -> None:
        proxy.fail_first("error", 2)
        assert push(origin).sent.objects > 0

    @pytest.mark.parametrize("fault", ["error", "hang", "forbid"])
    def test_a_push_that_fails_is_said_and_moves_no_ref(self, origin: Platform, proxy: Proxy, fault: str) -> None:
        proxy.fail_first(fault, 1000, "PUT", "packs/")  # type: ignore[arg-type]
        with pytest.raises(EverloopError, match="s3://remotes-"):
            push(origin)
        proxy.clear()
        assert origin.call("remotes.refs", {"name": "origin"}) == []
        push(origin)
        assert len(origin.call("remotes.refs", {"name": "origin"})) == 1

    def test_reads_that_are_cut_off_for_a_moment_do_not_matter(
        self, origin: Platform, bob: Platform, proxy: Proxy
    ) -> None:
        push(origin)
        linked(bob, origin.call("remotes.get", {"name": "origin"}).url)
        proxy.fail_first("cut", 1, "GET", "packs/")
        pull(bob)
        assert held(bob) == FILES

    def test_reads_that_are_always_cut_off_bring_nothing(self, origin: Platform, bob: Platform, proxy: Proxy) -> None:
        push(origin)
        linked(bob, origin.call("remotes.get", {"name": "origin"}).url)
        proxy.fail_first("cut", 1000, "GET", "packs/")
        with pytest.raises((Unavailable, EverloopError)):
            pull(bob)
        assert bob.call("datasets.list", {}) == []

    def test_bytes_that_were_changed_on_the_way_are_refused(
        self, origin: Platform, bob: Platform, proxy: Proxy
    ) -> None:
        push(origin)
        linked(bob, origin.call("remotes.get", {"name": "origin"}).url)
        proxy.fail_first("corrupt", 1000, "GET", "packs/")
        with pytest.raises(EverloopError):
            pull(bob)
        proxy.clear()
        assert bob.call("datasets.list", {}) == []
        pull(bob)
        assert held(bob) == FILES
        assert bob.resources.store.verify() == []


def test_damage_at_a_remote_is_named_and_nothing_is_taken(
    ada: Platform, bob: Platform, folder: str, tmp_path: Path
) -> None:
    committed(linked(ada, folder), FILES)
    push(ada)
    store = store_at(ada)
    digest = ada.call("datasets.files", {"name": "images"})[-1].digest
    damaged_file(tmp_path / "place", digest, store)
    with pytest.raises(Corrupted, match=digest):
        pull(linked(bob, folder))
    assert bob.call("datasets.list", {}) == []


class TestRepair:
    def test_what_is_damaged_here_is_fetched_from_a_remote(self, ada: Platform, folder: str, tmp_path: Path) -> None:
        committed(linked(ada, folder), FILES)
        push(ada)
        digest = ada.call("datasets.files", {"name": "images"})[-1].digest
        damaged_file(tmp_path / "ada/store", digest, ada.resources.store)
        repaired = ada.call("store.repair", {"remote": "origin"})
        assert (repaired.mended, repaired.lost) == ((digest,), ())
        assert held(ada) == FILES
        assert ada.call("audit.entries", {"kind": "store.repaired"})[0].event["mended"] == 1

    def test_what_the_remote_has_not_is_lost(self, ada: Platform, folder: str, tmp_path: Path) -> None:
        committed(linked(ada, folder), FILES)
        digest = ada.call("datasets.files", {"name": "images"})[-1].digest
        damaged_file(tmp_path / "ada/store", digest, ada.resources.store)
        assert ada.call("store.repair", {"remote": "origin"}).lost == (digest,)


class TestGarbage:
    def test_a_sweep_of_a_remote_keeps_what_refs_lead_to(self, ada: Platform, bob: Platform, folder: str) -> None:
        committed(linked(ada, folder), FILES)
        committed(ada, {"labels.csv": b"2"})
        push(ada)
        store = store_at(ada)
        store.put(b"nobody points to this")
        report = ada.call("remotes.gc", {"name": "origin", "dry_run": False, "grace": "0s"})
        assert report.removed == 1
        pull(linked(bob, folder))
        assert held(bob, at="1") == FILES

    def test_a_platform_keeps_what_others_pushed_into_its_store(
        self, ada: Platform, bob: Platform, tmp_path: Path
    ) -> None:
        committed(linked(ada, (tmp_path / "bob/store").as_uri()), FILES)
        push(ada)
        bob.resources.store.put(b"nobody points to this")
        assert bob.call("store.gc", {"dry_run": False, "grace": "0s"}).removed == 1
        assert pull(linked(bob, (tmp_path / "bob/store").as_uri())).received.objects == 0
        assert held(bob) == FILES

    def test_a_dry_run_removes_nothing(self, ada: Platform, folder: str) -> None:
        linked(ada, folder)
        digest = store_at(ada).put(b"nobody points to this")
        assert ada.call("remotes.gc", {"name": "origin", "grace": "0s"}).removed == 1
        assert store_at(ada).has(digest)

    def test_a_sweep_during_a_push_does_not_take_what_it_relies_on(
        self, ada: Platform, bob: Platform, folder: str, tmp_path: Path
    ) -> None:
        """The bytes are there, old and pointed to by nobody, when the push finds them and the sweep comes."""
        committed(linked(ada, folder), FILES)
        push(ada)
        for path in (tmp_path / "place/refs").rglob("*"):
            if path.is_file():
                path.unlink()
        _age(tmp_path / "place")
        place = store_at(ada)
        moved = type(place.blobs).swap

        def swept_first(self: object, key: str, data: bytes, expected: str | None) -> str:
            if key.startswith("refs/"):
                place.sweep(roots_at(place), dry_run=False, grace=timedelta(hours=1))
            return moved(self, key, data, expected)  # type: ignore[arg-type]

        type(place.blobs).swap = swept_first  # type: ignore[method-assign,assignment]
        try:
            push(ada)
        finally:
            type(place.blobs).swap = moved  # type: ignore[method-assign]
        pull(linked(bob, folder))
        assert held(bob) == FILES


@pytest.mark.slow
def test_a_push_that_is_killed_again_and_again_comes_to_its_end(
    ada: Platform, bob: Platform, folder: str, tmp_path: Path
) -> None:
    files = {f"{n}.bin": os.urandom(400_000) for n in range(250)}
    committed(linked(ada, folder), files)
    script = (
        "import sys; from everloop.sdk.platform import open as opened\n"
        "with opened(sys.argv[1]) as ever: ever.remotes.push('origin', 'images')"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "ada")]
    packs: list[int] = []
    for _ in range(2):
        process = subprocess.Popen(command, cwd=REPOSITORY)
        before = _packs(tmp_path)
        until = time.monotonic() + 30
        while process.poll() is None and _packs(tmp_path) == before and time.monotonic() < until:
            time.sleep(0.002)
        process.kill()
        process.wait()
        packs.append(_packs(tmp_path))
    sent = push(ada).sent
    assert packs[0] > 0
    assert sent.objects < len(files)
    pull(linked(bob, folder))
    assert held(bob) == files


def _packs(tmp_path: Path) -> int:
    return len(list((tmp_path / "place/packs").rglob("??*/*")))


def _age(folder: Path) -> None:
    for path in folder.rglob("*"):
        if path.is_file():
            os.utime(path, (path.stat().st_mtime - 2 * 86_400,) * 2)
