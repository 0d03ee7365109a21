"""The archive: which code goes in, and that nothing of the machine does."""

from __future__ import annotations

import zipfile
from io import BytesIO

from hypothesis import given, settings
from hypothesis import strategies as st

from everloop.packaging.archive import code_of, zipped
from tests.examples import examples

names = st.text("abc/.", min_size=1, max_size=8).filter(lambda name: not name.startswith("/"))
files = st.dictionaries(names, st.binary(max_size=200), max_size=6)


def read(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@given(files)
@settings(max_examples=examples(50), deadline=None)
def test_what_goes_in_comes_out(given_files: dict[str, bytes]) -> None:
    assert read(zipped(given_files)) == given_files


@given(files)
@settings(max_examples=examples(50), deadline=None)
def test_the_order_of_files_does_not_matter(given_files: dict[str, bytes]) -> None:
    assert zipped(dict(reversed(given_files.items()))) == zipped(given_files)


def test_no_time_and_no_user_stands_in_it() -> None:
    with zipfile.ZipFile(BytesIO(zipped({"a": b"1"}))) as archive:
        (entry,) = archive.infolist()
    assert (entry.date_time, entry.external_attr >> 16, entry.create_system) == ((1980, 1, 1, 0, 0, 0), 0o100644, 3)


def test_a_module_brings_its_packages_and_what_it_imports() -> None:
    found = code_of(["everloop.kernel.ids"])
    assert set(found) == {
        "everloop/__init__.py",
        "everloop/kernel/__init__.py",
        "everloop/kernel/clock.py",
        "everloop/kernel/errors.py",
        "everloop/kernel/ids.py",
        "everloop/kernel/version.py",
    }


def test_what_only_type_checkers_read_stays_out() -> None:
    assert "everloop/registry/flavor.py" not in code_of(["everloop.packaging.runner"])


def test_imports_inside_functions_come_along() -> None:
    assert "everloop/backends/flavors/lightgbm_library.py" in code_of(["everloop.backends.flavors.lightgbm"])


def test_neither_the_catalog_nor_a_door_is_packed() -> None:
    modules = ["everloop.packaging.runner", "everloop.registry.columns", "everloop.backends.flavors.sklearn"]
    areas = {path.split("/")[1] for path in code_of(modules)}
    assert not areas & {"catalog", "app", "cli", "server", "sdk", "serving", "loop"}


def test_every_file_of_code_is_the_source_itself() -> None:
    from pathlib import Path

    import everloop

    root = Path(everloop.__file__).parent.parent
    assert all((root / path).read_bytes() == source for path, source in code_of(["everloop.packaging.runner"]).items())


def test_a_module_that_is_not_there_brings_nothing() -> None:
    assert code_of(["everloop.nowhere", "everloop.kernel.ids.Name", "nowhere.at.all"]) == {}
