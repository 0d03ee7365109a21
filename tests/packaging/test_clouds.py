"""Clouds: each starts the image as it does, and asks it what it asks."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
import yaml

from everloop.app.platform import Platform
from everloop.packaging.entities import Form, Package
from everloop.packaging.image.layout import ImageManifest, Index
from everloop.packaging.running import contained, unpacked
from tests.packaging.conftest import built

pytestmark = pytest.mark.slow
ROW = {"distance": 900.0, "hour": 17, "carrier": "B6"}


@pytest.fixture(scope="session")
def root(workshop: Platform, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of an image, which are those of every cloud's."""
    folder = tmp_path_factory.mktemp("container")
    workshop.resources.store.checkout(built(workshop, "image").digest, folder / "layout")
    return unpacked(folder / "layout", folder / "root")


def settings_of(workshop: Platform, package: Package) -> Any:
    store = workshop.resources.store
    files = {entry.path: entry.digest for entry in store.tree(package.digest)}
    named = msgspec.json.decode(store.get(files["index.json"]), type=Index).manifests[0]
    manifest = msgspec.json.decode(store.get(files[named.path]), type=ImageManifest)
    return json.loads(store.get(files[manifest.config.path]))["config"]


@contextmanager
def started(
    workshop: Platform, root: Path, form: Form, more: dict[str, str], words: list[str] | None = None
) -> Iterator[httpx.Client]:
    """The server of a form's image in a container, with what its cloud adds."""
    config = settings_of(workshop, built(workshop, form))
    variables = dict(line.split("=", 1) for line in config["Env"]) | more
    inside = [*config["Entrypoint"], *(config["Cmd"] if words is None else words)]
    arguments = contained(root, inside, variables, network=True)
    process = subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=variables)
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        line = process.stdout.readline()
        assert line, process.stderr.read().decode()
        port = json.loads(line)["address"].rpartition(":")[2]
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=20) as client:
            yield client
    finally:
        process.terminate()
        assert process.wait(20) is not None
        process.stdout.close()
        process.stderr.close()


def free_port() -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return str(free.getsockname()[1])


def expected(workshop: Platform) -> float:
    from everloop.registry.columns import arrays_of
    from everloop.registry.save import load_model

    trained = workshop.call("models.version", {"name": "delay"}).trained
    columns = arrays_of(trained.signature, {name: [value] for name, value in ROW.items()})
    return float(load_model(workshop.session(), trained).predict(columns)[0])


def test_sagemaker_starts_it_with_serve_and_asks_ping_and_invocations(workshop: Platform, root: Path) -> None:
    with started(workshop, root, "sagemaker", {"SAGEMAKER_BIND_TO_PORT": free_port()}) as client:
        assert client.get("/ping").status_code == 200
        answer = client.post("/invocations", json={"dataframe_records": [ROW]})
    assert answer.json()["predictions"] == [expected(workshop)]


def test_vertex_says_port_and_routes_by_variables(workshop: Platform, root: Path) -> None:
    with started(workshop, root, "vertex", {"AIP_HTTP_PORT": free_port()}) as client:
        assert client.get("/health").status_code == 200
        answer = client.post("/predict", json={"instances": [ROW]})
    assert answer.json()["predictions"] == [expected(workshop)]


def test_azure_asks_for_life_and_scores(workshop: Platform, root: Path) -> None:
    words = ["--port", free_port()]
    with started(workshop, root, "azureml", {}, words) as client:
        assert client.get("/").status_code == 200
        answer = client.post("/score", json={"input_data": {"columns": list(ROW), "data": [list(ROW.values())]}})
    assert answer.status_code == 200
    assert expected(workshop) in msgspec.json.decode(answer.content, type=list[float])


def test_an_image_lets_nobody_in_until_it_is_told_whom(workshop: Platform, root: Path) -> None:
    config = settings_of(workshop, built(workshop, "image"))
    inside = contained(root, [*config["Entrypoint"], *config["Cmd"]], {}, network=True)
    ran = subprocess.run(inside, capture_output=True, check=False, env={})
    assert ran.returncode != 0
    assert b"EVERLOOP_TOKEN" in ran.stderr


def test_an_image_with_a_token_answers_who_shows_it(workshop: Platform, root: Path) -> None:
    words = ["--host", "0.0.0.0", "--port", "0"]
    body = {"dataframe_records": [ROW]}
    with started(workshop, root, "image", {"EVERLOOP_TOKEN": "secret"}, words) as client:
        assert client.post("/invocations", json=body).status_code == 401
        answer = client.post("/invocations", json=body, headers={"Authorization": "Bearer secret"})
    assert answer.json()["predictions"] == [expected(workshop)]


def test_what_sagemaker_mounts_is_the_package(workshop: Platform) -> None:
    package = built(workshop, "sagemaker")
    data = workshop.resources.store.get(package.parts["model.tar.gz"])
    with tarfile.open(fileobj=BytesIO(data), mode="r:gz") as archive:
        names = set(archive.getnames())
    assert {"manifest.json", "model/model.txt", "model/inputs.json"} < names


@pytest.mark.parametrize(
    ("form", "names"),
    [
        ("sagemaker", {"sagemaker.yaml", "model.tar.gz"}),
        ("vertex", {"vertex.yaml"}),
        ("azureml", {"environment.yaml", "deployment.yaml"}),
    ],
)
def test_each_cloud_gets_its_files(workshop: Platform, form: Form, names: set[str]) -> None:
    package = built(workshop, form)
    assert names < set(package.parts)
    for name in names - {"model.tar.gz"}:
        text = workshop.resources.store.get(package.parts[name]).decode()
        assert yaml.load(text.replace("!Ref", "").replace("!GetAtt", ""), yaml.SafeLoader)


def test_a_container_holds_nothing_but_the_package(root: Path) -> None:
    found = {path.name for path in root.iterdir()}
    assert found <= {"dev", "etc", "lib", "lib64", "opt", "proc", "sys", "tmp", "usr"}
    assert not list((root / "opt" / "python" / "bin").glob("*sh"))
    assert os.access(root / "opt" / "python" / "lib", os.R_OK)
