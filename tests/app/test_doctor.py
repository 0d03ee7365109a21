"""The doctor finds what is broken, and says how to mend it."""

from __future__ import annotations

import importlib.metadata
import shutil
import socket
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import pytest

from everloop.app import doctor
from everloop.app.doctor import Finding, examine, is_broken
from everloop.app.platform import Platform
from everloop.app.settings import Loaded, load
from everloop.kernel.clock import SystemClock
from everloop.registry.trees import kernel

LOOK = importlib.metadata.packages_distributions
Examined = Callable[..., dict[str, Finding]]


@pytest.fixture
def settings(home: Path, tmp_path: Path) -> Loaded:
    """Settings of a home that is not there yet."""
    return load({"home": str(home), "port": free_port()}, environment={}, folder=tmp_path)


@pytest.fixture
def examined(home: Path, tmp_path: Path) -> Examined:
    """`examined(**settings)`: the findings by name."""

    def look(**changes: object) -> dict[str, Finding]:
        asked = {"home": str(home), "port": free_port()} | changes
        return {finding.name: finding for finding in examine(load(asked, environment={}, folder=tmp_path))}

    return look


@cache
def distributions() -> Mapping[str, list[str]]:
    """What is installed here: a look at every file of every distribution, taken once for all tests."""
    return LOOK()


@pytest.fixture(autouse=True)
def _one_look(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.metadata, "packages_distributions", distributions)


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


def test_this_installation_is_sound(settings: Loaded, platform: Platform) -> None:
    findings = examine(settings)
    assert not is_broken(findings), [finding for finding in findings if finding.state == "broken"]


def test_an_empty_home_is_fine_and_stays_empty(examined: Examined, home: Path) -> None:
    assert examined()["home"].state == "ok"
    assert not home.exists()


def test_what_is_kept_is_used_in_earnest(examined: Examined, platform: Platform) -> None:
    found = examined()
    assert [found[name].state for name in ("catalog", "store", "online store", "ledger")] == ["ok"] * 4
    assert "revision" in found["catalog"].message


def test_a_home_that_others_can_look_into_is_a_warning(examined: Examined, platform: Platform, home: Path) -> None:
    home.chmod(0o755)
    found = examined()["home"]
    assert (found.state, found.mend) == ("warning", f"chmod 700 {home}")


def test_a_home_that_is_a_file_is_broken(examined: Examined, home: Path) -> None:
    home.touch()
    assert examined()["home"].state == "broken"


def test_a_database_that_does_not_answer_is_broken(examined: Examined, home: Path) -> None:
    home.mkdir()
    found = examined(database_url=f"postgresql://nobody@127.0.0.1:{free_port()}/none")["catalog"]
    assert found.state == "broken"
    assert "EVERLOOP_DATABASE_URL" in found.mend


def test_a_database_that_is_none_is_broken(examined: Examined, home: Path) -> None:
    home.mkdir()
    (home / "catalog.db").write_bytes(b"no database" * 1000)
    assert examined()["catalog"].state == "broken"


def test_a_kind_of_store_that_nobody_knows_is_broken(examined: Examined, home: Path) -> None:
    home.mkdir()
    assert examined(store_url="gopher://x")["catalog"].state == "broken"


def test_a_store_with_wrong_bytes_is_broken(examined: Examined, platform: Platform, home: Path) -> None:
    examined()
    for file in (home / "store" / "objects").rglob("*"):
        if file.is_file():
            file.write_bytes(b"something else")
    found = examined()["store"]
    assert found.state == "broken"
    assert "address" in found.message


def test_a_port_that_a_server_listens_on_is_fine(examined: Examined) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert "Somebody listens" in examined(port=taken.getsockname()[1])["port"].message


def test_an_address_that_is_not_ours_is_broken(examined: Examined) -> None:
    assert examined(host="192.0.2.1")["port"].state == "broken"


def test_a_dependency_that_is_missing_is_named(examined: Examined, monkeypatch: pytest.MonkeyPatch) -> None:
    required = [*(importlib.metadata.requires("everloop") or []), "no-such-library>=1"]
    monkeypatch.setattr(importlib.metadata, "requires", lambda name: required)
    found = examined()["dependencies"]
    assert (found.state, found.mend) == ("broken", "pip install no-such-library")


def test_extras_are_not_missed(monkeypatch: pytest.MonkeyPatch, examined: Examined) -> None:
    monkeypatch.setattr(importlib.metadata, "requires", lambda name: ['no-such-library>=1; extra == "x"'])
    assert examined()["dependencies"].state == "ok"


def test_a_missing_openmp_says_what_to_install(examined: Examined, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise OSError(name)

    monkeypatch.setattr(doctor.ctypes, "CDLL", missing)
    assert examined()["libgomp"].mend == "apt-get install libgomp1"


def test_little_space_is_a_warning(examined: Examined, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage("/")._replace(free=1 << 20)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    assert examined()["space"].state == "warning"


def test_a_clock_from_another_century_is_broken(examined: Examined, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SystemClock, "now", lambda self: datetime(1999, 1, 1, tzinfo=UTC))
    assert examined()["clock"].state == "broken"


def test_a_kernel_that_was_not_compiled_is_a_warning(examined: Examined, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel, "LIBRARY", Path("/nowhere.so"))
    kernel.library.cache_clear()
    found = examined()["trees"]
    kernel.library.cache_clear()
    assert found.state == "warning"
    assert "slower" in found.message
