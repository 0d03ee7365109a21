"""Many objects at once over HTTP: which are missing, a pack in, a pack out."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from blake3 import blake3
from starlette.testclient import TestClient

from everloop.app.platform import Platform
from everloop.app.remote import RemotePlatform
from everloop.kernel.errors import Corrupted, InvalidInput, NotFound
from everloop.sdk.platform import Everloop
from everloop.store.entities import Digest
from everloop.store.frames import PackDraft, frames_of
from tests.server.conftest import HERE, client_of

API = "/api/v1"
BYTES = {"content-type": "application/octet-stream"}


class Counted:
    """A client that counts requests and bytes, as httpx would send them."""

    def __init__(self, http: TestClient) -> None:
        self._http = http
        self.requests: list[str] = []
        self.sent = 0
        self.largest = 0

    def request(self, method: str, url: str, **given: object) -> object:
        content = given.get("content") or b""
        assert isinstance(content, bytes)
        self.requests.append(f"{method} {url.removeprefix(HERE)}")
        self.sent += len(content)
        self.largest = max(self.largest, len(content))
        return self._http.request(method, url, **given)  # type: ignore[arg-type]

    def close(self) -> None:
        """Nothing to do."""


@pytest.fixture
def counted(platform: Platform) -> Iterator[Counted]:
    with client_of(platform) as http:
        yield Counted(http)


@pytest.fixture
def everloop(counted: Counted) -> Everloop:
    return Everloop(RemotePlatform(HERE, http=counted))  # type: ignore[arg-type]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number in range(500):
        path = tmp_path / "files" / f"{number % 7}" / f"{number}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"file %d " % number * 50)
    (tmp_path / "files/large").write_bytes(os.urandom(3 << 20))
    return tmp_path / "files"


def packed(platform: Platform, *digests: Digest) -> bytes:
    """A pack with objects of a platform."""
    draft = PackDraft()
    for frame in frames_of(platform.resources.store.objects, [bytes.fromhex(digest) for digest in digests]):
        draft.add(frame)
    return bytes(draft.finished()[1])


def test_a_folder_goes_to_a_server_in_a_few_packs(everloop: Everloop, counted: Counted, folder: Path) -> None:
    root = everloop.put_folder(folder)
    assert len(counted.requests) <= 8
    everloop.datasets.commit_files("texts", root)
    assert everloop.datasets.get("texts").files == 501


def test_only_what_is_missing_goes_again(everloop: Everloop, counted: Counted, folder: Path) -> None:
    everloop.put_folder(folder)
    (folder / "3/3.txt").write_bytes(b"changed")
    before = counted.sent
    fresh = Everloop(RemotePlatform(HERE, http=counted))  # type: ignore[arg-type]
    fresh.put_folder(folder)
    assert counted.sent - before < 60_000  # Addresses, one file, two folders.


def test_what_a_server_says_that_it_has_stays_there(http: TestClient, platform: Platform, home: Path) -> None:
    store = platform.resources.store
    loose = store.put(b"loose, old, and about to be pointed to")
    for file in (home / "store" / "objects").rglob("*"):
        os.utime(file, (0, 0))
    http.post(f"{API}/objects/missing", content=bytes.fromhex(loose), headers=BYTES)
    report = store.sweep((), dry_run=True)
    assert (report.kept, report.condemned) == (1, 0)


@pytest.mark.slow
def test_a_large_file_goes_in_pieces(everloop: Everloop, counted: Counted, tmp_path: Path) -> None:
    data = os.urandom(70 << 20)  # More than a request's body may have.
    (tmp_path / "large").write_bytes(data)
    digest = everloop.put(tmp_path / "large")
    assert counted.largest < 48 << 20
    assert digest == blake3(data).hexdigest()


def test_a_folder_comes_back(everloop: Everloop, counted: Counted, folder: Path, tmp_path: Path) -> None:
    root = everloop.put_folder(folder)
    counted.requests.clear()
    everloop.checkout(root, tmp_path / "out")
    assert (tmp_path / "out/3/3.txt").read_bytes() == (folder / "3/3.txt").read_bytes()
    assert (tmp_path / "out/large").read_bytes() == (folder / "large").read_bytes()


def test_what_the_server_lacks_is_told(http: TestClient, platform: Platform) -> None:
    there = platform.resources.store.put(b"there")
    body = bytes.fromhex(there) + b"\1" * 32
    assert http.post(f"{API}/objects/missing", content=body, headers=BYTES).content == b"\1" * 32


def test_a_pack_goes_in_and_its_objects_come_out(http: TestClient, platform: Platform) -> None:
    digest = platform.resources.store.put(b"there")
    pack = packed(platform, digest)
    assert http.post(f"{API}/packs", content=pack, headers=BYTES).json() == {"objects": 0, "there": 1}
    answer = http.post(f"{API}/objects/batch", content=bytes.fromhex(digest), headers=BYTES)
    assert answer.content == pack


def test_what_is_not_there_is_not_found(http: TestClient, everloop: Everloop) -> None:
    assert http.post(f"{API}/objects/batch", content=b"\1" * 32, headers=BYTES).status_code == 404
    with pytest.raises(NotFound):
        everloop.checkout(Digest("01" * 32), Path("/nowhere"))


@pytest.mark.parametrize("route", ["objects/missing", "objects/batch"])
def test_what_is_no_list_of_addresses_is_refused(http: TestClient, route: str) -> None:
    assert http.post(f"{API}/{route}", content=b"123", headers=BYTES).status_code == 400
    assert http.get(f"{API}/{route}").status_code == 405


def test_a_hostile_pack_is_refused(http: TestClient, platform: Platform) -> None:
    pack = bytearray(packed(platform, platform.resources.store.put(b"there")))
    pack[8] ^= 1
    answer = http.post(f"{API}/packs", content=bytes(pack), headers=BYTES)
    assert answer.status_code == 400
    assert "refused" in answer.json()["error"]["message"]


def test_what_a_server_sends_damaged_is_refused(platform: Platform, counted: Counted, everloop: Everloop) -> None:
    digest = platform.resources.store.put(b"something long enough")
    wrong = bytearray(packed(platform, digest))
    wrong[8] ^= 1

    class Lying(Counted):
        def request(self, method: str, url: str, **given: object) -> object:
            import httpx

            return httpx.Response(200, content=bytes(wrong), request=httpx.Request(method, url))

    liar = Everloop(RemotePlatform(HERE, http=Lying(counted._http)))  # type: ignore[arg-type]
    with pytest.raises((Corrupted, InvalidInput), match=digest):
        liar.checkout(digest, Path("/nowhere"))


def test_readers_may_fetch_and_not_send(platform: Platform) -> None:
    platform.call("governance.grant", {"principal": "eve", "roles": ["reader"]})
    secret = platform.call("tokens.create", {"principal": "eve"}).secret
    digest = platform.resources.store.put(b"there")
    with client_of(platform, host="10.0.0.9") as http:
        headers = BYTES | {"authorization": f"Bearer {secret}"}
        assert http.post(f"{API}/objects/batch", content=bytes.fromhex(digest), headers=headers).is_success
        assert http.post(f"{API}/packs", content=packed(platform, digest), headers=headers).status_code == 403
        assert http.post(f"{API}/packs", content=packed(platform, digest), headers=BYTES).status_code == 401


def test_what_was_asked_for_is_kept_from_sweeps(http: TestClient, platform: Platform, folder: Path) -> None:
    root = platform.resources.store.put_folder(folder)
    http.post(f"{API}/objects/missing", content=bytes.fromhex(root), headers=BYTES)
    assert list(platform.resources.store.blobs.keys("leases/"))
