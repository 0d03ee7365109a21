"""The wheel: installed by pip, imported, asked."""

from __future__ import annotations

import base64
import hashlib
import subprocess
import sys
import zipfile
from io import BytesIO
from pathlib import Path

import pytest

from everloop.app.platform import Platform
from everloop.packaging import distributions
from everloop.packaging.handing import handed_out
from everloop.packaging.wheel import module_of
from tests.packaging.conftest import built


def files(workshop: Platform) -> dict[str, bytes]:
    with zipfile.ZipFile(BytesIO(workshop.resources.store.get(built(workshop, "wheel").digest))) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@pytest.mark.slow
def test_pip_installs_it_and_python_asks_it(workshop: Platform, tmp_path: Path) -> None:
    target = tmp_path / "target"
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--target", str(target)]
    with handed_out(workshop.session(), built(workshop, "wheel")) as wheel:
        subprocess.run([*install, str(wheel)], check=True, capture_output=True)
    for one in distributions.closure(["numpy", "msgspec", *built(workshop, "wheel").manifest.requirements]):
        for place, path in distributions.files_of(one.name):
            (target / place).parent.mkdir(parents=True, exist_ok=True)
            (target / place).symlink_to(path)
    program = (
        f"import sys; sys.path.insert(0, {str(target)!r}); import everloop_model_delay as model;"
        " print(model.predict({'distance': [900.0], 'hour': [17], 'carrier': ['B6']}).tolist(), model.__version__)"
    )
    python = getattr(sys, "_base_executable", sys.executable)
    ran = subprocess.run([python, "-I", "-S", "-c", program], capture_output=True, check=False, text=True)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.startswith("[0.")
    assert ran.stdout.endswith("2\n")


@pytest.mark.slow
def test_each_file_is_in_its_record(workshop: Platform) -> None:
    found = files(workshop)
    (record,) = (name for name in found if name.endswith("RECORD"))
    lines = dict(line.split(",", 1) for line in found[record].decode().splitlines())
    assert set(lines) == set(found)
    for name, data in found.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
        assert name == record or lines[name] == f"sha256={digest},{len(data)}"


@pytest.mark.slow
def test_it_asks_pip_for_what_the_model_needs(workshop: Platform) -> None:
    found = files(workshop)
    (metadata,) = (data.decode() for name, data in found.items() if name.endswith("METADATA"))
    needed = {line.partition(": ")[2] for line in metadata.splitlines() if line.startswith("Requires-Dist")}
    assert needed >= set(built(workshop, "wheel").manifest.requirements)
    assert "Name: everloop-model-delay" in metadata


@pytest.mark.slow
def test_it_writes_over_nothing_of_an_everloop_that_is_installed(workshop: Platform) -> None:
    assert {name.partition("/")[0].partition("-")[0] for name in files(workshop)} == {"everloop_model_delay"}


@pytest.mark.parametrize(
    ("model", "module"),
    [
        ("delay", "everloop_model_delay"),
        ("Late.Flights-3", "everloop_model_late_flights_3"),
        ("a__b", "everloop_model_a_b"),
    ],
)
def test_the_module_is_named_as_python_takes_it(model: str, module: str) -> None:
    assert module_of(model) == module
    assert module.isidentifier()
