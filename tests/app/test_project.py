"""What a project declares is found in its module, and applied whole or not at all."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest

from everloop.app.platform import Platform
from everloop.app.project import Declarations, apply, collect
from everloop.kernel.errors import Conflict, EverloopError, InvalidInput, Misconfigured, NotFound, StepFailed
from everloop.store.service import digest_of

FEATURES = """
airport = el.Entity("airport", keys=["origin"])
wind = el.FeatureView("wind", entity=airport, source=el.table("weather"), features=lambda t: [t.speed])
delay = el.FeatureService("delay", views=[wind])
"""
PIPELINE = """
@el.step
def double(x: int) -> int:
    return 2 * x

@el.pipeline
def fit(x: int = 1) -> int:
    return double(x)
"""
LOOP = """
loop = el.Loop(model="late", pipeline=fit, label=el.Label("late"), triggers=[el.every("30d")])
"""
_numbers = count()
Write = Callable[[str], str]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """`write(text)`: a module of that text in the project's folder; its name."""

    def write(text: str) -> str:
        name = f"declared_{next(_numbers)}"
        (tmp_path / f"{name}.py").write_text(f"import everloop as el\n{text}")
        return name

    return write


def weather(platform: Platform) -> None:
    """Commit the dataset that the view reads."""
    data = b"origin,speed\nEWR,1.5\n"
    platform.resources.store.put(data)
    platform.call("datasets.commit", {"name": "weather", "digest": digest_of(data), "format": "csv"})


SUITE = """
suite = el.Suite("weather", [el.NotNull("origin"), el.InRange("speed", 0, 1)], gates=["training"])
"""


def test_suites_are_found_and_put_in_force_before_there_is_any_data(
    platform: Platform, write: Write, tmp_path: Path
) -> None:
    (applied,) = apply(platform, collect(tmp_path, write(SUITE))).suites
    assert (applied.dataset, applied.expectations, applied.gates, applied.changed) == (
        "weather",
        2,
        ("training",),
        True,
    )
    weather(platform)
    assert not platform.call("datasets.check", {"name": "weather"}).passed


def test_a_suite_that_speaks_of_a_column_which_is_not_there_changes_nothing(
    platform: Platform, write: Write, tmp_path: Path
) -> None:
    weather(platform)
    module = write('suite = el.Suite("weather", [el.NotNull("wind")])' + PIPELINE)
    with pytest.raises(InvalidInput, match="wind"):
        apply(platform, collect(tmp_path, module))
    assert platform.call("pipelines.list", {}) == []


def test_two_suites_of_one_dataset_are_refused(write: Write, tmp_path: Path) -> None:
    with pytest.raises(Conflict, match="two different things called 'weather'"):
        collect(tmp_path, write(SUITE + 'other = el.Suite("weather", [])'))


def test_services_pipelines_and_loops_are_found(write: Write, tmp_path: Path) -> None:
    found = collect(tmp_path, write(FEATURES + PIPELINE + LOOP))
    assert [service.name for service in found.services] == ["delay"]
    assert [pipeline.name for pipeline in found.pipelines] == ["fit"]
    assert [loop.name for loop in found.loops] == ["late"]


def test_what_stands_in_a_list_is_found_once(write: Write, tmp_path: Path) -> None:
    found = collect(tmp_path, write(PIPELINE + "pipelines = [fit, fit]"))
    assert len(found.pipelines) == 1


def test_a_pipeline_knows_the_folder_and_the_module_that_it_stands_in(write: Write, tmp_path: Path) -> None:
    module = write(PIPELINE)
    (definition,) = collect(tmp_path, module).pipelines
    assert (definition.folder, definition.target) == (str(tmp_path), f"{module}:fit")
    assert definition.parameters == {"x": "int"}


def test_two_different_things_of_one_name_are_a_conflict(write: Write, tmp_path: Path) -> None:
    other = 'other = el.FeatureService("delay", views=[wind], request={"hour": "float64"})'
    with pytest.raises(Conflict, match="two different things called 'delay'"):
        collect(tmp_path, write(FEATURES + other))


@pytest.mark.parametrize(
    ("text", "error", "words"),
    [
        ("x = 1", InvalidInput, "declares no"),
        ("raise ValueError('oh')", StepFailed, "oh"),
        ("import no_such_library", StepFailed, "no_such_library"),
        ("def broken(:", StepFailed, "invalid syntax"),
        (
            'loop = el.Loop(model="m", pipeline="p", label=el.Label("l"), triggers=[el.every("0s")])',
            InvalidInput,
            "every",
        ),
        ('view = el.window(1, "2h")', InvalidInput, "aggregation"),
        ("el.no_such_thing", StepFailed, "no_such_thing"),
    ],
)
def test_a_module_that_cannot_be_used_says_why(
    write: Write, tmp_path: Path, text: str, error: type[EverloopError], words: str
) -> None:
    with pytest.raises(error, match=words):
        collect(tmp_path, write(text))


def test_a_module_that_is_not_there_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no_such_module"):
        collect(tmp_path, "no_such_module")


def test_a_project_without_a_module_is_told_where_to_name_it(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured) as caught:
        collect(tmp_path, "")
    assert "everloop.toml" in caught.value.hint


def test_everything_is_applied_together(platform: Platform, write: Write, tmp_path: Path) -> None:
    weather(platform)
    applied = apply(platform, collect(tmp_path, write(FEATURES + PIPELINE + LOOP)))
    assert [service.version for service in applied.services] == [1]
    assert [loop.revision for loop in applied.loops] == [1]
    assert platform.call("pipelines.run", {"name": "fit", "arguments": {"x": 4}}).output == 8


def test_applying_again_changes_nothing(platform: Platform, write: Write, tmp_path: Path) -> None:
    weather(platform)
    declared = collect(tmp_path, write(FEATURES + PIPELINE + LOOP))
    first, again = apply(platform, declared), apply(platform, declared)
    assert first == again


def test_one_wrong_declaration_keeps_everything_out(platform: Platform, write: Write, tmp_path: Path) -> None:
    before = platform.call("audit.entries", {})
    with pytest.raises(EverloopError, match="weather"):
        apply(platform, collect(tmp_path, write(FEATURES + PIPELINE + LOOP)))
    assert platform.call("pipelines.list", {}) == []
    assert platform.call("audit.entries", {}) == before


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ('model="no good"', "name"),
        ('model="late", rollout=el.Canary(guards=[el.error_rate(5)])', "limit"),
        ('model="late", rollout=el.Canary(steps=[50, 25])', "steps of a canary"),
    ],
)
def test_a_loop_that_no_door_would_take_is_not_kept(
    platform: Platform, write: Write, tmp_path: Path, wrong: str, said: str
) -> None:
    loop = f'loop = el.Loop({wrong}, pipeline="fit", label=el.Label("late"))'
    with pytest.raises((InvalidInput, StepFailed), match=said):
        apply(platform, collect(tmp_path, write(PIPELINE + loop)))
    assert platform.call("loops.list", {}) == []


def test_a_source_without_the_column_names_view_column_and_what_there_is(
    platform: Platform, write: Write, tmp_path: Path
) -> None:
    weather(platform)
    with pytest.raises(InvalidInput, match="pressure") as caught:
        apply(platform, collect(tmp_path, write(FEATURES.replace("t.speed", "t.pressure"))))
    assert "wind" in str(caught.value)
    assert "speed" in str(caught.value)


def test_nothing_to_apply_is_no_error_here(platform: Platform) -> None:
    applied = apply(platform, Declarations((), (), ()))
    assert applied.loops == []
