"""Unmodified clients of Triton, KServe and MLServer, and bad input of every kind, against our own server."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.server.inference.conformance import foreign
from tests.server.inference.conformance.__main__ import all_checks, failure
from tests.server.inference.conformance.checks import Check, Target

pytestmark = pytest.mark.slow
CHECKS = {f"{check.group}: {check.sentence}": check for check in all_checks()}


@pytest.fixture(scope="module")
def target() -> Iterator[Target]:
    """A process that serves the models of the checks."""
    command = [sys.executable, "-m", "tests.server.inference.conformance.server"]
    clean = {name: value for name, value in os.environ.items() if not name.startswith("EVERLOOP_")}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=clean) as process:
        assert process.stdout is not None
        http, grpc = (json.loads(process.stdout.readline())["address"] for _ in range(2))
        yield Target(http, grpc.removeprefix("grpc://"))
        process.send_signal(signal.SIGTERM)


@pytest.mark.parametrize("check", CHECKS.values(), ids=CHECKS)
def test_the_server_does_what_clients_expect(target: Target, check: Check) -> None:
    assert failure(check, target) == ""


def test_the_sentences_are_told_apart() -> None:
    assert len(CHECKS) == len(all_checks())
    assert len(CHECKS) > 149


@pytest.mark.parametrize("client", foreign.NAMES)
def test_the_clients_are_there(client: str) -> None:
    if not foreign.python_of(client).exists():
        pytest.skip(f"{client} is not installed; scripts/setup.sh test does it")
    assert len(foreign.sentences(client)) > 15
