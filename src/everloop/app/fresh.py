"""Fresh processes: a use case called where nothing is in memory yet and the environment is a given one."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping

import msgspec

from everloop.app.settings import Settings
from everloop.kernel.errors import Problem, Unavailable, error_of
from everloop.kernel.usecase import Json


class Request(msgspec.Struct):
    """What the other process is asked, on its standard input."""

    settings: Settings
    project: str
    usecase: str
    arguments: dict[str, Json]


class Answer(msgspec.Struct):
    """What it says, as the last line of its standard output: a result, or what went wrong."""

    result: msgspec.Raw = msgspec.Raw(b"null")
    problem: Problem | None = None


class FreshProcesses:
    """Calls use cases of this platform in processes of their own."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def call(
        self, project: str, usecase: str, arguments: Mapping[str, Json], variables: Mapping[str, str | None]
    ) -> bytes:
        """The answer of a use case as JSON; a variable that is None is not set there.

        Raises:
            Unavailable: the process died.
            EverloopError: whatever the use case raised.
        """
        request = msgspec.json.encode(Request(self._settings, project, usecase, dict(arguments)))
        wanted = {name: value for name, value in (os.environ | variables).items() if value is not None}
        done = subprocess.run(
            [sys.executable, "-m", "everloop.app.once"], input=request, capture_output=True, env=wanted, check=False
        )
        if done.returncode:
            last = (done.stderr.decode(errors="replace").strip().splitlines() or ["without a word"])[-1]
            raise Unavailable(f"The fresh process for {usecase} ended with {done.returncode}: {last}")
        answer = msgspec.json.decode(done.stdout.strip().splitlines()[-1], type=Answer)
        if answer.problem is not None:
            raise error_of(answer.problem)
        return bytes(answer.result)
