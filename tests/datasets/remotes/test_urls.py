"""URLs are shown without what lets somebody in, and such are not kept."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from everloop.datasets.remotes.reach import Reach, addresses_of, shown, without_secrets
from everloop.kernel.errors import InvalidInput, PermissionDenied, Unavailable

WORDS = st.text("abcdefghij0123456789", min_size=4, max_size=12)


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("s3://bucket/prefix?region=eu-1", "s3://bucket/prefix"),
        ("https://ada:secret@host:8443/data.csv?token=abc#row", "https://host:8443/data.csv"),
        ("https://a@b@host/x", "https://host/x"),
        ("file:///data/set", "file:///data/set"),
        ("az://container", "az://container"),
    ],
)
def test_messages_show_where_and_nothing_else(url: str, told: str) -> None:
    assert shown(url) == told


@given(WORDS, WORDS)
def test_no_password_and_no_option_is_ever_shown(name: str, secret: str) -> None:
    url = f"https://{name}:{secret}-pw@host.example/path?{name}={secret}-option#{secret}-part"
    assert secret not in shown(url) or secret in "https://host.example/path"


@pytest.mark.parametrize(
    "url",
    [
        *("s3://bucket/prefix?endpoint=http://host:9000&region=us-east-1", "gs://bucket", "az://box?account=mine"),
        *("https://host/data.csv?page=2&tokens=5", "file:///a/b"),
    ],
)
def test_a_url_that_lets_nobody_in_is_kept(url: str) -> None:
    assert without_secrets(url) == url


@pytest.mark.parametrize(
    ("url", "what"),
    [
        *(("https://ada:pw@host/x", "a name or password"), ("https://ada@host/x", "a name or password")),
        *((f"https://host/x?{name}=1", name) for name in ("token", "sig", "signature", "api_key", "apikey")),
        *(("https://host/x?ACCESS_TOKEN=1", "access_token"), ("https://host/x?a=1&Token=", "token")),
        *(
            ("https://b.s3.example/x?X-Amz-Signature=1&X-Amz-Date=2", "x-amz-date"),
            ("https://h/x?X-Goog-Algorithm=1", "x-goog"),
        ),
    ],
)
def test_a_url_that_lets_somebody_in_is_refused_without_being_repeated(url: str, what: str) -> None:
    with pytest.raises(InvalidInput, match=what) as refused:
        without_secrets(url)
    assert "ada" not in str(refused.value)
    assert "usual variables" in refused.value.hint


class TestReach:
    def reach(self, *addresses: str, private: bool = False) -> Reach:
        asked: list[tuple[str, int]] = []
        self.asked = asked
        return Reach(private, resolve=lambda host, port: [*addresses, *(asked.append((host, port)) or ())])  # type: ignore[func-returns-value]

    def test_the_address_that_was_judged_is_the_one_to_connect_to(self) -> None:
        assert self.reach("93.184.216.34", "8.8.8.8").address("host", 443) == "93.184.216.34"
        assert self.asked == [("host", 443)]

    def test_who_may_reach_everything_still_gets_an_address(self) -> None:
        assert self.reach("10.0.0.1", private=True).address("intranet", 80) == "10.0.0.1"

    def test_a_refusal_says_who_can_allow_it(self) -> None:
        with pytest.raises(PermissionDenied) as refused:
            self.reach("10.0.0.1").address("intranet", 80)
        assert "EVERLOOP_PRIVATE_SOURCES=true" in refused.value.hint

    def test_buckets_of_the_clouds_are_not_looked_up(self) -> None:
        for url in ("s3://bucket/x", "gs://bucket", "az://box/x"):
            self.reach().check(url)
            assert self.asked == []

    def test_every_endpoint_is_judged(self) -> None:
        with pytest.raises(PermissionDenied):
            self.reach("93.184.216.34").check("s3://b?endpoint=https://host&endpoint=file:///etc")

    def test_names_are_judged_whatever_case_the_scheme_has(self) -> None:
        with pytest.raises(PermissionDenied):
            self.reach("127.0.0.1").check("HTTP://LOCALHOST/x")
        with pytest.raises(PermissionDenied):
            self.reach().check("FILE:///etc/passwd")


def test_a_host_that_is_not_there_is_said() -> None:
    with pytest.raises(Unavailable, match=r"There is no host 'nowhere\.invalid'"):
        addresses_of("nowhere.invalid", 443)


def test_a_name_that_cannot_be_one_is_said_too() -> None:
    with pytest.raises(Unavailable, match="There is no host"):
        addresses_of("a" * 300, 443)


def test_numbers_are_their_own_addresses_each_once() -> None:
    assert addresses_of("127.0.0.1", 80) == ["127.0.0.1"]
