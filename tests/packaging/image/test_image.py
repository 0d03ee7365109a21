"""Images: unpacked and run by the tools of others, shared layer by layer, and the same when all is made anew."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from everloop.app.platform import Platform
from everloop.packaging import distributions
from everloop.packaging.contents import contents_of
from everloop.packaging.entities import Package
from everloop.packaging.image import build
from everloop.packaging.image.layout import ImageManifest, Index, write_tar
from everloop.packaging.runner import Request
from everloop.packaging.verification import examples
from tests.packaging.conftest import built, packed

pytestmark = pytest.mark.slow
SMALL = 65_000_000
"""So many bytes an image has at most, as the project promises."""


def tool(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


@pytest.fixture(scope="session")
def layout(workshop: Platform, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The image of the newest version as a folder."""
    folder = tmp_path_factory.mktemp("image") / "layout"
    workshop.resources.store.checkout(built(workshop, "image").digest, folder)
    return folder


@pytest.fixture(scope="session")
def tar(workshop: Platform, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same as one file."""
    path = tmp_path_factory.mktemp("image") / "delay.tar"
    store = workshop.resources.store
    with path.open("wb") as file:
        write_tar(((entry, store.parts(entry.digest)) for entry in store.tree(built(workshop, "image").digest)), file)
    return path


def manifest_of(workshop: Platform, package: Package) -> ImageManifest:
    store = workshop.resources.store
    files = {entry.path: entry.digest for entry in store.tree(package.digest)}
    named = msgspec.json.decode(store.get(files["index.json"]), type=Index).manifests[0]
    return msgspec.json.decode(store.get(files[named.path]), type=ImageManifest)


def told(*words: str, body: bytes = b"") -> Any:
    return json.loads(subprocess.run(words, input=body, capture_output=True, check=True).stdout)


def test_an_image_is_small(workshop: Platform) -> None:
    assert built(workshop, "image").size <= SMALL


def test_another_model_gives_another_layer_and_all_others_stay(workshop: Platform) -> None:
    first, second = (manifest_of(workshop, built(workshop, "image", version)).layers for version in (1, 2))
    assert first[:-1] == second[:-1]
    assert first[-1] != second[-1]


def test_another_model_costs_no_layer_that_is_there(workshop: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    built(workshop, "image")
    monkeypatch.setattr(build, "write_layer", None)  # Whoever made one now would fail.
    assert packed(workshop, "image", 1)


def test_all_layers_made_anew_are_the_same(workshop: Platform, tmp_path: Path) -> None:
    package = built(workshop, "image")
    version = workshop.call("models.version", {"name": "delay"})
    elsewhere = replace(workshop.session(), resources=replace(workshop.resources, home=tmp_path))
    contents = contents_of(elsewhere, version, package.manifest, doors=distributions.SERVER)
    anew = [f"sha256:{layer.digest}" for layer in build.rootfs(elsewhere, contents)]
    assert anew == [layer.digest for layer in manifest_of(workshop, package).layers]


def test_layers_of_which_the_store_lost_the_bytes_are_made_again(workshop: Platform, tmp_path: Path) -> None:
    path = tmp_path / "layer.json"
    layer = build.Layer("a", "0" * 64, "0" * 64, 1, 1, "e" * 64)  # type: ignore[arg-type]  # the digest of nothing
    path.write_bytes(msgspec.json.encode({"layer": layer, "system": []}))
    assert build._known(workshop.session(), path) is None


def test_an_image_is_not_run_by_root_and_says_what_it_is(layout: Path) -> None:
    config = told(tool("skopeo"), "inspect", "--config", f"oci:{layout}")
    assert config["config"]["User"] == "10001:10001"
    assert config["config"]["ExposedPorts"] == {"8080/tcp": {}}
    assert config["config"]["Entrypoint"][1:] == ["-I", "-m", "everloop.server.inference.standalone", "/opt/ml/model"]
    assert config["config"]["Labels"]["org.opencontainers.image.version"] == "2"
    assert config["created"] == "1970-01-01T00:00:00Z"


@pytest.mark.parametrize("kind", ["oci-archive", "docker-archive"])
def test_the_tar_is_read_by_what_reads_either_kind(tar: Path, kind: str) -> None:
    assert told(tool("skopeo"), "inspect", f"{kind}:{tar}")["Labels"]["org.opencontainers.image.title"] == "delay"


def test_no_file_of_an_image_tells_of_this_machine(tar: Path, workshop: Platform) -> None:
    layers = manifest_of(workshop, built(workshop, "image")).layers
    listed = told(tool("skopeo"), "inspect", "--config", f"oci-archive:{tar}")
    assert len(listed["rootfs"]["diff_ids"]) == len(layers) == 4
    assert [step["created_by"].rpartition(" ")[2] for step in listed["history"]] == [
        "interpreter", "libraries", "everloop", "model",
    ]  # fmt: skip


def test_an_image_runs_in_runc_without_a_network_or_a_right(layout: Path, workshop: Platform, tmp_path: Path) -> None:
    bundle = tmp_path / "bundle"
    unpack = subprocess.run(
        [tool("umoci"), "unpack", "--image", f"{layout}:2", str(bundle)], capture_output=True, check=False
    )
    if unpack.returncode != 0:
        pytest.skip(f"umoci cannot unpack here: {unpack.stderr.decode()[-200:]}")
    spec = json.loads((bundle / "config.json").read_text())
    python, *_ = spec["process"]["args"]
    spec["process"] |= {
        "args": [python, "-I", "-m", "everloop.packaging.runner", "/opt/ml/model", "predict"],
        "terminal": False,
        "capabilities": {},
    }
    spec["root"]["readonly"] = True
    (bundle / "config.json").write_text(json.dumps(spec))
    columns = examples(built(workshop, "image").manifest.signature)
    ran = subprocess.run(
        [tool("runc"), "run", "--bundle", str(bundle), f"everloop-test-{tmp_path.name}"],
        input=msgspec.json.encode(Request(columns)),
        capture_output=True,
        check=False,
    )
    if b"cgroup" in ran.stderr or b"namespace" in ran.stderr or b"rootfs" in ran.stderr:
        pytest.skip(f"runc does not work here: {ran.stderr.decode()[-200:]}")
    assert len(json.loads(ran.stdout)["scores"]) == 32
    assert spec["process"]["user"]["uid"] == 10001
