"""Azure: a container app by Terraform; a managed online endpoint of Azure ML by the files that `az ml` takes."""

from __future__ import annotations

import shlex

from everloop.kernel.errors import Refused
from everloop.packaging.manifests.container import LIVE, READY, arguments
from everloop.packaging.manifests.documents import Document, without_empty, written
from everloop.packaging.manifests.entities import PORT, Release, Workload
from everloop.packaging.manifests.hcl import Block, Expression
from everloop.packaging.manifests.hcl import written as hcl
from everloop.packaging.manifests.names import label

Written = tuple[dict[str, str], tuple[str, ...]]
_MOST_CORES = 4
_NAME = 32
_SCHEMAS = "https://azuremlschemas.azureedge.net/latest"


def container_apps(workload: Workload) -> Written:
    """Container Apps: one app in an environment of its own.

    Raises:
        Refused: there is more than one release, or it needs more than an app can have.
    """
    release = workload.stable
    if len(workload.releases) > 1:
        raise Refused("Terraform writes one revision of an app at a time.", hint="Use --kind azureml or kubernetes.")
    group = {
        "resource_group_name": Expression("data.azurerm_resource_group.this.name"),
        "location": Expression("data.azurerm_resource_group.this.location"),
    }
    environment = Block(
        "resource", ("azurerm_container_app_environment", "this"), {"name": label(workload.name, _NAME)} | group
    )
    app = Block(
        "resource",
        ("azurerm_container_app", "this"),
        {
            "name": label(workload.name, _NAME),
            "container_app_environment_id": Expression("azurerm_container_app_environment.this.id"),
            "resource_group_name": group["resource_group_name"],
            "revision_mode": "Single",
        },
        (_template(workload, release), _ingress()),
    )
    output = Block("output", ("host",), {"value": Expression("azurerm_container_app.this.ingress[0].fqdn")})
    return {"main.tf": hcl(*_head(workload), environment, app, output)}, ("It is reached from its own network only.",)


def machine_learning(workload: Workload) -> Written:
    """Azure ML: an endpoint, a deployment for each release, and the commands that make them.

    Raises:
        Refused: a share is no whole percent.
    """
    if any(release.weight % 10_000 for release in workload.releases):
        raise Refused("Azure ML divides traffic in whole percents.", hint="Use --kind kubernetes.")
    name = label(workload.name, _NAME)
    endpoint = {"$schema": f"{_SCHEMAS}/managedOnlineEndpoint.schema.json", "name": name, "auth_mode": "aad_token"}
    files = {"endpoint.yml": written(endpoint)}
    for release in workload.releases:
        files[f"{_deployment_name(release)}.yml"] = written(_deployment(workload, name, release))
    return files | {"deploy.sh": _script(workload, name)}, (
        "Run sh deploy.sh.",
        "Images must be in the form that Azure ML asks for: everloop package MODEL --form azureml.",
    )


def _head(workload: Workload) -> list[Block]:
    azurerm = {"source": "hashicorp/azurerm", "version": ">= 4.0"}
    required = Block("required_providers", (), {"azurerm": azurerm})
    return [
        Block("terraform", (), {"required_version": ">= 1.5"}, (required,)),
        Block("provider", ("azurerm",), {}, (Block("features"),)),
        Block("data", ("azurerm_resource_group", "this"), {"name": workload.placement.account or "models"}),
    ]


def app_size(cpu: int, memory: int) -> tuple[float, str]:
    """The smallest size that holds so many thousandths of a core and MiB: quarters of a core, each with half a GiB.

    Raises:
        Refused: there is none.

    >>> app_size(1000, 300)
    (1.0, '2Gi')
    """
    quarters = max(-(-cpu // 250), -(-memory // 512))
    if quarters > 4 * _MOST_CORES:
        raise Refused(f"Container Apps has no size with {cpu}m cores and {memory} MiB.", hint="Use --kind azureml.")
    return quarters / 4, f"{quarters / 2:g}Gi"


def _template(workload: Workload, release: Release) -> Block:
    size = workload.size
    if size.gpu:
        raise Refused("This container app has no GPU.", hint="Use --kind azureml.")
    cpu, memory = app_size(size.cpu_limit, size.memory_limit)
    told = arguments(workload, release)
    holds = {"name": "model", "image": release.image, "cpu": cpu, "memory": memory}
    checks = (
        ("startup_probe", READY, 1, 30),
        ("readiness_probe", READY, 5, 2),
        ("liveness_probe", LIVE, 10, 3),
    )
    probes = tuple(
        Block(
            kind,
            (),
            {
                "transport": "HTTP",
                "port": PORT,
                "path": path,
                "interval_seconds": every,
                "failure_count_threshold": failures,
            },
        )
        for kind, path, every, failures in checks
    )
    container = Block("container", (), holds | ({"args": told} if told else {}), probes)
    busy = Block("http_scale_rule", (), {"name": "requests", "concurrent_requests": "32"})
    return Block("template", (), {"min_replicas": size.replicas, "max_replicas": size.most}, (container, busy))


def _ingress() -> Block:
    all_of_it = Block("traffic_weight", (), {"latest_revision": True, "percentage": 100})
    return Block("ingress", (), {"external_enabled": False, "target_port": PORT, "transport": "http"}, (all_of_it,))


def _deployment(workload: Workload, endpoint: str, release: Release) -> Document:
    size = workload.size
    server = {
        "liveness_route": {"path": LIVE, "port": PORT},
        "readiness_route": {"path": READY, "port": PORT},
        "scoring_route": {"path": "/score", "port": PORT},
    }
    return without_empty(
        [
            ("$schema", f"{_SCHEMAS}/managedOnlineDeployment.schema.json"),
            ("name", _deployment_name(release)),
            ("endpoint_name", endpoint),
            ("environment", {"image": release.image, "inference_config": server}),
            ("instance_type", _instance(workload)),
            ("instance_count", size.replicas),
            ("egress_public_network_access", "disabled"),
            ("tags", {"everloop-model": f"{release.model}@{release.version}", "everloop-digest": release.digest}),
        ]
    )


def _script(workload: Workload, endpoint: str) -> str:
    group = ["--resource-group", workload.placement.account] if workload.placement.account else []
    lines = ["#!/bin/sh", "# Makes the endpoint and its deployments, then divides the traffic.", "set -eu"]
    lines.append(shlex.join(["az", "ml", "online-endpoint", "create", "--file", "endpoint.yml", *group]))
    for release in workload.releases:
        words = ["az", "ml", "online-deployment", "create", "--file", f"{_deployment_name(release)}.yml", *group]
        lines.append(shlex.join(words))
    parts = " ".join(f"{_deployment_name(release)}={release.weight // 10_000}" for release in workload.answering)
    divided = ["az", "ml", "online-endpoint", "update", "--name", endpoint, "--traffic", parts]
    mirrored = [_deployment_name(release) for release in workload.releases if release.role == "shadow"]
    # Azure ML copies half of the requests at most.
    copies = ["--mirror-traffic", f"{mirrored[0]}=50"] if mirrored else []
    return "\n".join([*lines, shlex.join([*divided, *copies, *group])]) + "\n"


def _deployment_name(release: Release) -> str:
    return label(release.name, _NAME)


def _instance(workload: Workload) -> str:
    size = workload.size
    if size.gpu:
        return "Standard_NC4as_T4_v3" if size.gpu == 1 else "Standard_NC64as_T4_v3"
    for name, cores, memory in (("F2s_v2", 2, 4), ("F4s_v2", 4, 8), ("F8s_v2", 8, 16)):
        if size.cpu_limit <= cores * 1000 and size.memory_limit <= memory * 1024 - 512:
            return f"Standard_{name}"
    return "Standard_E16s_v3"
