"""The guard before every HTTP door: hosts, origins, sizes, tokens, and where a server may listen at all."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Iterator
from datetime import timedelta

import msgspec
import pytest
from starlette.datastructures import Headers
from starlette.testclient import TestClient
from starlette.types import Message, Receive, Scope, Send

from everloop.app.platform import Platform
from everloop.app.settings import Loaded, Settings
from everloop.governance.entities import Principal
from everloop.kernel.clock import SimulatedClock
from everloop.kernel.errors import Misconfigured, Unauthenticated
from everloop.server import security
from everloop.server.authentication import has_token
from everloop.server.security import check_exposure, guard, hostname, is_loopback
from tests.server.conftest import client_of

API = "/api/v1"


def with_settings(platform: Platform, **changes: object) -> Platform:
    """The platform with some settings changed."""
    values = msgspec.structs.replace(platform.settings.values, **changes)
    platform.settings = Loaded(values, {}, platform.settings.folder)
    return platform


@pytest.fixture
def secret(platform: Platform) -> str:
    """The secret of a contributor's token."""
    platform.call("governance.grant", {"principal": "ada", "roles": ["contributor"]})
    return str(platform.call("tokens.create", {"principal": "ada", "expires_in": "1d"}).secret)


class TestHosts:
    @pytest.mark.parametrize("host", ["127.0.0.1:7410", "localhost:7410", "[::1]:7410", "192.168.7.9", "LOCALHOST"])
    def test_addresses_and_localhost_are_answered(self, http: TestClient, host: str) -> None:
        assert http.get("/healthz", headers={"host": host}).status_code == 200

    @pytest.mark.parametrize(
        "host",
        [
            "evil.example",
            "evil.example:7410",
            "127.0.0.1.evil.example",
            "",
            "[::1",
            "a@b",
            "[x]",
            "x@127.0.0.1",
            "localhost/x",
            "localhost#x",
        ],
    )
    def test_names_that_are_not_ours_are_refused(self, http: TestClient, host: str) -> None:
        answer = http.get("/healthz", headers={"host": host})
        assert answer.status_code == 403
        assert "host" in answer.json()["error"]["message"]

    def test_a_name_can_be_allowed(self, platform: Platform) -> None:
        http = client_of(with_settings(platform, allowed_hosts=("mlops.example",)))
        assert http.get("/healthz", headers={"host": "mlops.example:7410"}).status_code == 200

    @pytest.mark.parametrize(
        ("host", "name"), [("A.b:80", "a.b"), ("[::1]:80", "::1"), ("x", "x"), ("", ""), ("[", ""), ("u@h:1", "")]
    )
    def test_the_name_is_what_stands_before_the_port(self, host: str, name: str) -> None:
        assert hostname(host) == name


class TestOrigins:
    def test_a_page_of_ours_may_call(self, http: TestClient) -> None:
        headers = {"origin": "http://127.0.0.1:7410", "sec-fetch-site": "same-origin"}
        assert http.post(f"{API}/experiments", json={"name": "x"}, headers=headers).status_code == 200

    @pytest.mark.parametrize(
        "origin",
        ["http://evil.example", "null", "http://127.0.0.1:9999", "http://localhost:7410", "http://[", "http://[x]"],
    )
    def test_a_page_of_another_site_may_not(self, http: TestClient, origin: str) -> None:
        answer = http.post(f"{API}/experiments", json={"name": "x"}, headers={"origin": origin})
        assert answer.status_code == 403
        assert http.get(f"{API}/experiments").json() == []

    def test_another_site_may_link_here_and_not_embed_or_fetch(self, http: TestClient) -> None:
        fetched = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"}
        linked = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}
        assert http.get(f"{API}/experiments", headers=fetched).status_code == 403
        assert http.get(f"{API}/experiments", headers=linked).status_code == 200


class TestBodies:
    def test_a_body_that_says_it_is_too_large_is_refused_unread(self, platform: Platform) -> None:
        http = client_of(with_settings(platform, max_body_mb=1))
        answer = http.post(f"{API}/objects", content=b"x" * ((1 << 20) + 1))
        assert (answer.status_code, answer.json()["error"]["code"]) == (413, "too_large")

    def test_a_body_that_grows_too_large_is_refused_on_the_way(self, platform: Platform) -> None:
        http = client_of(with_settings(platform, max_body_mb=1))

        def pieces() -> Iterator[bytes]:
            for _ in range(40):
                yield b"x" * (1 << 15)

        answer = http.post(f"{API}/objects", content=pieces())
        assert answer.status_code == 413
        assert platform.resources.store.stats().objects == 0

    def test_the_largest_allowed_body_goes_through(self, platform: Platform) -> None:
        http = client_of(with_settings(platform, max_body_mb=1))
        assert http.post(f"{API}/objects", content=b"x" * (1 << 20)).status_code == 200

    def test_a_body_that_stops_coming_is_given_up(self, platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(security, "BODY_SECONDS", 0.05)
        sent: list[Message] = []

        async def receive() -> Message:
            await asyncio.sleep(5)
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: Message) -> None:
            sent.append(message)

        asyncio.run(guard(read_body, Settings(), unknown)(scope_of("/"), receive, send))
        assert sent[0]["status"] == 503

    def test_while_others_fill_the_memory_a_body_is_put_off_and_a_file_is_not(
        self, http: TestClient, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(security._Limited, "held", security.MOST_HELD + 1)
        assert http.post(f"{API}/objects", content=b"x").status_code == 503
        assert http.put("/api/2.0/mlflow-artifacts/artifacts/0/x/artifacts/y", content=b"x").status_code == 404
        assert security._Limited.held == security.MOST_HELD + 1
        monkeypatch.setattr(security._Limited, "held", security.MOST_HELD)
        assert http.post(f"{API}/objects", content=b"x").status_code == 200


async def read_body(scope: Scope, receive: Receive, send: Send) -> None:
    """An app that wants the whole body."""
    while (await receive()).get("more_body"):
        pass


def unknown(secret: str) -> Principal:
    """Nobody is known."""
    raise Unauthenticated("The token is unknown.")


def scope_of(path: str) -> Scope:
    """A request of this machine as ASGI has it."""
    headers = [(b"host", b"localhost")]
    return {"type": "http", "method": "POST", "path": path, "headers": headers, "client": ("127.0.0.1", 1)}


class TestTokens:
    def test_this_machine_is_trusted_without_one(self, http: TestClient, platform: Platform) -> None:
        http.post(f"{API}/experiments", json={"name": "x"})
        assert http.get(f"{API}/audit/entries").json()[0]["principal"] == platform.local_principal.name

    def test_others_need_one(self, platform: Platform) -> None:
        answer = client_of(platform, host="10.0.0.9").get(f"{API}/experiments")
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"].startswith("Bearer")

    @pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded", "X-Real-IP", "Via"])
    def test_what_a_proxy_on_this_machine_forwards_needs_one(self, http: TestClient, header: str) -> None:
        assert http.get(f"{API}/experiments", headers={header: "127.0.0.1"}).status_code == 401

    def test_where_authentication_is_required_this_machine_needs_one_too(self, platform: Platform) -> None:
        http = client_of(with_settings(platform, authentication="required"))
        assert http.get(f"{API}/experiments").status_code == 401

    def test_a_token_lets_its_principal_in(self, platform: Platform, secret: str) -> None:
        http = client_of(platform, host="10.0.0.9")
        assert http.get(f"{API}/experiments", headers={"Authorization": f"Bearer {secret}"}).status_code == 200

    def test_a_token_may_come_as_a_password_as_browsers_send_it(self, platform: Platform, secret: str) -> None:
        basic = base64.b64encode(f"anything:{secret}".encode()).decode()
        http = client_of(platform, host="10.0.0.9")
        assert http.get(f"{API}/experiments", headers={"Authorization": f"Basic {basic}"}).status_code == 200

    @pytest.mark.parametrize("value", ["Bearer wrong", "Basic !!!", "Basic /w==", "Basic \xff", "Digest x", "wrong"])
    def test_a_wrong_one_is_refused_even_from_this_machine(self, http: TestClient, value: str) -> None:
        sent = {b"Authorization": value.encode("latin-1")}
        assert http.get(f"{API}/experiments", headers=sent).status_code == 401

    def test_an_expired_one_is_refused(self, http: TestClient, clock: SimulatedClock, secret: str) -> None:
        clock.advance(clock.now() + timedelta(days=2))
        answer = http.get(f"{API}/experiments", headers={"Authorization": f"Bearer {secret}"})
        assert (answer.status_code, answer.json()["error"]["code"]) == (401, "unauthenticated")

    @pytest.mark.parametrize("path", ["/healthz", "/readyz"])
    def test_probes_need_none(self, platform: Platform, path: str) -> None:
        assert client_of(platform, host="10.0.0.9").get(path).status_code == 200

    def test_metrics_need_one(self, platform: Platform) -> None:
        assert client_of(platform, host="10.0.0.9").get("/metrics").status_code == 401


class TestExposure:
    def test_this_machine_may_always_be_listened_on(self) -> None:
        check_exposure("127.0.0.1", Settings(), lambda: False)

    @pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.2", "example.org", ""])
    def test_elsewhere_it_is_refused_without_authentication(self, host: str) -> None:
        with pytest.raises(Misconfigured, match="let everybody in"):
            check_exposure(host, Settings(), lambda: True)

    def test_elsewhere_it_is_refused_without_a_token(self) -> None:
        with pytest.raises(Misconfigured, match="there is none"):
            check_exposure("0.0.0.0", Settings(authentication="required"), lambda: False)

    def test_elsewhere_it_is_allowed_with_both(self) -> None:
        check_exposure("0.0.0.0", Settings(authentication="required"), lambda: True)

    def test_only_tokens_that_work_count(self, platform: Platform, clock: SimulatedClock, secret: str) -> None:
        assert has_token(platform)
        clock.advance(clock.now() + timedelta(days=2))
        assert not has_token(platform)

    @pytest.mark.parametrize(
        ("host", "here"), [("localhost", True), ("127.9.9.9", True), ("::1", True), ("0.0.0.0", False)]
    )
    def test_loopback_is_what_only_this_machine_reaches(self, host: str, here: bool) -> None:
        assert is_loopback(host) is here


class TestHeaders:
    @pytest.mark.parametrize("path", ["/healthz", "/nothing", f"{API}/experiments", f"{API}/nothing"])
    def test_every_answer_is_hardened(self, http: TestClient, path: str) -> None:
        headers = http.get(path).headers
        assert "default-src 'none'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"

    def test_refusals_are_hardened_too(self, http: TestClient) -> None:
        assert http.get("/healthz", headers={"host": "evil.example"}).headers["x-frame-options"] == "DENY"

    def test_two_host_headers_are_one_too_many(self) -> None:
        with pytest.raises(Exception, match="2 Host headers"):
            security.check_host(Headers(raw=[(b"host", b"a"), (b"host", b"b")]), Settings())
