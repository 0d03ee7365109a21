"""The processes of a platform, and the supervisor that keeps them alive."""

from __future__ import annotations

import inspect
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from everloop.app import processes
from everloop.app.processes import ENTRIES, Command, Supervisor, entry, free_port
from everloop.kernel.errors import Unavailable


@pytest.mark.parametrize("name", ENTRIES)
def test_every_process_has_a_function_that_runs_it(name: str) -> None:
    first = next(iter(inspect.signature(entry(name)).parameters))
    assert first == ("settings" if name == "workers" else "platform")  # The supervisor of workers opens no platform.


def test_any_free_port_is_found_for_none() -> None:
    port = free_port("127.0.0.1", 0)
    with socket.create_server(("127.0.0.1", port)):
        assert port > 0


def test_a_port_that_is_taken_is_unavailable_with_a_remedy() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(Unavailable, match=f"Cannot listen on 127.0.0.1:{port}") as caught:
            free_port("127.0.0.1", port)
    assert "--port" in caught.value.problem.hint


@pytest.mark.parametrize(("host", "port"), [("192.0.2.1", 0), ("127.0.0.1", 70_000)])
def test_an_address_that_cannot_be_ours_is_unavailable(host: str, port: int) -> None:
    with pytest.raises(Unavailable, match="Cannot listen on"):
        free_port(host, port)


class Child:
    """A process that a test lets live and die, with its starts."""

    def __init__(self) -> None:
        self.starts = 0
        self.code: int | None = None
        self.signals: list[int] = []

    def __call__(self, words: list[str], **options: object) -> Child:
        assert words == [sys.executable, "-m", "everloop", "server"]
        self.starts += 1
        self.code = None
        return self

    def poll(self) -> int | None:
        return self.code

    def send_signal(self, number: int) -> None:
        self.signals.append(number)
        self.code = 0

    def wait(self, seconds: float | None = None) -> int:
        return 0


@pytest.fixture
def child(monkeypatch: pytest.MonkeyPatch) -> Child:
    """What the supervisor starts instead of a process."""
    made = Child()
    monkeypatch.setattr(processes.subprocess, "Popen", made)
    return made


@pytest.fixture
def looked(child: Child) -> Callable[[float], int | None]:
    """`looked(second)`: what a look at the one child finds at that second."""
    return processes._Child(Command("server", ("server",)), {}).look


def test_a_child_is_started_at_the_first_look_and_left_alone_while_it_lives(
    looked: Callable[[float], int | None], child: Child
) -> None:
    assert [looked(second) for second in (1.0, 2.0, 3.0)] == [None, None, None]
    assert child.starts == 1


def test_a_child_that_dies_is_told_once_and_started_again(looked: Callable[[float], int | None], child: Child) -> None:
    looked(1.0)
    child.code = 9
    assert [looked(2.0), looked(2.1)] == [9, None]
    assert child.starts == 1
    looked(10.0)
    assert child.starts == 2


def lives(looked: Callable[[float], int | None], child: Child, lifetime: float, deaths: int) -> Iterator[float]:
    """How long each death is followed by nothing, for a child that dies after so many seconds each time."""
    now = 1.0
    looked(now)
    for _ in range(deaths):
        now += lifetime
        child.code = 1
        looked(now)
        died, starts = now, child.starts
        while child.starts == starts:
            now += 0.25
            looked(now)
        yield now - died


def test_a_child_that_keeps_dying_is_waited_for_longer_and_longer_up_to_half_a_minute(
    looked: Callable[[float], int | None], child: Child
) -> None:
    assert list(lives(looked, child, 0.1, 8)) == pytest.approx([0.5, 1, 2, 4, 8, 16, 30, 30])


def test_a_child_that_had_lived_long_is_started_again_soon(looked: Callable[[float], int | None], child: Child) -> None:
    assert list(lives(looked, child, 60.0, 3)) == pytest.approx([0.5] * 3)


def test_what_is_kept_already_goes_on(child: Child) -> None:
    supervisor = Supervisor({}, print)
    for _ in range(2):
        supervisor.keep([Command("server", ("server",))])
    assert list(supervisor._children) == ["server"]


def test_a_supervisor_that_is_told_to_stop_ends_its_children(child: Child, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "_LOOK_SECONDS", 0.01)
    monkeypatch.setattr(processes.signal, "signal", lambda number, handler: None)
    supervisor = Supervisor({}, print)
    watching = threading.Thread(target=supervisor.run, args=(lambda: [Command("server", ("server",))],))
    watching.start()
    deadline = time.monotonic() + 5
    while not child.starts and time.monotonic() < deadline:
        time.sleep(0.01)
    supervisor._stop(15, None)
    watching.join(5)
    assert (child.starts, child.signals, watching.is_alive()) == (1, [15], False)
