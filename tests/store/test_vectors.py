"""Addresses are BLAKE3: the vectors that its authors publish (test_vectors.json, input bytes 0, 1, … 250, 0, 1, …)."""

from __future__ import annotations

from pathlib import Path

import pytest

from everloop.backends.blobs.folder import FolderBlobs
from everloop.store.service import Store, digest_of

PUBLISHED = {
    0: "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262",
    1: "2d3adedff11b61f14c886e35afa036736dcd87a74d27b5c1510225d0f592e213",
    2: "7b7015bb92cf0b318037702a6cdd81dee41224f734684c2c122cd6359cb1ee63",
    8: "2351207d04fc16ade43ccab08600939c7c1fa70a5c0aaca76063d04c3228eaeb",
    63: "e9bc37a594daad83be9470df7f7b3798297c3d834ce80ba85d6e207627b7db7b",
    64: "4eed7141ea4a5cd4b788606bd23f46e212af9cacebacdc7d1f4c6dc7f2511b98",
    65: "de1e5fa0be70df6d2be8fffd0e99ceaa8eb6e8c93a63f2d8d1c30ecb6b263dee",
    1023: "10108970eeda3eb932baac1428c7a2163b0e924c9a9e25b35bba72b28f70bd11",
    1024: "42214739f095a406f3fc83deb889744ac00df831c10daa55189b5d121c855af7",
    1025: "d00278ae47eb27b34faecf67b4fe263f82d5412916c1ffd97c8cb7fb814b8444",
    4097: "9b4052b38f1c5fc8b1f9ff7ac7b27cd242487b3d890d15c96a1c25b8aa0fb995",
    31744: "62b6960e1a44bcc1eb1a611a8d6235b6b4b78f32e7abc4fb4c6cdcce94895c47",
    102400: "bc3e3d41a1146b069abffad3c0d44860cf664390afce4d9661f7902e7943e085",
}


@pytest.mark.parametrize(("length", "address"), PUBLISHED.items())
def test_an_address_is_what_the_authors_of_blake3_publish(length: int, address: str) -> None:
    assert digest_of(bytes(at % 251 for at in range(length))) == address


def test_the_store_uses_the_same_addresses_however_bytes_come_in(tmp_path: Path) -> None:
    store = Store(FolderBlobs(tmp_path / "store"))
    data = bytes(at % 251 for at in range(102400))
    (tmp_path / "file").write_bytes(data)
    with store.bulk() as bulk:
        found = {store.put(data), store.put_file(tmp_path / "file"), bulk.put(data), bulk.put_file(tmp_path / "file")}
    assert found == {PUBLISHED[102400]}
