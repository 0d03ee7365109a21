"""The command line, called as from a shell: words in; exit code, output and errors out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from everloop.app.platform import Platform
from everloop.cli.door import Door, run
from everloop.cli.main import commands


class Ran(msgspec.Struct, frozen=True):
    """What a command line gave."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The output as JSON."""
        return msgspec.json.decode(self.out)

    @property
    def problem(self) -> dict[str, str]:
        """The error as JSON."""
        found: dict[str, str] = msgspec.json.decode(self.err)["error"]
        return found


Everloop = Callable[..., Ran]


@pytest.fixture
def everloop(platform: Platform, capsys: pytest.CaptureFixture[str]) -> Everloop:
    """`everloop(*words)` on a fresh platform."""
    return caller(lambda: Door(platform), capsys)


@pytest.fixture
def bare(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Everloop:
    """`everloop(*words)` that finds its own platform, as a shell's does."""
    monkeypatch.delenv("EVERLOOP_HOME", raising=False)
    return caller(Door, capsys)


def caller(door: Callable[[], Door], capsys: pytest.CaptureFixture[str]) -> Everloop:
    """A function that runs words on a fresh door each time."""

    def call(*words: str) -> Ran:
        capsys.readouterr()
        code = run(commands, list(words), door())
        return Ran(code, *capsys.readouterr())

    return call
