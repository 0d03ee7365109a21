"""The command line as a whole: help, names, errors, exit codes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import click
import pytest

from everloop.app.areas import GROUPS
from everloop.cli.door import Command
from everloop.cli.main import SECTIONS, commands
from everloop.cli.naming import Suggesting
from tests.cli.conftest import Everloop

HAND_MADE = [name for section in SECTIONS.values() for name in section]


def every_command() -> list[str]:
    """Every command line without its arguments: `models set-alias`, `status`."""
    context = click.Context(commands)
    found = []
    for name in commands.list_commands(context):
        command = commands.get_command(context, name)
        if isinstance(command, Suggesting):
            found += [f"{name} {verb}" for verb in command.list_commands(context)]
        else:
            found.append(name)
    return found


EVERY = every_command()


def test_help_lists_every_command_and_group(bare: Everloop) -> None:
    text = bare("--help").out
    assert all(f"  {name} " in text for name in [*HAND_MADE, *GROUPS])


def test_help_fits_a_narrow_terminal(bare: Everloop) -> None:
    assert max(map(len, bare("--help").out.splitlines())) <= 80


@pytest.mark.parametrize("name", EVERY)
def test_every_command_has_help_and_json(bare: Everloop, name: str) -> None:
    ran = bare(*name.split(), "--help")
    assert ran.code == 0
    assert "--json" in ran.out
    assert len(ran.out.splitlines()[2].split()) >= 2, "it says in a sentence what it does"


def test_the_lines_of_the_table_are_the_commands(bare: Everloop) -> None:
    context = click.Context(commands)
    for name in HAND_MADE:
        found = commands.get_command(context, name)
        assert found is not None
        assert found.name == name


@pytest.mark.parametrize(
    ("words", "meant"), [(["modles"], "models"), (["models", "set-alais"], "set-alias"), (["statsu"], "status")]
)
def test_a_misspelled_command_is_answered_with_the_one_that_was_meant(
    bare: Everloop, words: list[str], meant: str
) -> None:
    ran = bare(*words)
    assert ran.code == 2
    assert f"Did you mean {meant}" in ran.err


def test_a_misspelled_option_is_answered_with_the_one_that_was_meant(bare: Everloop) -> None:
    ran = bare("audit", "entries", "--limt", "3")
    assert ran.code == 2
    assert "--limit" in ran.err


def test_an_unknown_word_lists_what_there_is(bare: Everloop) -> None:
    assert "There are: entries, verify." in bare("audit", "zzz").err


def test_an_error_goes_to_standard_error_with_its_hint(everloop: Everloop) -> None:
    ran = everloop("loops", "get", "none")
    assert (ran.code, ran.out) == (3, "")
    assert ran.err.startswith("Error: There is no loop 'none'.")
    assert "everloop loops list" in ran.err


def test_with_json_an_error_is_a_problem(everloop: Everloop) -> None:
    ran = everloop("loops", "get", "none", "--json")
    assert (ran.code, ran.out) == (3, "")
    assert ran.problem["code"] == "not_found"


def test_with_json_wrong_usage_is_a_problem_too(everloop: Everloop) -> None:
    ran = everloop("loops", "get", "--json")
    assert ran.code == 2
    assert ran.problem["code"] == "invalid_input"
    assert "everloop loops get --help" in ran.problem["hint"]


def test_json_may_stand_before_the_command(everloop: Everloop) -> None:
    assert everloop("--json", "audit", "verify").json["intact"]


def test_every_command_takes_the_options_that_stand_everywhere() -> None:
    for line in EVERY:
        command: click.Command | None = commands
        for name in line.split():
            assert isinstance(command, click.Group)
            command = command.get_command(click.Context(command), name)
        assert isinstance(command, Command)
        assert any("--home" in option.opts for option in command.params)


@pytest.mark.parametrize("group", ["data", *GROUPS])
def test_lists_of_commands_cut_no_sentence_off(bare: Everloop, group: str) -> None:
    assert "...\n" not in bare(group, "--help").out.partition("Commands:")[2]


@pytest.mark.parametrize(("option", "code"), [("--url=nonsense", 9), ("--url=http://127.0.0.1:1", 9)])
def test_a_server_that_does_not_answer_is_unavailable(
    bare: Everloop, option: str, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("everloop.app.remote.ATTEMPTS", 1)
    assert bare("audit", "verify", option).code == code


def test_a_home_that_cannot_be_made_is_misconfigured(bare: Everloop, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    ran = bare("audit", "verify", "--home", str(tmp_path / "file" / "home"), "--json")
    assert ran.code == 10
    assert "EVERLOOP_HOME" in ran.problem["hint"]


def test_a_home_of_another_kind_of_database_is_named(bare: Everloop, tmp_path: Path) -> None:
    (tmp_path / "catalog.db").write_bytes(b"no database" * 1000)
    ran = bare("audit", "verify", "--home", str(tmp_path))
    assert ran.code > 2
    assert "catalog.db" in ran.err or "database" in ran.err


def test_help_imports_no_heavy_library() -> None:
    code = "import sys; from everloop.cli.main import commands; commands(['--help'], standalone_mode=False); "
    code += "print(*sorted({name.partition('.')[0] for name in sys.modules}), file=sys.stderr)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy = {"sqlalchemy", "numpy", "pyarrow", "duckdb", "lightgbm", "sklearn", "httpx", "rich", "starlette", "alembic"}
    assert not heavy & set(ran.stderr.split())


def test_a_reader_that_leaves_early_is_no_error() -> None:
    shell = f"{sys.executable} -m everloop --help | head -1"
    ran = subprocess.run(["bash", "-c", shell], capture_output=True, text=True, check=True)
    assert ran.stderr == ""
