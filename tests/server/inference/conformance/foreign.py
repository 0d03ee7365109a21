"""Checks by clients that need an environment of their own: a script of ours runs in it, and tells what held."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.server.inference.conformance.checks import Check, Target

HERE = Path(__file__).parent
CLIENTS = Path(__file__).parents[4] / ".venv" / "clients"
NAMES = {"kserve": "KServe's client", "mlserver": "MLServer's client"}


def python_of(client: str) -> Path:
    """The interpreter that has the client; scripts/setup.sh makes it."""
    return CLIENTS / client / "bin" / "python"


def sentences(client: str) -> list[str]:
    """The sentences of a client's script; none where the client is not installed."""
    return list(_told(client, ["--list"])) if python_of(client).exists() else []


class Foreign:
    """A client's checks, all run at the first one that is asked for."""

    def __init__(self, client: str) -> None:
        self._client = client
        self._found: dict[Target, dict[str, str]] = {}

    def checks(self) -> list[Check]:
        """All of them."""
        return [
            Check(NAMES[self._client], sentence, lambda target, sentence=sentence: self._holds(target, sentence))  # type: ignore[misc]  # The default binds the sentence.
            for sentence in sentences(self._client)
        ]

    def _holds(self, target: Target, sentence: str) -> None:
        if target not in self._found:
            self._found[target] = _told(self._client, [target.url, target.grpc])
        assert not self._found[target][sentence], self._found[target][sentence]


def _told(client: str, words: Sequence[str]) -> dict[str, str]:
    """What is wrong, by sentence; empty where it holds."""
    command = [str(python_of(client)), str(HERE / f"{client}_client.py"), *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith('{"check"')]
    if not lines:
        raise RuntimeError(f"{client}'s script told nothing: {done.stderr[-2000:]}")
    return {line["check"]: line["error"] for line in lines}
