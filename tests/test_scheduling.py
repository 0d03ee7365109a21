"""One process runs all tests that share what takes long to make."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.scheduling import unit_of

QUICK = ("tests/kernel/test_durations.py", "tests/kernel/test_ids.py")


def test_tests_that_share_a_demo_are_one_unit() -> None:
    assert unit_of("tests/e2e/test_kill.py::test_one") == unit_of("tests/e2e/test_demo.py::TestTheAccount::test_two")


def test_other_files_are_units_of_their_own() -> None:
    assert unit_of("tests/loop/test_gates.py::test_one") == unit_of("tests/loop/test_limits.py::test_two") == "loop"
    assert unit_of("tests/looping/test_gates.py::test_one") == "tests/looping/test_gates.py"


@pytest.mark.slow
def test_processes_share_the_files_and_not_the_tests() -> None:
    command = [sys.executable, "-m", "pytest", "-n", "2", "-vv", *QUICK]
    ran = subprocess.run(command, cwd=Path(__file__).parents[1], capture_output=True, text=True, check=True)
    shared = re.findall(r"\[(gw\d)\].* PASSED (\S+?)::", ran.stdout)
    assert sorted({file for _, file in shared}) == sorted({*QUICK})
    assert len({*shared}) == len(QUICK)
