"""Leases: whether the process behind an execution is gone."""

from __future__ import annotations

import os
from pathlib import Path
from threading import Barrier, Thread

import pytest

from everloop.pipelines import lease


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home."""
    return tmp_path


def files(home: Path) -> list[str]:
    return sorted(path.name for path in (home / "executions").iterdir())


def test_while_it_is_held_nobody_takes_it_for_abandoned(home: Path) -> None:
    with lease.held(home, "e1") as text:
        assert not lease.is_abandoned(home, text)


def test_when_it_was_given_back_it_counts_as_abandoned_and_leaves_no_file(home: Path) -> None:
    with lease.held(home, "e1") as text:
        pass
    assert lease.is_abandoned(home, text)
    assert files(home) == ["home"]


def test_it_is_given_back_when_the_work_raises(home: Path) -> None:
    def work() -> None:
        with lease.held(home, "e1"):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        work()
    assert files(home) == ["home"]


def test_a_process_that_dies_leaves_it_abandoned(home: Path) -> None:
    child = os.fork()
    if child == 0:  # It holds the lease and ends without giving it back.
        with lease.held(home, "e1"):
            os._exit(0)
    os.waitpid(child, 0)
    text = f"{(home / 'executions' / 'home').read_text()}/e1"
    assert files(home) == ["e1.lock", "home"]
    assert lease.is_abandoned(home, text)
    lease.clear(home, text)
    assert files(home) == ["home"]


def test_the_lease_of_another_home_is_given_the_benefit_of_the_doubt(home: Path) -> None:
    with lease.held(home / "other", "e1") as text:
        pass
    assert lease.is_abandoned(home / "other", text)
    assert not lease.is_abandoned(home, text)


def test_two_executions_hold_leases_of_their_own(home: Path) -> None:
    with lease.held(home, "e1") as one:
        with lease.held(home, "e2") as two:
            pass
        assert (lease.is_abandoned(home, one), lease.is_abandoned(home, two)) == (False, True)


def test_a_home_has_one_name_however_many_ask_at_once(home: Path) -> None:
    names: list[str] = []
    together = Barrier(8)

    def ask(number: int) -> None:
        together.wait()
        with lease.held(home, f"e{number}") as text:
            names.append(text.partition("/")[0])

    threads = [Thread(target=ask, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(names) == 8
    assert len(set(names)) == 1
