"""Registries: a real one on this machine takes images, each layer once."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator

import httpx
import pytest

from everloop.app.platform import Platform
from everloop.kernel.errors import InvalidInput, Unavailable
from everloop.packaging.image.registry import reference
from tests.packaging.conftest import built

_SETTINGS = """\
version: 0.1
log: {{level: error}}
storage: {{filesystem: {{rootdir: "{folder}"}}}}
http: {{addr: "127.0.0.1:{port}"}}
"""


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Docker's own registry, empty."""
    program = shutil.which("docker-registry")
    if program is None:
        pytest.skip("docker-registry is not installed")
    folder = tmp_path_factory.mktemp("registry")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
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
