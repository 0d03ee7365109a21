"""Packages: built once, found again, run on their own, and scanned."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import zipfile
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import msgspec
import numpy as np
import pytest

from everloop.app.platform import Platform
from everloop.kernel.errors import InvalidInput, NotFound, Refused
from everloop.packaging.archive import zipped
from everloop.packaging.entities import Manifest, Package
from everloop.packaging.verification import examples, run_packed
from everloop.registry.entities import Field, Model, Signature
from everloop.registry.save import load_model
from everloop.store.entities import Digest
from tests.registry.conftest import Columns


def bytes_of(platform: Platform, package: Package) -> bytes:
    return platform.resources.store.get(package.digest)


def changed(data: bytes, path: str, content: bytes) -> bytes:
    """A package with another file in it."""
    with zipfile.ZipFile(BytesIO(data)) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    return zipped(files | {path: content})


def test_a_package_says_what_is_in_it(registered: Platform, package: Package) -> None:
    with zipfile.ZipFile(BytesIO(bytes_of(registered, package))) as archive:
        names = archive.namelist()
        manifest = msgspec.json.decode(archive.read("manifest.json"), type=Manifest)
        requirements = archive.read("requirements.txt").decode().split()
    assert {"__main__.py", "model/model.txt", "model/inputs.json"} <= set(names)
    assert manifest == package.manifest
    assert requirements == list(package.manifest.requirements)
    assert any(line.startswith("lightgbm==") for line in requirements)


def test_a_package_holds_only_the_code_that_it_needs(registered: Platform, package: Package) -> None:
    with zipfile.ZipFile(BytesIO(bytes_of(registered, package))) as archive:
        areas = {name.split("/")[1] for name in archive.namelist() if name.startswith("everloop/")}
    assert areas == {"__init__.py", "backends", "kernel", "packaging", "registry", "store"}


def test_packing_again_gives_the_same_package(registered: Platform, package: Package) -> None:
    assert registered.call("packages.build", {"model": "delay", "alias": "champion"}) == package
    assert registered.call("packages.list", {}) == [package]
    assert len(registered.call("audit.entries", {"kind": "packages.built"})) == 1


def test_packing_elsewhere_and_later_gives_the_same_bytes(
    registered: Platform, package: Package, tmp_path: Path, trained_apart: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    from everloop.app.platform import open_platform
    from everloop.app.settings import load

    monkeypatch.setenv("TZ", "Asia/Tokyo")
    other = open_platform(load({"home": f"{tmp_path}/other"}, environment={}))
    other.resources = replace(other.resources, clock=registered.resources.clock)
    registered.resources.store.checkout(trained_apart.digest, tmp_path / "model")
    assert other.resources.store.put_folder(tmp_path / "model") == trained_apart.digest
    other.call("models.register", {"name": "delay", "trained": trained_apart})
    assert other.call("packages.build", {"model": "delay"}).digest == package.digest
    other.close()


def test_a_package_comes_from_its_version(registered: Platform, package: Package) -> None:
    urn = f"package:default/delay@{package.digest}"
    edges = registered.call("lineage.graph", {"urn": urn, "direction": "upstream", "depth": 1}).edges
    assert [(edge.upstream, edge.relation) for edge in edges] == [("model:default/delay@1", "packs")]


def test_a_packed_version_is_not_deleted(registered: Platform, package: Package) -> None:
    registered.call("models.delete_alias", {"name": "delay", "alias": "champion"})
    with pytest.raises(Refused, match="package:default/delay"):
        registered.call("models.delete_version", {"name": "delay", "version": 1, "reason": "old"})


def test_garbage_collection_keeps_packages_and_models(registered: Platform, package: Package) -> None:
    registered.call("store.gc", {"dry_run": False, "grace": "0s"})
    assert bytes_of(registered, package)
    assert registered.resources.store.tree(package.manifest.model_digest) == package.manifest.files


def test_a_package_is_found_by_its_version(registered: Platform, package: Package) -> None:
    assert registered.call("packages.get", {"model": "delay"}) == package
    assert registered.call("packages.get", {"model": "delay", "version": 1}) == package
    assert registered.call("packages.list", {"model": "other"}) == []


def test_what_was_not_packed_is_not_found(registered: Platform) -> None:
    with pytest.raises(NotFound, match=r"not packed.*everloop package delay@1"):
        registered.call("packages.get", {"model": "delay"})


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"model": "ghost"}, NotFound),
        ({"model": "delay", "version": 9}, NotFound),
        ({"model": "delay", "alias": "ghost"}, NotFound),
        ({"model": "delay", "version": 1, "alias": "champion"}, InvalidInput),
        ({"model": "delay", "form": "floppy"}, InvalidInput),
        ({"model": "../delay"}, InvalidInput),
    ],
)
def test_what_cannot_be_packed_leaves_no_package(
    registered: Platform, arguments: dict[str, object], error: type[Exception]
) -> None:
    with pytest.raises(error):
        registered.call("packages.build", arguments)
    assert registered.call("packages.list", {}) == []


@pytest.mark.slow
def test_a_package_answers_what_the_model_does(registered: Platform, package: Package) -> None:
    verification = registered.call("packages.verify", {"model": "delay"})
    assert (verification.passed, verification.largest_difference, verification.rows) == (True, 0.0, 32)
    assert verification.package == package.digest


@pytest.mark.slow
def test_a_package_with_another_model_in_it_does_not_pass(
    registered: Platform, package: Package, booster: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = booster.model_to_string(num_iteration=3).encode()  # type: ignore[attr-defined]  # a lightgbm.Booster
    swapped = changed(bytes_of(registered, package), "model/model.txt", text)
    monkeypatch.setattr(registered.resources.store, "write_to", lambda _, path: path.write_bytes(swapped))
    verification = registered.call("packages.verify", {"model": "delay"})
    assert not verification.passed
    assert verification.largest_difference > 0


@pytest.mark.slow
def test_a_package_that_dies_says_why(registered: Platform, package: Package) -> None:
    broken = changed(bytes_of(registered, package), "__main__.py", b"raise SystemError('no power')")
    kept = msgspec.structs.replace(package, digest=registered.resources.store.put(broken))
    with pytest.raises(Refused, match="no power"):
        run_packed(registered.session(), kept, examples(package.manifest.signature))


@pytest.mark.slow
def test_a_package_tells_bad_input_as_the_platform_does(registered: Platform, package: Package) -> None:
    columns = examples(package.manifest.signature)
    del columns["hour"]
    with pytest.raises(InvalidInput, match="Missing: hour"):
        run_packed(registered.session(), package, columns)


@pytest.mark.slow
def test_a_package_runs_where_everloop_is_not_installed(
    registered: Platform, package: Package, tmp_path: Path, columns: Columns, trained_apart: Model
) -> None:
    file = tmp_path / "delay.pyz"
    file.write_bytes(bytes_of(registered, package))
    row = {"distance": [900.0], "hour": [17], "carrier": ["B6"]}
    program = (
        f"import runpy, sys; sys.argv = [{str(file)!r}, 'predict']; runpy.run_path(sys.argv[0], run_name='__main__')"
    )
    ran = subprocess.run(
        [sys.executable, "-S", "-c", program],
        input=msgspec.json.encode({"columns": row}),
        capture_output=True,
        check=True,
        timeout=60,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": sysconfig.get_path("purelib")},
    )
    own = load_model(registered.session(), trained_apart).predict(
        {"distance": np.array([900.0]), "hour": np.array([17]), "carrier": np.array(["B6"], dtype=object)}
    )
    assert msgspec.json.decode(ran.stdout) == {"model": "delay", "version": 1, "scores": own.tolist()}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "body", "said", "code"),
    [
        (["predict"], b"{", "cannot be read", 2),
        (["predict"], b'{"columns": {"distance": 3}}', "cannot be read", 2),
        (["predict"], b'{"columns": {"distance": ["far"], "hour": [1], "carrier": ["AA"]}}', "distance", 2),
        (["fly"], b"", "fly is not a command", 2),
        ([], b"", "Nothing is not a command", 2),
    ],
)
def test_a_package_refuses_what_it_cannot_do(
    registered: Platform, package: Package, tmp_path: Path, arguments: list[str], body: bytes, said: str, code: int
) -> None:
    file = tmp_path / "delay.pyz"
    file.write_bytes(bytes_of(registered, package))
    ran = subprocess.run([sys.executable, str(file), *arguments], input=body, capture_output=True, check=False)
    assert ran.returncode == code
    assert said in msgspec.json.decode(ran.stderr)["error"]["message"]


@pytest.mark.slow
def test_a_package_shows_its_manifest(registered: Platform, package: Package, tmp_path: Path) -> None:
    file = tmp_path / "delay.pyz"
    file.write_bytes(bytes_of(registered, package))
    ran = subprocess.run([sys.executable, str(file), "manifest"], capture_output=True, check=True)
    assert msgspec.json.decode(ran.stdout, type=Manifest) == package.manifest


def test_a_models_files_scan_clean(registered: Platform) -> None:
    assert registered.call("packages.scan", {"model": "delay"}) == []


def test_a_pickle_slipped_into_a_model_is_found(registered: Platform, trained_apart: Model, tmp_path: Path) -> None:
    store = registered.resources.store
    store.checkout(trained_apart.digest, tmp_path / "model")
    (tmp_path / "model" / "weights.pkl").write_bytes(b"cposix\nsystem\n(S'true'\ntR.")
    poisoned = msgspec.structs.replace(trained_apart, digest=Digest(store.put_folder(tmp_path / "model")))
    registered.call("models.register", {"name": "delay", "trained": poisoned})
    findings = registered.call("packages.scan", {"model": "delay"})
    assert {finding.path for finding in findings} == {"weights.pkl"}
    assert any("posix.system" in finding.problem for finding in findings)


@pytest.mark.slow
def test_a_package_of_scikit_learn_answers_what_the_model_does(platform: Platform, columns: Columns) -> None:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    from everloop.registry.columns import InputMatrix, signature_of
    from everloop.registry.save import save_model

    signature = signature_of({"hour": columns["hour"]})
    rows = InputMatrix(signature.inputs)(columns)
    native = make_pipeline(StandardScaler(), LogisticRegression()).fit(rows, columns["hour"] > 15)
    strict = Signature((Field("hour", "int64", nullable=False),), signature.outputs)
    with platform.session().activate():
        trained = save_model(native, flavor="sklearn", signature=strict)
    platform.call("models.register", {"name": "linear", "trained": trained})
    platform.call("packages.build", {"model": "linear"})
    assert platform.call("packages.verify", {"model": "linear"}).passed
    assert platform.call("packages.scan", {"model": "linear"}) == []
