"""The contract of channels: a notice is there when `send` returns, or `Unavailable` says that it is not."""

from __future__ import annotations

import stat
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from time import monotonic

import msgspec
import pytest

from everloop.app import backends
from everloop.backends.channels.webhook import WebhookChannel
from everloop.kernel.errors import Misconfigured, Unavailable
from everloop.monitoring.channel import Channel
from everloop.monitoring.entities import Alert, Notice

AT = datetime(2026, 1, 1, tzinfo=UTC)


def notice(id: str = "n1") -> Notice:
    alert = Alert("a1", "i1", "delay", "data_drift", "wind", "warning", "wind has drifted: “ä”\n", AT, AT, AT)
    return Notice(id, "default", "opened", alert)


class Hook:
    """A real HTTP server that notes what it is sent, and answers as it is told to."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.keys: list[str | None] = []
        self.answers: list[int] = []
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                hook.keys.append(self.headers["Idempotency-Key"])
                status = hook.answers.pop(0) if hook.answers else 200
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if status == 200:
                    hook.bodies.append(body)
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.send_header("Location", "/elsewhere")
                self.end_headers()

            def log_message(self, *ignored: object) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}/secret"


@pytest.fixture
def hook() -> Iterator[Hook]:
    """A hook that is up."""
    made = Hook()
    yield made
    made.server.shutdown()
    made.server.server_close()


Opened = tuple[Channel, Callable[[], list[Notice]]]


@pytest.fixture(params=["file", "http"])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Opened:
    """A channel of each kind, opened by its entry point, and what its other side has."""
    if request.param == "file":
        path = tmp_path / "new folder" / "alerts.jsonl"
        url = path.as_uri()
        return backends.load("channels", "file")(url), lambda: _lines(path)
    hook = request.getfixturevalue("hook")
    return backends.load("channels", "http")(hook.url), lambda: [_read(body) for body in hook.bodies]


@pytest.fixture(params=["file", "http"])
def broken(request: pytest.FixtureRequest, tmp_path: Path) -> Channel:
    """A channel of each kind whose other side is not there."""
    if request.param == "file":
        (tmp_path / "wall").write_text("not a folder")
        channel: Channel = backends.load("channels", "file")((tmp_path / "wall" / "alerts.jsonl").as_uri())
        return channel
    return WebhookChannel("http://127.0.0.1:9/secret", pause=lambda seconds: None)


class TestChannels:
    """What every channel does."""

    def test_a_notice_is_there_whole_when_send_returns(self, opened: Opened) -> None:
        channel, received = opened
        channel.send(notice())
        assert received() == [notice()]

    def test_notices_come_in_the_order_they_were_sent(self, opened: Opened) -> None:
        channel, received = opened
        for number in range(5):
            channel.send(notice(f"n{number}"))
        assert [one.id for one in received()] == [f"n{number}" for number in range(5)]

    def test_a_side_that_is_not_there_is_told_in_a_bounded_time(self, broken: Channel) -> None:
        began = monotonic()
        with pytest.raises(Unavailable):
            broken.send(notice())
        assert monotonic() - began < 15


def test_a_hook_that_stumbles_is_asked_again_with_the_same_key(hook: Hook) -> None:
    hook.answers = [503, 429]
    pauses: list[float] = []
    WebhookChannel(hook.url, pause=pauses.append).send(notice())
    assert hook.keys == ["n1"] * 3
    assert len(hook.bodies) == 1
    assert pauses == sorted(pauses)


def test_a_hook_that_never_recovers_is_given_up_after_three_attempts(hook: Hook) -> None:
    hook.answers = [500] * 9
    with pytest.raises(Unavailable, match="status 500"):
        WebhookChannel(hook.url, pause=lambda seconds: None).send(notice())
    assert len(hook.keys) == 3


@pytest.mark.parametrize("status", [400, 404, 302])
def test_a_hook_that_refuses_or_points_elsewhere_is_not_asked_again(hook: Hook, status: int) -> None:
    hook.answers = [status]
    with pytest.raises(Unavailable, match=str(status)):
        WebhookChannel(hook.url).send(notice())
    assert len(hook.keys) == 1


def test_the_secret_in_a_hooks_path_is_not_told(hook: Hook) -> None:
    hook.answers = [400]
    with pytest.raises(Unavailable) as raised:
        WebhookChannel(hook.url).send(notice())
    assert "secret" not in str(raised.value)


def test_the_file_can_be_read_by_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "alerts.jsonl"
    backends.load("channels", "file")(path.as_uri()).send(notice())
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize(("kind", "url"), [("file", "file:///"), ("file", "file:///folder/"), ("https", "https:///x")])
def test_a_channel_that_names_nothing_is_misconfigured(kind: str, url: str) -> None:
    with pytest.raises(Misconfigured):
        backends.load("channels", kind)(url)


def _lines(path: Path) -> list[Notice]:
    return [_read(line) for line in path.read_bytes().splitlines()]


def _read(body: bytes) -> Notice:
    return msgspec.json.decode(body, type=Notice)
