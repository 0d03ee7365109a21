"""`status`, `trace`, `simulate`, `reproduce`, `rollback`, `package`: the commands about loops and models."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from everloop.app.platform import Platform
from everloop.cli.reference import Reference, reference
from everloop.kernel.errors import InvalidInput
from tests.cli.conftest import Everloop
from tests.sdk.scenario import LOOP, model, objects


@pytest.fixture
def late(platform: Platform) -> str:
    """The name of a model, its endpoint and its loop."""
    for data in objects():
        platform.resources.store.put(data)
    platform.call("models.register", {"name": "late", "trained": model()[0]})
    platform.call("models.promote", {"name": "late", "version": 1, "reason": "It is the first."})
    platform.call("endpoints.create", {"name": "late", "model": "late"})
    platform.call("loops.apply", {"loop": LOOP})
    return "late"


def test_status_shows_every_loop_and_endpoint(everloop: Everloop, late: str) -> None:
    found = everloop("status", "--json").json
    assert [loop["champion"] for loop in found["loops"]] == [1]
    assert [endpoint["name"] for endpoint in found["endpoints"]] == ["late"]
    assert "champion" in everloop("status").out


def test_status_is_a_few_lines_and_no_json_for_people(everloop: Everloop, late: str) -> None:
    out = everloop("status").out
    assert "champion   late@1" in out
    assert "endpoint late: deployment 1 100 % (stable)" in out
    assert "{" not in out


def test_a_trace_for_people_is_a_tree_of_whole_facts(everloop: Everloop, late: str) -> None:
    out = everloop("trace", "model:default/late@1").out
    assert out.startswith("model:default/late@1")
    assert "…" not in out


def test_trace_leads_from_a_model_to_what_it_came_from(everloop: Everloop, late: str) -> None:
    assert everloop("trace", "model:default/late@1", "--json").json["steps"]


def test_what_nobody_knows_cannot_be_traced(everloop: Everloop, late: str) -> None:
    assert everloop("trace", "prediction:default/late@nothing").code == 3


def test_a_loop_without_an_earlier_champion_is_not_rolled_back(everloop: Everloop, late: str) -> None:
    ran = everloop("rollback", late, "It errs.", "--json")
    assert (ran.code, ran.problem["code"]) == (6, "refused")


def test_a_model_without_a_run_is_not_reproduced(everloop: Everloop, late: str) -> None:
    ran = everloop("reproduce", "late@champion", "--json")
    assert ran.code > 1
    assert ran.problem["hint"]


@pytest.mark.parametrize("words", [("reproduce", "none"), ("reproduce", "late@none"), ("package", "late@9")])
def test_a_version_that_is_not_there_is_not_found(everloop: Everloop, late: str, words: tuple[str, ...]) -> None:
    assert everloop(*words).code == 3


def test_simulate_wants_a_loop_a_start_and_an_end(everloop: Everloop, late: str) -> None:
    assert everloop("simulate", late).code == 2
    assert everloop("simulate", "none", "2025-12-01", "2025-12-20").code == 3


def test_package_writes_a_file_that_is_the_same_each_time(everloop: Everloop, late: str, tmp_path: Path) -> None:
    files = [tmp_path / name for name in ("one.pyz", "two.pyz")]
    for file in files:
        ran = everloop("package", "late@champion", "--out", str(file))
        assert (ran.code, f"python {file} predict" in ran.out) == (0, True)
    assert files[0].read_bytes() == files[1].read_bytes()
    assert zipfile.is_zipfile(files[0])


def test_package_into_a_folder_that_is_not_there_is_not_found(everloop: Everloop, late: str, tmp_path: Path) -> None:
    assert everloop("package", "late", "--out", str(tmp_path / "none" / "x.pyz")).code == 3


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("late", Reference("late")),
        ("late@3", Reference("late", version=3)),
        ("late@champion", Reference("late", alias="champion")),
        ("models:/late@champion", Reference("late", alias="champion")),
        ("models:/late/3", Reference("late", version=3)),
    ],
)
def test_a_version_is_named_in_the_ways_of_the_field(text: str, expected: Reference) -> None:
    assert reference(text) == expected


@pytest.mark.parametrize("text", ["", "@3", "late@", "a b", "models:/", "late@3@4", "../x"])
def test_what_names_no_version_is_wrong_input(text: str) -> None:
    with pytest.raises(InvalidInput):
        reference(text)
