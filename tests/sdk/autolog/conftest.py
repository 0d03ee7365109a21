"""What autolog is tested with: a platform that is active, and libraries that are as they were afterwards."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

import everloop as el
from everloop.app.platform import Platform
from everloop.sdk.platform import Everloop
from everloop.tracking.entities import Run


@pytest.fixture(autouse=True)
def settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Nothing of this machine's settings is used, and every library is put back."""
    for name in [name for name in os.environ if name.startswith("EVERLOOP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("EVERLOOP_SYSTEM_METRICS_SECONDS", "0")
    monkeypatch.chdir(tmp_path)
    yield
    el.autolog(disable=True)


@pytest.fixture
def ever(platform: Platform) -> Iterator[Everloop]:
    """A platform in process, which is active."""
    found = Everloop(platform)
    with platform.session().activate():
        yield found


def paths(ever: Everloop, run: str) -> set[str]:
    """The files of a run."""
    return {artifact.path for artifact in ever.runs.artifacts(run)}


def only(ever: Everloop) -> Run:
    """The run that is there; fails if there are several."""
    (found,) = ever.runs.search()
    return found
