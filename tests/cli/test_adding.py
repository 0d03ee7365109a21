"""`everloop add` with what is said about branches, columns and rows that fail."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import click
import pytest

from everloop.cli.project import add
from everloop.datasets.evolution import Evolve
from everloop.datasets.quality.suites.entities import OnFailure
from tests.cli.conftest import Everloop


@pytest.fixture
def project(bare: Everloop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with a table of two columns, of which no two rows may agree in `id`."""
    monkeypatch.chdir(tmp_path)
    bare("init")
    Path("flights.csv").write_text("id,delay\n1,5\n")
    bare("add", "flights.csv")
    unique = '[{"type": "unique", "columns": ["id"]}]'
    assert bare("datasets", "expect", "flights", "--expectations", unique).code == 0
    return tmp_path


def test_a_table_goes_to_the_branch_that_is_named(bare: Everloop, project: Path) -> None:
    assert bare("datasets", "branch", "flights", "edit").code == 0
    Path("flights.csv").write_text("id,delay\n1,5\n2,6\n")
    assert bare("add", "flights.csv", "--branch", "edit", "--json").json["branch"] == "edit"
    assert bare("datasets", "get", "flights", "--json").json["version"] == 1


def test_a_table_that_lost_a_column_is_added_when_that_is_meant(bare: Everloop, project: Path) -> None:
    Path("flights.csv").write_text("id\n1\n")
    assert bare("add", "flights.csv").code == 2
    assert bare("add", "flights.csv", "--evolve", "any", "--json").json["version"] == 2


@pytest.mark.parametrize(("wanted", "code", "rows"), [("refuse", 6, 1), ("quarantine", 0, 2), ("keep", 0, 3)])
def test_what_becomes_of_rows_that_fail_can_be_said(
    bare: Everloop, project: Path, wanted: str, code: int, rows: int
) -> None:
    Path("flights.csv").write_text("id,delay\n1,5\n2,6\n2,7\n")
    assert bare("add", "flights.csv", "--on-failure", wanted).code == code
    assert bare("datasets", "get", "flights", "--json").json["rows"] == rows


@pytest.mark.parametrize("words", [("--evolve", "any"), ("--on-failure", "keep")])
def test_a_folder_takes_nothing_that_is_about_rows(bare: Everloop, project: Path, words: tuple[str, str]) -> None:
    Path("photos").mkdir()
    ran = bare("add", "photos", *words, "--json")
    assert (ran.code, words[0] in ran.problem["hint"]) == (2, True)


def test_every_choice_of_the_use_case_is_one_of_the_command() -> None:
    choices = {one.name: set(one.type.choices) for one in add.params if isinstance(one.type, click.Choice)}
    assert choices == {"evolve": set(get_args(Evolve)), "on_failure": set(get_args(OnFailure)) - {""}}
