"""A platform over HTTP: retries, errors, and what travels."""

from __future__ import annotations

import math
from collections.abc import Iterator
from random import Random

import httpx
import msgspec
import pytest

from everloop.app import remote
from everloop.app.platform import Platform
from everloop.app.remote import RemotePlatform
from everloop.kernel.errors import Conflict, InvalidInput, NotFound, Unavailable
from everloop.server.main import build_app
from everloop.tracking.entities import MetricPoint, Run

URL = "http://127.0.0.1:7410"


class Wire(httpx.BaseTransport):
    """A network that loses answers, or requests, as it is told; what arrives is answered by the server's app."""

    def __init__(self, app: httpx.BaseTransport) -> None:
        self.app = app
        self.lose: list[str] = []
        self.seen: list[httpx.Request] = []

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Pass a request on."""
        self.seen.append(request)
        fate = self.lose.pop(0) if self.lose else ""
        if fate == "request":
            raise httpx.ConnectError("refused")
        answer = self.app.handle_request(request)
        if fate == "answer":
            raise httpx.ReadError("reset")
        # The server's side may speak httpx2, whose responses a client of httpx does not know.
        return httpx.Response(answer.status_code, headers=answer.headers.raw, content=answer.read())


@pytest.fixture
def wire(platform: Platform) -> Iterator[Wire]:
    """A network with the platform's server at its end."""
    from tests.server.conftest import client_of

    with client_of(platform) as client:
        yield Wire(client._transport)


@pytest.fixture
def far(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> RemotePlatform:
    """The platform, seen from the other end of the network."""
    monkeypatch.setattr(remote.time, "sleep", lambda seconds: None)
    return RemotePlatform(URL, http=httpx.Client(transport=wire), random=Random(1))


def test_a_lost_request_is_sent_again(far: RemotePlatform, wire: Wire) -> None:
    wire.lose = ["request", "request"]
    assert far.call("experiments.list", {}) == []
    assert len(wire.seen) == 3


def test_a_write_whose_answer_was_lost_happens_once(far: RemotePlatform, wire: Wire) -> None:
    wire.lose = ["answer", "answer"]
    run = far.call("runs.start", {"experiment": "delay"})
    assert far.call("runs.search", {}) == [run]


def test_two_equal_writes_are_two_writes(far: RemotePlatform) -> None:
    first, second = (far.call("runs.start", {"experiment": "delay"}) for _ in range(2))
    assert first.id != second.id


def test_a_key_of_ones_own_makes_equal_writes_one(far: RemotePlatform) -> None:
    first, second = (far.call("runs.start", {"experiment": "delay"}, key="mine") for _ in range(2))
    assert first == second


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("loops.tick", {"name": "x"}),
        ("tokens.create", {"principal": "ada"}),
    ],
)
def test_what_must_not_happen_twice_is_never_sent_twice(
    far: RemotePlatform, wire: Wire, name: str, arguments: dict[str, str]
) -> None:
    wire.lose = ["answer"]
    with pytest.raises(Unavailable):
        far.call(name, arguments)
    assert len(wire.seen) == 1


def test_a_server_that_never_answers_is_given_up(far: RemotePlatform, wire: Wire) -> None:
    wire.lose = ["request"] * 99
    with pytest.raises(Unavailable, match="did not answer") as caught:
        far.call("experiments.list", {})
    assert "everloop up" in caught.value.hint
    assert len(wire.seen) == remote.ATTEMPTS


def test_an_error_is_raised_as_the_class_that_the_server_raised(far: RemotePlatform) -> None:
    far.call("experiments.create", {"name": "delay"})
    with pytest.raises(Conflict, match="delay"):
        far.call("experiments.create", {"name": "delay"})
    with pytest.raises(NotFound) as caught:
        far.call("loops.get", {"name": "none"})
    assert caught.value.hint


def test_wrong_arguments_are_not_even_sent(far: RemotePlatform, wire: Wire) -> None:
    with pytest.raises(InvalidInput, match="name"):
        far.call("experiments.create", {"name": "no name"})
    assert wire.seen == []


def test_an_unknown_use_case_is_not_found(far: RemotePlatform) -> None:
    with pytest.raises(NotFound, match=r"experiments\.burn"):
        far.call("experiments.burn", {})


def test_values_arrive_as_the_types_that_they_were(far: RemotePlatform) -> None:
    run = far.call("runs.start", {"experiment": "delay", "tags": {"a": "b"}})
    assert isinstance(run, Run)
    assert run.started.tzinfo is not None


def test_numbers_that_are_none_arrive(far: RemotePlatform) -> None:
    run = far.call("runs.start", {"experiment": "delay"})
    far.call("runs.log", {"id": run.id, "metrics": (MetricPoint("loss", math.nan), MetricPoint("top", math.inf))})
    found = [far.call("runs.history", {"id": run.id, "key": key})[0].value for key in ("loss", "top")]
    assert math.isnan(found[0])
    assert found[1] == math.inf


def test_a_name_with_a_slash_arrives(far: RemotePlatform) -> None:
    run = far.call("runs.start", {"experiment": "delay"})
    far.call("runs.log", {"id": run.id, "metrics": (MetricPoint("val/auc?x#y%2F", 1.0),)})
    assert len(far.call("runs.history", {"id": run.id, "key": "val/auc?x#y%2F"})) == 1


def test_the_project_travels_along(far: RemotePlatform, platform: Platform) -> None:
    far.call("experiments.create", {"name": "delay"}, project="other")
    assert platform.call("experiments.list", {}) == []
    assert len(platform.call("experiments.list", {}, project="other")) == 1


def test_the_token_is_shown(wire: Wire) -> None:
    far = RemotePlatform(URL, "no such token", http=httpx.Client(transport=wire))
    with pytest.raises(Exception, match="token is unknown"):
        far.call("experiments.list", {})


@pytest.mark.parametrize("answer", [httpx.Response(200, text="<html>"), httpx.Response(502, text="Bad gateway")])
def test_what_is_no_everloop_server_is_named(answer: httpx.Response, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote.time, "sleep", lambda seconds: None)
    http = httpx.Client(transport=httpx.MockTransport(lambda request: answer))
    with pytest.raises(Unavailable, match="no Everloop server"):
        RemotePlatform(URL, http=http).call("experiments.list", {})


@pytest.mark.parametrize("url", ["nonsense", "ftp://x", "http://", "http://no.such.host.invalid"])
def test_a_url_that_leads_nowhere_is_named(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "ATTEMPTS", 1)
    with pytest.raises(Unavailable):
        RemotePlatform(url).call("experiments.list", {})


def test_bytes_travel_both_ways(far: RemotePlatform) -> None:
    assert far.get_object(far.put(b"\x00\xff bytes")) == b"\x00\xff bytes"
    with pytest.raises(NotFound):
        far.get_object(msgspec.convert("0" * 64, str))  # type: ignore[arg-type]  # an address that was never given


def test_refusals_of_the_guard_are_errors_too(platform: Platform) -> None:
    from starlette.testclient import TestClient

    http = TestClient(build_app(platform), base_url="http://evil.example", client=("127.0.0.1", 1))
    with pytest.raises(Exception, match=r"evil\.example"):
        RemotePlatform("http://evil.example", http=http).call("experiments.list", {})
