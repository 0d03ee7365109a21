"""What recording is tested with: platforms to record to, and trainers that are processes of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from everloop.app.platform import Platform
from everloop.sdk.platform import Everloop

QUIET = {name: value for name, value in os.environ.items() if not name.startswith("EVERLOOP_")}


@pytest.fixture(autouse=True)
def settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing of this machine's settings is used, and no test samples the system."""
    for name in [name for name in os.environ if name.startswith("EVERLOOP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("EVERLOOP_SYSTEM_METRICS_SECONDS", "0")
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def ever(platform: Platform) -> Everloop:
    """A platform in process, as users have it."""
    return Everloop(platform)


def trainer(home: Path, body: str, **variables: str) -> subprocess.Popen[str]:
    """A script that runs as a process of its own, with a home; its output can be read."""
    code = f"import everloop as el, os, sys, time\n{body}"
    told = QUIET | {"EVERLOOP_HOME": str(home), "EVERLOOP_SYSTEM_METRICS_SECONDS": "0"} | variables
    return subprocess.Popen(
        [sys.executable, "-c", code],
        env=told,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=home.parent,
    )


def everloop(home: Path, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """`everloop …` on a home."""
    command = [sys.executable, "-m", "everloop", *words, "--home", str(home), "--json"]
    return subprocess.run(command, env=QUIET | variables, capture_output=True, text=True, check=False, timeout=100)
