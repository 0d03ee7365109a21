"""A project from its beginning: init, add, apply, run, status."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Everloop


@pytest.fixture
def project(bare: Everloop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project that was just begun, as the current folder."""
    folder = tmp_path / "My-first 1"
    folder.mkdir()
    monkeypatch.chdir(folder)
    assert bare("init").code == 0
    return folder


def test_init_makes_a_project_that_works_at_once(bare: Everloop, project: Path) -> None:
    assert bare("apply", "--json").json["pipelines"][0]["name"] == "hello"
    assert bare("run", "hello", "--json").json["output"] == 4


def test_init_can_begin_with_a_whole_loop_and_its_data(
    bare: Everloop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    made = bare("init", "parcels", "--example")
    assert "cd parcels, then python data.py" in made.out
    monkeypatch.chdir(tmp_path / "parcels")
    subprocess.run([sys.executable, "data.py"], check=True)
    assert [bare("add", name, "--json").json["version"] for name in ("parcels.csv", "depots.csv")] == [1, 1]
    applied = bare("apply", "--json").json
    assert [applied[kind][0]["name"] for kind in ("services", "pipelines", "loops")] == ["late", "fit", "late"]


def test_what_a_view_reads_and_nobody_has_added_is_named_with_the_command(
    bare: Everloop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bare("init", str(tmp_path / "parcels"), "--example")
    monkeypatch.chdir(tmp_path / "parcels")
    ran = bare("apply", "--json")
    assert (ran.code, "everloop add depots.csv" in ran.problem["hint"]) == (2, True)


def test_a_second_run_executes_nothing(bare: Everloop, project: Path) -> None:
    bare("apply")
    hits = [bare("run", "hello", "text=one two", "--json").json["steps"][0]["hit"] for _ in range(2)]
    assert hits == [False, True]


def test_init_leaves_what_is_there_alone(bare: Everloop, project: Path) -> None:
    (project / "everloop.toml").write_text('project = "mine"\n')
    assert bare("init", "--json").json["made"] == []
    assert (project / "everloop.toml").read_text() == 'project = "mine"\n'


def test_arguments_are_json_where_they_can_be(bare: Everloop, project: Path) -> None:
    bare("apply")
    assert bare("run", "hello", 'text="1 2"', "--json").json["arguments"] == {"text": "1 2"}
    assert bare("run", "hello", "text=a b c", "--json").json["output"] == 3


def test_a_pipeline_that_is_not_there_is_not_found(bare: Everloop, project: Path) -> None:
    ran = bare("run", "nothing", "--json")
    assert ran.code == 3
    assert "everloop apply" in ran.problem["hint"]


def test_a_step_that_raises_has_an_exit_code_of_its_own(bare: Everloop, project: Path) -> None:
    module = next(project.glob("*/project.py"))
    module.write_text(module.read_text().replace("return len(text.split())", "raise ValueError('oh no')"))
    bare("apply")
    ran = bare("run", "hello", "--json")
    assert ran.code == 7
    assert "oh no" in ran.problem["message"]


@pytest.mark.parametrize("word", ["text", "=x"])
def test_an_argument_without_a_key_is_wrong_input(bare: Everloop, project: Path, word: str) -> None:
    assert bare("run", "hello", word).code == 2


def test_outside_of_a_project_apply_says_how_to_begin(
    bare: Everloop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ran = bare("apply", "--json")
    assert ran.code == 10
    assert "everloop init" in ran.problem["hint"]


def test_add_keeps_a_table_once(bare: Everloop, project: Path) -> None:
    Path("flights.csv").write_text("id,delay\n1,5\n")
    first = bare("add", "flights.csv", "--note", "new", "--json").json
    again = bare("add", "flights.csv", "--json").json
    assert (first["dataset"], first["version"], first["note"]) == ("flights", 1, "new")
    assert again["version"] == 1


@pytest.mark.parametrize(("file", "code"), [("none.csv", 3), ("README.md", 2), (".", 2)])
def test_add_says_what_it_cannot_read(bare: Everloop, project: Path, file: str, code: int) -> None:
    assert bare("add", file).code == code


def test_add_refuses_a_broken_table(bare: Everloop, project: Path) -> None:
    Path("broken.parquet").write_bytes(b"no parquet")
    assert bare("add", "broken.parquet").code == 2
    assert bare("datasets", "list", "--json").json == []


def test_the_status_of_nothing_says_how_to_begin(bare: Everloop, project: Path) -> None:
    assert "everloop init" in bare("status").out
    assert bare("status", "--json").json == {"loops": [], "endpoints": [], "datasets": [], "serving": []}


def test_every_command_works_in_another_project_and_home(bare: Everloop, project: Path, tmp_path: Path) -> None:
    Path("t.csv").write_text("a\n1\n")
    bare("add", "t.csv", "--home", str(tmp_path / "other"), "--project", "p")
    assert bare("datasets", "list", "--json").json == []
    found = bare("datasets", "list", "--home", str(tmp_path / "other"), "--project", "p", "--json").json
    assert [one["name"] for one in found] == ["t"]
