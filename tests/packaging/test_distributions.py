"""Distributions: what goes along, and what stays."""

from __future__ import annotations

from importlib.metadata import version

import pytest

from everloop.kernel.errors import Misconfigured
from everloop.packaging.distributions import RUNTIME, SERVER, closure, files_of, lock


def names(*wanted: str) -> set[str]:
    return {one.name for one in closure(wanted)}


def test_what_a_distribution_requires_comes_along() -> None:
    assert {"starlette", "anyio", "idna"} <= names("starlette")


def test_what_only_another_python_or_an_extra_requires_does_not() -> None:
    assert not {"exceptiongroup", "httpx", "jinja2", "trio"} & names(*SERVER)


def test_of_lightgbm_only_the_library_is_used() -> None:
    assert names("lightgbm==4.0", *RUNTIME) == {"lightgbm", "msgspec", "numpy"}


def test_names_and_pins_of_every_spelling_are_understood() -> None:
    assert names("Scikit_Learn==1.0") == names("scikit-learn")


def test_what_is_not_installed_is_refused_with_what_to_do() -> None:
    with pytest.raises(Misconfigured, match="pip install no-such-thing"):
        closure(["no-such-thing"])


def test_what_is_not_installed_from_a_wheel_is_refused() -> None:
    with pytest.raises(Misconfigured, match="not-installed"):
        list(files_of("not-installed"))


def test_tests_headers_and_sources_stay_out() -> None:
    places = [place for place, _ in files_of("numpy")]
    assert not [place for place in places if "/tests/" in place or place.endswith((".h", ".pyi", ".a", ".pyc"))]
    assert any(place.startswith("numpy.libs/") for place in places)


def test_a_distribution_can_still_be_asked_for_its_version_and_licence() -> None:
    places = [place.partition(".dist-info/")[2] for place, _ in files_of("numpy")]
    assert "METADATA" in places
    assert any("licen" in place.lower() for place in places)


def test_no_file_leads_out_of_site_packages() -> None:
    places = [place for one in closure([*RUNTIME, *SERVER]) for place, _ in files_of(one.name)]
    assert not [place for place in places if place.startswith(("/", ".."))]


def test_the_lock_pins_all_with_a_hash_and_pip_reads_it() -> None:
    from packaging.requirements import Requirement

    lines = lock(closure(RUNTIME)).decode().splitlines()
    pins = {str(Requirement(line.partition("  #")[0])) for line in lines}
    assert pins == {f"{name}=={version(name)}" for name in RUNTIME}
    assert all(len(line.partition("sha256:")[2].split()[0]) == 64 for line in lines)
