"""`everloop package`: what is written where, for each form."""

from __future__ import annotations

import subprocess
import tarfile
from pathlib import Path
from types import SimpleNamespace

import pytest

from everloop.app.platform import Platform
from everloop.cli.door import Door
from everloop.cli.package import _hand_out
from everloop.kernel.errors import InvalidInput
from everloop.store.entities import TreeEntry
from tests.cli.conftest import Everloop, caller
from tests.packaging.conftest import booster, columns, workshop

__all__ = ["booster", "columns", "workshop"]
pytestmark = pytest.mark.slow


@pytest.fixture
def packing(workshop: Platform, capsys: pytest.CaptureFixture[str]) -> Everloop:
    """`everloop(*words)` on the platform of the tests that pack."""
    return caller(lambda: Door(workshop), capsys)


def test_an_image_becomes_a_tar(packing: Everloop, tmp_path: Path) -> None:
    out = tmp_path / "delay.tar"
    assert packing("package", "delay", "--form", "image", "--out", str(out)).code == 0
    with tarfile.open(out) as archive:
        assert {"oci-layout", "index.json", "manifest.json"} < set(archive.getnames())


def test_an_image_without_a_suffix_becomes_a_folder(packing: Everloop, tmp_path: Path) -> None:
    ran = packing(
        "package", "delay", "--form", "image", "--out", str(tmp_path / "a" / "layout"), "--papers", str(tmp_path)
    )
    assert ran.code == 0
    assert (tmp_path / "a" / "layout" / "index.json").exists()
    assert {"Dockerfile", "sbom.cdx.json", "signature.json"} < {path.name for path in tmp_path.iterdir()}


def test_what_a_cloud_wants_is_one_folder(packing: Everloop, tmp_path: Path) -> None:
    assert packing("package", "delay", "--form", "sagemaker", "--out", str(tmp_path / "cloud")).code == 0
    found = {path.name for path in (tmp_path / "cloud").iterdir()}
    assert {"image.tar", "model.tar.gz", "sagemaker.yaml", "mlbom.cdx.json"} < found


def test_an_executable_can_be_run_at_once(packing: Everloop, tmp_path: Path) -> None:
    out = tmp_path / "delay"
    assert packing("package", "delay@2", "--form", "executable", "--out", str(out)).code == 0
    ran = subprocess.run([out, "manifest"], capture_output=True, check=False, env={"HOME": str(tmp_path)})
    assert (ran.returncode, b'"version": 2' in ran.stdout) == (0, True)


def test_a_wheel_in_a_folder_has_the_name_that_pip_reads(packing: Everloop, tmp_path: Path) -> None:
    assert packing("package", "delay", "--form", "wheel", "--out", str(tmp_path)).code == 0
    (wheel,) = tmp_path.iterdir()
    assert wheel.name.startswith("everloop_model_delay-2-py3-none-")


def test_verify_says_what_was_compared(packing: Everloop, tmp_path: Path) -> None:
    ran = packing("package", "delay", "--form", "wheel", "--out", str(tmp_path), "--verify")
    assert (ran.code, "32 predictions, each equal to the model's" in ran.out) == (0, True)


def test_a_form_that_is_none_is_wrong_input(packing: Everloop) -> None:
    assert packing("package", "delay", "--form", "floppy").code == 2


def test_a_push_to_nowhere_is_wrong_input(packing: Everloop) -> None:
    assert packing("package", "delay", "--form", "image", "--push", "nowhere").code == 2


@pytest.mark.parametrize("path", ["../out", "/etc/out", "a/../../out"])
def test_a_server_s_path_that_leads_out_of_the_folder_is_refused_before_anything_is_written(
    tmp_path: Path, path: str
) -> None:
    class Lying:
        def call(self, name: str, arguments: object) -> list[TreeEntry]:
            return [TreeEntry("fine", "0" * 64, 1), TreeEntry(path, "0" * 64, 1)]

        def get_object(self, digest: str) -> bytes:
            return b"x"

    built = SimpleNamespace(model="m", version=1, form="image")
    with pytest.raises(InvalidInput, match="not a path inside a tree"):
        _hand_out(Lying(), built, tmp_path / "folder")  # type: ignore[arg-type]  # what they stand for
    assert list(tmp_path.iterdir()) == []
