"""A bucket whose server misbehaves: what passes is retried, what does not is said, and nothing wrong is handed out."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from everloop.app import backends
from everloop.kernel.errors import Misconfigured, PermissionDenied, Unavailable
from everloop.store.blobs import Blobs
from tests.proxy import Proxy, proxied

pytestmark = pytest.mark.slow


@pytest.fixture
def proxy(s3_endpoint: str) -> Iterator[Proxy]:
    with proxied(s3_endpoint) as fresh:
        yield fresh


@pytest.fixture
def blobs(proxy: Proxy, s3_url: str) -> Blobs:
    """A bucket behind the proxy; it is waited for a second at most, and tried three times."""
    place, _, _ = s3_url.partition("?")
    url = f"{place}?endpoint={proxy.endpoint}&region=us-east-1&timeout=1&retries=2"
    found: Blobs = backends.load("blobs", "s3")(url)
    found.put("objects/aa/one", b"some bytes" * 1000)
    proxy.clear()
    return found


@pytest.mark.parametrize("method", ["PUT", "GET"])
def test_a_server_that_errs_for_a_moment_is_asked_again(proxy: Proxy, blobs: Blobs, method: str) -> None:
    proxy.fail_first("error", 2, method)
    if method == "PUT":
        blobs.put("objects/aa/two", b"x")
    else:
        assert blobs.get("objects/aa/one") == b"some bytes" * 1000
    assert len(proxy.requests) == 3


def test_a_client_without_keys_is_told_so(s3_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "false")
    url = f"s3://nobodys?endpoint={s3_endpoint}&region=us-east-1&timeout=1&retries=0"
    with pytest.raises(Misconfigured, match="There are no keys") as caught:
        backends.load("blobs", "s3")(url).get("objects/aa/one")
    assert "AWS_ACCESS_KEY_ID" in caught.value.hint


def test_a_server_that_errs_on_is_named(proxy: Proxy, blobs: Blobs) -> None:
    proxy.fail_first("error", 100)
    with pytest.raises(Unavailable, match=r"s3://everloop-.*503"):
        blobs.get("objects/aa/one")


def test_a_server_that_hangs_is_given_up_in_time(proxy: Proxy, blobs: Blobs) -> None:
    proxy.fail_first("hang", 100)
    start = time.monotonic()
    with pytest.raises(Unavailable, match="s3://everloop-"):
        blobs.put("objects/aa/two", b"x")
    assert time.monotonic() - start < 15


def test_a_read_that_is_cut_off_is_asked_again(proxy: Proxy, blobs: Blobs) -> None:
    proxy.fail_first("cut", 1, "GET")
    assert blobs.get("objects/aa/one") == b"some bytes" * 1000


def test_reads_that_are_always_cut_off_are_no_half_object(proxy: Proxy, blobs: Blobs) -> None:
    proxy.fail_first("cut", 100, "GET")
    with pytest.raises(Unavailable):
        blobs.get("objects/aa/one")


def test_a_listing_that_is_cut_off_is_not_taken_for_a_short_one(proxy: Proxy, blobs: Blobs) -> None:
    proxy.fail_first("cut", 100, "GET", "list-type")
    with pytest.raises(Unavailable):
        list(blobs.keys("objects/"))


def test_a_bucket_that_says_no_is_no_server_that_is_silent(proxy: Proxy, blobs: Blobs) -> None:
    proxy.fail_first("forbid", 100)
    with pytest.raises(PermissionDenied, match="s3://everloop-"):
        blobs.put("objects/aa/two", b"x")


@pytest.mark.parametrize("option", ["timeout=soon", "retries=-1", "timeout=nan", "password=hush"])
def test_an_option_that_makes_no_sense_is_refused(option: str) -> None:
    with pytest.raises(Misconfigured):
        backends.load("blobs", "s3")(f"s3://bucket/p?{option}")
