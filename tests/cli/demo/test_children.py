"""The demo's other processes: started, watched, measured, started again when they die, and ended."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from everloop.cli.demo import children
from everloop.cli.demo.children import Child, free_port, peak_kb
from everloop.kernel.errors import Unavailable


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Child]:
    environment = os.environ | {"EVERLOOP_HOME": str(tmp_path / "home")}
    child = Child("server", ["server"], free_port(), tmp_path / "server.log", environment)
    yield child
    child.stop()


def process_of(child: Child) -> int:
    assert child._process is not None
    return child._process.pid


@pytest.mark.slow
def test_a_child_that_is_killed_is_there_again_when_it_is_needed(server: Child) -> None:
    server.ready()
    before = process_of(server)
    os.kill(before, signal.SIGKILL)
    time.sleep(0.2)
    server.ready()
    assert process_of(server) != before


@pytest.mark.slow
def test_a_child_is_measured_and_ends_cleanly(server: Child) -> None:
    server.ready()
    assert 10 < server.peak_mb() < 2_000
    server.stop()
    assert server._process is not None
    assert server._process.returncode == 0


@pytest.mark.slow
def test_a_child_that_does_not_come_up_is_named_with_its_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(children, "READY_SECONDS", 1.0)
    child = Child("endpoint", ["no-such-command"], free_port(), tmp_path / "endpoint.log", os.environ)
    with pytest.raises(Unavailable, match="endpoint did not come up") as caught:
        child.ready()
    assert "endpoint.log" in caught.value.hint
    child.stop()


def test_memory_is_that_of_this_process_and_none_of_one_that_is_gone() -> None:
    assert peak_kb() > 10_000
    assert peak_kb(2**22 + 1) == 0
