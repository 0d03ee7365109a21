"""Every use case answers alike through the SDK in process, the SDK over HTTP, REST and the command line."""

from __future__ import annotations

import re
from collections.abc import Iterable
from contextlib import chdir
from itertools import count
from typing import Any

import msgspec
import pytest

from everloop.app import areas
from everloop.kernel.usecase import published
from everloop.registry.compilation import proof
from tests.sdk.doors import Outcome, every_door, tick, usecase_named
from tests.sdk.scenario import SCENARIO, Example, objects

areas.load_all()
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]  # The scenario is lived through at each door, once.
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
    # In a folder outside of our own repository, which runs would record; and which form of a model is faster would be
    # measured, at each door anew: here the compiled one is, as each time is less than the one before.
    with every_door(folder) as doors, chdir(folder), pytest.MonkeyPatch.context() as patched:
        times = count(10**9, -1)
        patched.setattr(proof, "_microseconds", lambda *_: float(next(times)))
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


def unlike(found: Iterable[Any], expected: Iterable[Any]) -> dict[str, tuple[Any, Any]]:
    """What differs from what was expected, by the place and the use case of its example."""
    places = (f"{place}-{example.usecase}" for place, example in enumerate(SCENARIO))
    together = zip(places, found, expected, strict=True)
    return {place: (one, other) for place, one, other in together if one != other}


def codes(outcomes: list[Outcome]) -> list[str]:
    """The code of each outcome's error; empty where there is none."""
    return [outcome.problem.code if outcome.problem else "" for outcome in outcomes]


def test_every_use_case_has_an_example() -> None:
    missing = {*published()} - {example.usecase for example in SCENARIO}
    assert not missing, "add them to tests/sdk/scenario.py"


def test_each_example_ends_as_it_says(answers: Answers) -> None:
    assert unlike(codes(answers["python"]), (example.fails for example in SCENARIO)) == {}


@pytest.mark.parametrize("door", DOORS[1:])
class TestEveryDoor:
    def test_answers_alike(self, answers: Answers, door: str) -> None:
        found, expected = ([steady(outcome.answer) for outcome in answers[name]] for name in (door, "python"))
        assert unlike(found, expected) == {}

    def test_fails_alike(self, answers: Answers, door: str) -> None:
        assert unlike(codes(answers[door]), codes(answers["python"])) == {}


def test_values_are_of_the_declared_types(answers: Answers) -> None:
    """A value in process is what its own encoding decodes to, as it is over HTTP: no list for a tuple."""
    values = [outcome.value for outcome in answers["python"]]
    assert unlike(map(travelled, SCENARIO, answers["python"]), values) == {}


def travelled(example: Example, outcome: Outcome) -> Any:
    """A value as it arrives elsewhere; where there is an error, the value as it is."""
    if outcome.problem is not None:
        return outcome.value
    return msgspec.msgpack.decode(msgspec.msgpack.encode(outcome.value), type=usecase_named(example.usecase).result)
