"""Continuous delivery: workflows that GitHub's and GitLab's own schemas take, with commands that Everloop has."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from everloop.cli.main import commands
from everloop.packaging.manifests.delivery import github, gitlab
from tests.packaging.manifests.conftest import divided, judged, workload, written

CHECK = Path(sys.prefix) / "bin" / "check-jsonschema"


@pytest.mark.slow
@pytest.mark.parametrize("one", [workload(), divided(95, 5)])
@pytest.mark.parametrize(("write", "schema"), [(github, "vendor.github-workflows"), (gitlab, "vendor.gitlab-ci")])
def test_the_hosts_own_schema_takes_the_file(tmp_path: Path, one: Any, write: Any, schema: str) -> None:
    ((path, text),) = write(one)[0].items()
    file = written(tmp_path, {path: text}) / path
    # GitLab's own tags are no plain YAML for the checker's parser, and we write none.
    judged(
        [
            CHECK,
            "--builtin-schema",
            schema,
            "--data-transform",
            "gitlab-ci" if write is gitlab else "azure-pipelines",
            file,
        ]
    )


@pytest.mark.parametrize("one", [workload(), divided(95, 5)])
def test_every_command_of_ours_is_one_that_everloop_takes(one: Any) -> None:
    job = yaml.safe_load(next(iter(github(one)[0].values())))["jobs"]["deploy"]
    ours = [step["run"] for step in job["steps"] if step.get("run", "").startswith("everloop ")]
    assert len(ours) >= 2
    for line in ours:
        parsed(shlex.split(line)[1:])


def test_nothing_from_outside_reaches_a_shell() -> None:
    job = yaml.safe_load(next(iter(github(workload())[0].values())))["jobs"]["deploy"]
    assert all("${{" not in step.get("run", "") for step in job["steps"])
    assert set(job["env"]) == {"EVERLOOP_URL", "EVERLOOP_TOKEN"}


def test_gitlab_deploys_only_when_somebody_says_so() -> None:
    assert yaml.safe_load(gitlab(workload())[0][".gitlab-ci.yml"])["deploy"]["when"] == "manual"


def parsed(words: list[str]) -> None:
    """Read a command line as click would run it, and run nothing."""
    command: click.Command | None = commands
    context = click.Context(commands)
    while isinstance(command, click.Group):
        name, *words = words
        command = command.get_command(context, name)
        assert command is not None, name
        context = click.Context(command, parent=context, info_name=name)
    assert command is not None
    command.parse_args(context, words)
