"""Terraform: files that Terraform's own formatter and a parser take, and what they ask the clouds for."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import hcl2
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from everloop.kernel.errors import Refused
from everloop.packaging.manifests.kinds import KINDS
from everloop.packaging.manifests.terraform_aws import ecs, fargate_size, function, sagemaker
from everloop.packaging.manifests.terraform_azure import app_size, container_apps, machine_learning
from everloop.packaging.manifests.terraform_gcp import cloud_run, vertex
from tests.packaging.manifests.conftest import (
    SCHEMAS,
    divided,
    judged,
    release,
    sized,
    tool,
    with_shadow,
    workload,
    written,
)

ONE = ["ecs", "sagemaker", "lambda", "cloudrun", "vertex", "containerapps"]
SEVERAL = ["ecs", "sagemaker", "vertex"]
EVERY = [(kind, workload(region="europe-west4", account="models-1")) for kind in ONE]
EVERY += [(kind, divided(95, 5)) for kind in SEVERAL] + [("ecs", workload(runtime="platform"))]


def main(kind: str, one: Any) -> str:
    return KINDS[kind](one)[0]["main.tf"]  # type: ignore[index]  # a Literal


@pytest.mark.parametrize(("kind", "one"), EVERY)
def test_a_parser_reads_every_file(kind: str, one: Any) -> None:
    found = hcl2.loads(main(kind, one))
    assert found["terraform"]
    assert found["resource"]


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "one"), EVERY)
def test_terraforms_formatter_would_change_nothing(tmp_path: Path, kind: str, one: Any) -> None:
    folder = written(tmp_path, KINDS[kind](one)[0])  # type: ignore[index]  # a Literal
    judged([tool("terraform"), "fmt", "-check", "-diff", "-no-color", folder])


@pytest.mark.parametrize(("kind", "one"), EVERY)
def test_every_reference_is_to_something_that_is_there(kind: str, one: Any) -> None:
    text = main(kind, one)
    declared = {f"{a}.{b}" for a, b in re.findall(r'^resource "(\w+)" "(\w+)"', text, re.MULTILINE)}
    declared |= {f"data.{a}.{b}" for a, b in re.findall(r'^data "(\w+)" "(\w+)"', text, re.MULTILINE)}
    declared |= {f"var.{name}" for name in re.findall(r'^variable "(\w+)"', text, re.MULTILINE)}
    bare = re.sub(r'"(?:[^"\\$]|\\.|\$(?!\{))*"', '""', text)
    used = {
        ".".join(match) for match in re.findall(r"(?<![\w.])((?:data\.)?(?:aws|google|azurerm)_\w+|var)\.(\w+)", bare)
    }
    assert used <= declared


def test_a_load_balancer_divides_the_traffic_between_services() -> None:
    text = main("ecs", divided(95, 5))
    assert re.findall(r"weight = (\d+)", text) == ["95", "5"]
    assert text.count('resource "aws_ecs_service"') == 2


def test_a_share_that_is_no_whole_percent_is_as_near_as_a_load_balancer_goes() -> None:
    text = main("ecs", workload(release("a", 999_000), release("b", 1_000, "canary")))
    assert re.findall(r"weight = (\d+)", text) == ["998", "1"]


@given(st.integers(1, 4000), st.integers(16, 30_000))
def test_a_task_of_fargate_holds_what_was_asked(cpu: int, memory: int) -> None:
    units, mebibytes = fargate_size(cpu, memory)
    assert units / 1024 >= cpu / 1000
    assert mebibytes >= memory
    assert 2 <= mebibytes / units <= 8
    assert mebibytes % 1024 == 0 or mebibytes == 512


@given(st.integers(1, 4000), st.integers(16, 8192))
def test_a_container_app_holds_what_was_asked_in_a_size_that_there_is(cpu: int, memory: int) -> None:
    cores, text = app_size(cpu, memory)
    assert cores * 1000 >= cpu
    assert float(text.removesuffix("Gi")) == 2 * cores
    assert 2 * cores * 1024 >= memory


@pytest.mark.parametrize(
    ("write", "one"),
    [
        (ecs, with_shadow()),
        (ecs, workload(size=sized(gpu=1))),
        (ecs, workload(size=sized(memory_limit=64_000))),
        (function, divided(95, 5)),
        (function, workload(size=sized(memory_limit=20_000))),
        (cloud_run, divided(95, 5)),
        (vertex, with_shadow()),
        (container_apps, workload(size=sized(cpu_limit=9000))),
        (machine_learning, workload(release("a", 999_999), release("b", 1, "canary"))),
    ],
)
def test_what_a_cloud_cannot_do_is_refused_with_another_way(write: Any, one: Any) -> None:
    with pytest.raises(Refused) as refused:
        write(one)
    assert "--kind" in refused.value.hint


def test_a_shadow_is_a_shadow_at_sagemaker() -> None:
    text = main("sagemaker", with_shadow())
    assert (text.count("\n  production_variants {"), text.count("\n  shadow_production_variants {")) == (1, 1)


def test_a_gpu_takes_an_instance_that_has_one() -> None:
    assert '"ml.g5.xlarge"' in main("sagemaker", workload(size=sized(gpu=1)))


def test_a_role_may_be_taken_by_the_service_alone() -> None:
    assert 'Service = "lambda.amazonaws.com"' in function(workload())[0]["main.tf"]


@pytest.mark.parametrize("write", [vertex, machine_learning])
def test_a_script_is_words_that_no_shell_takes_apart(write: Any) -> None:
    script = write(divided(95, 5))[0]["deploy.sh"]
    commands = [line for line in script.splitlines() if line.startswith(("gcloud ", "az "))]
    assert commands
    assert all(not re.search(r"[;&|`$<>]", line) for line in commands)
    assert all(len(shlex.split(line)) > 4 for line in commands)


def test_azure_divides_the_traffic_between_its_deployments() -> None:
    files, _ = machine_learning(divided(95, 5))
    assert "--traffic 'late-r1=95 late-r2=5'" in files["deploy.sh"]
    deployment = yaml.safe_load(files["late-r2.yml"])
    assert (deployment["endpoint_name"], deployment["environment"]["image"]) == ("late", release(version=2).image)


@pytest.mark.parametrize(("kind", "one"), [*EVERY, ("sagemaker", with_shadow())])
def test_every_argument_is_one_that_the_clouds_provider_knows_and_none_that_it_asks_for_is_missing(
    kind: str, one: Any
) -> None:
    known: dict[str, dict[str, list[str]]] = json.loads((SCHEMAS / "providers.json").read_text())
    resources = [
        (type_.strip('"'), arguments)
        for blocks in hcl2.loads(main(kind, one))["resource"]
        for type_, named in blocks.items()
        for name, arguments in named.items()
    ]
    wrong = [problem for type_, arguments in resources for problem in problems(known, type_, arguments)]
    assert wrong == []


def problems(known: dict[str, dict[str, list[str]]], path: str, arguments: dict[str, Any]) -> list[str]:
    """What a provider's bindings say against the arguments of a block, and of the blocks inside of it."""
    given = {name for name in arguments if not name.startswith("__")} - {"lifecycle", "depends_on"}
    found = [f"{path}: unknown {name}" for name in given - set(known[path]["known"])]
    found += [f"{path}: missing {name}" for name in set(known[path]["required"]) - given]
    for name in given:
        for inner in arguments[name] if isinstance(arguments[name], list) else ():
            if isinstance(inner, dict) and inner.get("__is_block__"):
                found += problems(known, f"{path}/{name}", inner)
    return found


def test_sagemaker_names_nothing_twice() -> None:
    names = re.findall(r'^resource "(\w+)" "(\w+)"', sagemaker(divided(90, 10))[0]["main.tf"], re.MULTILINE)
    assert len(names) == len(set(names))
