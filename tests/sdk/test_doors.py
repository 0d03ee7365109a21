"""Every use case answers alike through the SDK in process, the SDK over HTTP, REST and the command line."""

from __future__ import annotations

import re
from contextlib import chdir
from typing import Any

import msgspec
import pytest

from everloop.app import areas
from everloop.kernel.usecase import published
from tests.sdk.doors import Outcome, every_door, tick, usecase_named
from tests.sdk.scenario import SCENARIO, objects

areas.load_all()
pytestmark = pytest.mark.slow  # The scenario is lived through at each door, once.
DOORS = ("python", "http", "rest", "command line")
VOLATILE = {
    "secret",
    "seconds",
    "latency_us",
    "milliseconds",
    "oldest",
    "native_us",
    "compiled_us",
    "pem",
    "fingerprint",
    "signature.json",
}
"""Fields that differ between two platforms, however alike they are: measured times, times of disks, secrets, keys."""

Answers = dict[str, list[Outcome]]


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> Answers:
    """What each door answered to each example, in order."""
    found: Answers = {}
    folder = tmp_path_factory.mktemp("doors")
    with every_door(folder) as doors, chdir(folder):  # Outside of our own repository, which runs would record.
        for name, (door, platform) in doors.items():
            for data in objects():
                platform.resources.store.put(data)
            seen: dict[str, Any] = {}
            found[name] = []
            for example in SCENARIO:
                tick(platform)
                outcome = door.call(usecase_named(example.usecase), example.given(seen))
                found[name].append(outcome)
                if example.label:
                    assert outcome.problem is None, outcome.problem
                    seen[example.label] = outcome.answer
    return found


def steady(answer: Any) -> Any:
    """An answer without what differs between platforms."""
    if isinstance(answer, dict):
        return {key: steady(value) for key, value in answer.items() if key not in VOLATILE}
    if isinstance(answer, list):
        return [steady(value) for value in answer]
    if not isinstance(answer, str):
        return answer
    answer = re.sub(r"[\d.e+]+ native, [\d.e+]+ compiled", "measured", answer)
    return re.sub(r"/[^ '\"]*/(http|rest|python|command line)\b", "HOME", answer)


@pytest.mark.parametrize("name", list(published()))
def test_every_use_case_has_an_example(name: str) -> None:
    assert any(example.usecase == name for example in SCENARIO), f"add {name} to tests/sdk/scenario.py"


@pytest.mark.parametrize("place", range(len(SCENARIO)), ids=[f"{n}-{e.usecase}" for n, e in enumerate(SCENARIO)])
class TestEveryDoor:
    def test_ends_as_the_example_says(self, answers: Answers, place: int) -> None:
        problem = answers["python"][place].problem
        assert (problem.code if problem else "") == SCENARIO[place].fails, problem

    @pytest.mark.parametrize("door", DOORS[1:])
    def test_answers_alike(self, answers: Answers, place: int, door: str) -> None:
        expected, found = answers["python"][place], answers[door][place]
        assert steady(found.answer) == steady(expected.answer)

    @pytest.mark.parametrize("door", DOORS[1:])
    def test_fails_alike(self, answers: Answers, place: int, door: str) -> None:
        expected, found = answers["python"][place].problem, answers[door][place].problem
        assert (found.code if found else "") == (expected.code if expected else ""), found

    def test_gives_values_of_the_declared_type(self, answers: Answers, place: int) -> None:
        """The value in process is what its own encoding decodes to, as it is over HTTP: no list for a tuple."""
        value = answers["python"][place].value
        declared = usecase_named(SCENARIO[place].usecase).result
        if answers["python"][place].problem is None:
            assert msgspec.msgpack.decode(msgspec.msgpack.encode(value), type=declared) == value
