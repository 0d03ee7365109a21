"""Registries: a real one on this machine takes images, each layer once."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from everloop.app.platform import Platform
from everloop.kernel.errors import InvalidInput, PermissionDenied, Unavailable
from everloop.packaging.image.registry import reference
from tests.packaging.conftest import built
from tests.servers import free_port

_SETTINGS = """\
version: 0.1
log: {{level: error}}
storage: {{filesystem: {{rootdirectory: "{folder}"}}}}
http: {{addr: "127.0.0.1:{port}"}}
"""


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Docker's own registry, empty."""
    program = shutil.which("docker-registry")
    if program is None:
        pytest.skip("docker-registry is not installed")
    folder = tmp_path_factory.mktemp("registry")
    port = free_port()
    (folder / "config.yml").write_text(_SETTINGS.format(folder=folder / "data", port=port))
    variables = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    process = subprocess.Popen([program, "serve", folder / "config.yml"], stderr=subprocess.DEVNULL, env=variables)
    for _ in range(200):
        try:
            httpx.get(f"http://127.0.0.1:{port}/v2/")
            break
        except httpx.HTTPError:
            time.sleep(0.05)
    yield f"127.0.0.1:{port}"
    process.terminate()
    process.wait(20)


@pytest.mark.slow
def test_an_image_is_pushed_and_others_find_it(workshop: Platform, registry: str) -> None:
    package = built(workshop, "image")
    pushed = workshop.call("packages.push", {"model": "delay", "reference": f"{registry}/models/delay:2"})
    assert 0 < pushed.uploaded <= package.size
    found = httpx.get(
        f"http://{registry}/v2/models/delay/manifests/2",
        headers={"Accept": "application/vnd.oci.image.manifest.v1+json"},
    )
    assert found.headers["Docker-Content-Digest"] == pushed.digest
    skopeo = shutil.which("skopeo")
    if skopeo is not None:
        words = [skopeo, "inspect", "--tls-verify=false", f"docker://{registry}/models/delay:2"]
        assert json.loads(subprocess.run(words, capture_output=True, check=True).stdout)["Digest"] == pushed.digest


@pytest.mark.slow
def test_of_another_version_only_the_model_travels(workshop: Platform, registry: str) -> None:
    built(workshop, "image")
    built(workshop, "image", 1)
    workshop.call("packages.push", {"model": "delay", "reference": f"{registry}/twice:2"})
    second = workshop.call("packages.push", {"model": "delay", "version": 1, "reference": f"{registry}/twice:1"})
    again = workshop.call("packages.push", {"model": "delay", "version": 1, "reference": f"{registry}/twice:1"})
    assert second.uploaded < 100_000
    assert again.uploaded == 0
    assert len(workshop.call("audit.entries", {"kind": "packages.pushed"})) >= 3


@pytest.mark.slow
def test_what_is_no_image_is_not_pushed(workshop: Platform) -> None:
    built(workshop, "wheel")
    with pytest.raises(InvalidInput, match="is no image"):
        workshop.call("packages.push", {"model": "delay", "form": "wheel", "reference": "localhost:1/delay:2"})


@pytest.mark.slow
def test_a_registry_that_is_not_there_is_said(workshop: Platform) -> None:
    built(workshop, "image")
    with pytest.raises(Unavailable, match=r"127\.0\.0\.1:1 did not answer"):
        workshop.call("packages.push", {"model": "delay", "reference": "127.0.0.1:1/delay:2"})


@pytest.mark.parametrize(
    "text", ["", "delay", "delay:2", "localhost/Delay:2", "localhost:x/a:2", "http://a/b:2", "a/b", "a/../b:2", "a/b:-"]
)
def test_what_names_no_place_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="no place in a registry"):
        reference(text)


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("localhost:5000/delay:2", "http://localhost:5000/v2/delay"),
        ("127.0.0.1:5000/models/delay:2", "http://127.0.0.1:5000/v2/models/delay"),
        ("registry.example.org/models/late_flights:v2.1", "https://registry.example.org/v2/models/late_flights"),
    ],
)
def test_only_this_machine_is_asked_without_encryption(text: str, url: str) -> None:
    assert reference(text).url == url


class TokenRegistry(BaseHTTPRequestHandler):
    """A registry that wants a token for the repository, and gives one to ada; what it was sent is kept."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        asked = parse_qs(urlsplit(self.path).query)
        known = self.headers.get("Authorization") == "Basic " + base64.b64encode(b"ada:secret").decode()
        self.server.asked.append(asked)
        self.reply(200 if known else 401, {"token": f"t{len(self.server.asked)}", "expires_in": self.server.seconds})

    def do_HEAD(self) -> None:
        self.kept(lambda: 404)

    def do_POST(self) -> None:
        self.kept(lambda: 202)

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.kept(lambda: self.server.blobs.append(body) or 201)

    def kept(self, answer: object) -> None:
        """Answer who shows the newest token."""
        shown = self.headers.get("Authorization", "")
        self.server.shown.append(shown)
        self.reply(answer() if self.server.asked and shown == f"Bearer t{len(self.server.asked)}" else 401, {})

    def reply(self, status: int, content: object) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Location", "/v2/models/delay/blobs/uploads/1")
        self.send_header("WWW-Authenticate", self.server.challenge)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(b"" if self.command == "HEAD" else body)

    def log_message(self, *words: object) -> None:
        """Quiet."""


@pytest.fixture
def tokens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ThreadingHTTPServer]:
    """A registry that wants tokens, and a home with a login for it."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), TokenRegistry)
    host = f"127.0.0.1:{server.server_port}"
    server.challenge = f'Bearer realm="http://{host}/token",service="ours",scope="repository:models/delay:pull"'
    server.asked, server.shown, server.blobs, server.seconds = [], [], [], 300
    login = {"auths": {host: {"auth": base64.b64encode(b"ada:secret").decode()}}}
    (tmp_path / ".docker").mkdir()
    (tmp_path / ".docker" / "config.json").write_text(json.dumps(login))
    monkeypatch.setenv("HOME", str(tmp_path))
    Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def push_to(workshop: Platform, server: ThreadingHTTPServer) -> None:
    built(workshop, "image")
    reference = f"127.0.0.1:{server.server_port}/models/delay:2"
    workshop.call("packages.push", {"model": "delay", "reference": reference})


@pytest.mark.slow
def test_a_registry_that_wants_a_token_gets_one_for_pushing(workshop: Platform, tokens: ThreadingHTTPServer) -> None:
    push_to(workshop, tokens)
    assert tokens.asked == [{"scope": ["repository:models/delay:pull,push"], "service": ["ours"]}]
    assert tokens.shown[0] == ""
    assert set(tokens.shown[1:]) == {"Bearer t1"}
    assert len(tokens.blobs) >= 3


@pytest.mark.slow
def test_a_token_is_made_anew_before_it_ends(workshop: Platform, tokens: ThreadingHTTPServer) -> None:
    tokens.seconds = 0
    push_to(workshop, tokens)
    assert len(tokens.asked) > 3
    assert "Bearer t1" in tokens.shown


@pytest.mark.slow
def test_who_has_no_login_is_told_to_log_in(workshop: Platform, tokens: ThreadingHTTPServer, tmp_path: Path) -> None:
    (tmp_path / ".docker" / "config.json").unlink()
    with pytest.raises(PermissionDenied, match="gives no token") as refused:
        push_to(workshop, tokens)
    assert "docker login" in refused.value.hint


@pytest.mark.slow
def test_nothing_is_shown_to_a_place_that_others_can_read(workshop: Platform, tokens: ThreadingHTTPServer) -> None:
    tokens.challenge = 'Bearer realm="http://tokens.example.org/token"'
    with pytest.raises(PermissionDenied, match=r"tokens\.example\.org"):
        push_to(workshop, tokens)


def test_docker_hub_answers_at_another_host() -> None:
    assert reference("docker.io/ada/delay:3").url == "https://registry-1.docker.io/v2/ada/delay"
