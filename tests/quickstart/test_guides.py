"""The guides: every command in them is one that there is, every script runs, and every link leads somewhere."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import click
import pytest

from everloop.cli.main import commands

ROOT = Path(__file__).parents[2]
GUIDES = sorted((ROOT / "docs" / "guides").glob("*.md"))
BLOCK = re.compile(r"```(\w*)\n(.*?)```", re.DOTALL)
IMPORTS = "import everloop as el"
"""A block with this is a script that stands by itself."""
SCRIPTED = [page for page in GUIDES if page.stem in ("tracking", "registry", "sweeps")]
ENDS = {"|", ">", "&", "&&", "<", ";"}


def words_in(text: str) -> list[list[str]]:
    """The words of each `everloop …` command in the shell blocks of a page, and behind `$` in those of a console."""
    found = []
    for language, code in BLOCK.findall(text):
        if language not in ("sh", "console"):
            continue
        if language == "console":
            code = "\n".join(line[2:] for line in code.splitlines() if line.startswith("$ "))
        code = re.sub(r"\$\([^)]*\)", "2026-01-01", code.replace("\\\n", " "))
        for line in code.splitlines():
            lexer = shlex.shlex(line, posix=True, punctuation_chars="|&;<>")
            lexer.whitespace_split, lexer.commenters = True, "#"
            if "everloop" in line and "curl" not in line:
                found += _commands(list(lexer))
    return found


def _commands(words: list[str]) -> list[list[str]]:
    found: list[list[str]] = [[]]
    for word in words:
        if word in ENDS:
            found.append([])
        else:
            found[-1].append(word)
    return [command[1:] for command in found if command and command[0] == "everloop"]


def check(words: list[str]) -> None:
    """Resolve and parse a command line without running it."""
    command: click.Command = commands
    context = click.Context(commands, info_name="everloop")
    while isinstance(command, click.Group):
        name, found, words = command.resolve_command(context, words)
        assert found is not None, name
        command = found
        context = click.Context(command, info_name=name, parent=context)
    command.make_context(context.info_name, list(words), parent=context.parent)


def test_there_is_a_guide_to_each_part() -> None:
    names = {page.stem for page in GUIDES}
    assert names >= {"data", "features", "pipelines", "serving", "loop", "operations"}


@pytest.mark.parametrize("page", [*GUIDES, ROOT / "README.md"], ids=lambda page: page.stem)
def test_every_command_in_it_can_be_given(page: Path) -> None:
    found = words_in(page.read_text())
    assert found
    for words in found:
        try:
            check(words)
        except click.ClickException as error:
            pytest.fail(f"everloop {' '.join(words)}: {error.format_message()}")


@pytest.mark.slow
@pytest.mark.parametrize("page", [ROOT / "README.md", *SCRIPTED], ids=lambda page: page.stem)
def test_every_script_in_it_runs_in_a_home_that_is_new(page: Path, tmp_path: Path) -> None:
    scripts = [code for language, code in BLOCK.findall(page.read_text()) if language == "python" and IMPORTS in code]
    assert scripts
    for number, code in enumerate(scripts):
        script = tmp_path / f"script_{number}.py"
        script.write_text(code)
        kept = {name: value for name, value in os.environ.items() if not name.startswith("EVERLOOP_")}
        ran = subprocess.run(
            [sys.executable, script.name],
            cwd=tmp_path,
            env=kept | {"HOME": str(tmp_path)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert ran.returncode == 0, ran.stderr
        assert "Warning" not in ran.stderr


@pytest.mark.parametrize("page", GUIDES, ids=lambda page: page.stem)
def test_every_link_in_it_leads_to_a_file(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)", page.read_text()):
        assert target.startswith("http") or (page.parent / target).exists(), target


def test_commands_of_a_console_stand_behind_its_prompt() -> None:
    text = "```console\n$ everloop status\neverloop is what it prints\n```\n```python\neverloop = 1\n```"
    assert words_in(text) == [["status"]]


@pytest.mark.parametrize("line", ["everloop nothing", "everloop add", "everloop status --colour red"])
def test_a_command_that_there_is_not_is_found_out(line: str) -> None:
    ((_, *words),) = [line.split()]
    with pytest.raises(click.ClickException):
        check(words)
