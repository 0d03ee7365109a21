"""A server is not led to its own network or its own disk."""

from __future__ import annotations

import pytest

from everloop.app import backends
from everloop.datasets.remotes.reach import Reach
from everloop.kernel.errors import InvalidInput, Misconfigured, PermissionDenied

PRIVATE = [
    "127.0.0.1",
    "10.1.2.3",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "0.0.0.0",
    "::1",
    "fe80::1%eth0",
    "fd00::1",
    "::ffff:10.0.0.1",
    "2002:0a00:0001::1",
    "224.0.0.1",
    "64:ff9b::a9fe:a9fe",
    "::127.0.0.1",
]


def reach(*addresses: str, private: bool = False) -> Reach:
    return Reach(private, resolve=lambda host, port: list(addresses))


@pytest.mark.parametrize("address", PRIVATE)
def test_an_address_that_is_not_public_is_refused(address: str) -> None:
    with pytest.raises(PermissionDenied, match="no public address"):
        reach(address).check("https://innocent.example/data.csv")


def test_a_public_address_is_let_through() -> None:
    reach("93.184.216.34").check("https://example.org/data.csv")
    assert reach("2606:2800:220:1::1").address("example.org", 443) == "2606:2800:220:1::1"


def test_one_private_address_among_public_ones_is_enough_to_refuse() -> None:
    with pytest.raises(PermissionDenied, match=r"10\.0\.0\.1"):
        reach("93.184.216.34", "10.0.0.1").check("https://example.org/data.csv")


def test_an_endpoint_of_a_bucket_is_judged_too() -> None:
    with pytest.raises(PermissionDenied):
        reach("169.254.169.254").check("s3://bucket/prefix?endpoint=http://metadata.example&region=x")
    reach("93.184.216.34").check("s3://bucket/prefix?endpoint=https://s3.example.org")
    reach("127.0.0.1").check("s3://bucket/prefix")


def test_a_servers_own_folders_are_refused() -> None:
    with pytest.raises(PermissionDenied, match="folders"):
        reach().check("file:///etc")


@pytest.mark.parametrize("url", ["file:///etc", "http://localhost/data.csv"])
def test_an_owner_s_own_process_may_reach_everything(url: str) -> None:
    reach("127.0.0.1", private=True).check(url)


@pytest.mark.parametrize("url", ["", "/etc/passwd", "https:///path"])
def test_what_is_no_url_is_refused(url: str) -> None:
    with pytest.raises(InvalidInput):
        reach("93.184.216.34").check(url)


@pytest.mark.parametrize("url", ["http://x:99999/", "http://[zz/", "https://host:port/x", "s3://[b/x"])
def test_what_is_no_url_is_refused_and_not_a_crash(url: str) -> None:
    with pytest.raises(InvalidInput, match="is no URL"):
        reach("93.184.216.34").check(url)


@pytest.mark.parametrize(
    "url",
    [
        "s3://bucket/prefix?region=x%40127.0.0.1%3A8443%2F%23",
        "s3://bucket/prefix?region=evil.example%2F%23",
        "az://container/prefix?account=127.0.0.1%3A8443%2F%23",
        "az://container/prefix?account=a.b",
    ],
)
def test_a_region_or_account_names_no_other_host(url: str) -> None:
    with pytest.raises(Misconfigured, match=r"is no (region|account)"):
        backends.load("blobs", url.partition(":")[0])(url)
