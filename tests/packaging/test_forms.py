"""Every form of a package: built, run apart from this installation, and the same each time."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import msgspec
import pytest

from everloop.app.platform import Platform
from everloop.kernel.errors import Corrupted, EverloopError, InvalidInput, Misconfigured
from everloop.packaging import distributions
from everloop.packaging.entities import IMAGES, Form, Manifest, Package, ScanReport
from everloop.packaging.running import unpacked
from everloop.packaging.verification import examples, run_packed
from tests.packaging.conftest import built, packed

FORMS: tuple[Form, ...] = get_args(Form)
PAPERS = {"manifest.json", "mlbom.cdx.json", "requirements.txt", "sbom.cdx.json", "scan.json", "signature.json"}
pytestmark = pytest.mark.slow


def part(workshop: Platform, package: Package, name: str) -> bytes:
    return workshop.resources.store.get(package.parts[name])


@pytest.mark.parametrize("form", [form for form in FORMS if form not in IMAGES[1:]])  # `test_clouds` runs those.
def test_a_package_of_every_form_answers_what_the_model_does(workshop: Platform, form: Form) -> None:
    built(workshop, form)
    found = workshop.call("packages.verify", {"model": "delay", "form": form})
    assert (found.passed, found.largest_difference, found.rows) == (True, 0.0, 32)


@pytest.mark.parametrize("form", FORMS)
def test_packing_again_in_any_form_gives_the_same_package(workshop: Platform, form: Form) -> None:
    assert packed(workshop, form, 2) == built(workshop, form)


@pytest.mark.parametrize("form", FORMS)
def test_a_package_of_every_form_comes_with_its_papers(workshop: Platform, form: Form) -> None:
    package = built(workshop, form)
    assert set(package.parts) >= PAPERS
    assert msgspec.json.decode(part(workshop, package, "manifest.json"), type=Manifest) == package.manifest
    assert msgspec.json.decode(part(workshop, package, "scan.json"), type=ScanReport).passed


def test_each_form_is_found_by_its_name(workshop: Platform) -> None:
    image, wheel = built(workshop, "image"), built(workshop, "wheel")
    assert workshop.call("packages.get", {"model": "delay", "form": "image"}) == image
    assert workshop.call("packages.get", {"model": "delay", "form": "wheel"}) == wheel
    with pytest.raises(InvalidInput, match="floppy"):
        workshop.call("packages.get", {"model": "delay", "form": "floppy"})


def test_the_files_of_an_image_are_its_layout_and_those_of_a_wheel_itself(workshop: Platform) -> None:
    image = workshop.call("packages.files", {"model": "delay", "form": built(workshop, "image").form})
    wheel = workshop.call("packages.files", {"model": "delay", "form": built(workshop, "wheel").form})
    assert {"oci-layout", "index.json", "manifest.json"} < {entry.path for entry in image}
    assert [entry.path.startswith("everloop_model_delay-2-py3-none-") for entry in wheel] == [True]


def test_no_paper_tells_of_this_machine(workshop: Platform) -> None:
    package = built(workshop, "wheel")
    papers = [part(workshop, package, name) for name in sorted(PAPERS - {"signature.json"})]
    assert not [paper for paper in papers if str(workshop.resources.home).encode() in paper]


@pytest.mark.parametrize("form", ["lambda", "wheel", "archive"])
def test_a_damaged_zip_is_found_out(workshop: Platform, form: Form, monkeypatch: pytest.MonkeyPatch) -> None:
    package = built(workshop, form)
    data = bytearray(workshop.resources.store.get(package.digest))
    for place in range(len(data) // 3, len(data) // 3 + 2000):
        data[place] ^= 0x55
    monkeypatch.setattr(workshop.resources.store, "write_to", lambda _, path: path.write_bytes(bytes(data)))
    with pytest.raises(EverloopError):
        run_packed(workshop.session(), package, examples(package.manifest.signature))


def test_a_package_of_which_the_store_lost_a_byte_is_not_run(workshop: Platform, tmp_path: Path) -> None:
    package = built(workshop, "image")
    workshop.resources.store.checkout(package.digest, tmp_path / "layout")
    blob = max((tmp_path / "layout" / "blobs" / "sha256").iterdir(), key=lambda path: path.stat().st_size)
    data = bytearray(blob.read_bytes())
    data[len(data) // 2] ^= 1
    blob.chmod(0o644)
    blob.write_bytes(bytes(data))
    with pytest.raises(Corrupted, match="damaged"):
        unpacked(tmp_path / "layout", tmp_path / "root")


def test_what_a_package_needs_and_is_not_here_is_said_before_anything_is_built(
    workshop: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(distributions, "SERVER", ("no-such-server",))
    with pytest.raises(Misconfigured, match="pip install no-such-server"):
        workshop.call("packages.build", {"model": "delay", "version": 1, "form": "image"})
