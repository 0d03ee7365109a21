"""Google Cloud: a service on Cloud Run by Terraform; an endpoint of Vertex AI by Terraform and gcloud."""

from __future__ import annotations

import shlex

from everloop.kernel.errors import Refused
from everloop.packaging.manifests.container import LIVE, READY, arguments
from everloop.packaging.manifests.entities import PORT, Release, Workload
from everloop.packaging.manifests.hcl import Block, Expression, written
from everloop.packaging.manifests.quantities import memory_text

Written = tuple[dict[str, str], tuple[str, ...]]
_REGION = "europe-west1"
_LEAST_MEMORY = 512
_MOST_CORES = 8


def cloud_run(workload: Workload) -> Written:
    """Cloud Run: one service.

    Raises:
        Refused: there is more than one release, or it needs more than an instance can have.
    """
    release = workload.stable
    if len(workload.releases) > 1:
        raise Refused("Terraform writes one revision of a service at a time.", hint="Use --kind vertex or kubernetes.")
    if workload.size.gpu or workload.size.cpu_limit > _MOST_CORES * 1000:
        raise Refused("This service of Cloud Run has 8 cores at most and no GPU.", hint="Use --kind vertex.")
    arguments = {
        "name": workload.name,
        "location": _region(workload),
        "ingress": "INGRESS_TRAFFIC_INTERNAL_ONLY",
        "deletion_protection": False,
    }
    service = Block("resource", ("google_cloud_run_v2_service", "this"), arguments, (_template(workload, release),))
    output = Block("output", ("url",), {"value": Expression("google_cloud_run_v2_service.this.uri")})
    return {"main.tf": written(*_head(workload), service, output)}, (
        "It is reached from your own network only, by callers with the role roles/run.invoker.",
    )


def vertex(workload: Workload) -> Written:
    """Vertex AI: the endpoint by Terraform; models are uploaded and deployed by a script, which Terraform cannot do.

    Raises:
        Refused: a share is no whole percent, or a release is a shadow.
    """
    if any(release.role == "shadow" or release.weight % 10_000 for release in workload.releases):
        raise Refused("Vertex AI divides traffic in whole percents, without shadows.", hint="Use --kind kubernetes.")
    endpoint = Block(
        "resource",
        ("google_vertex_ai_endpoint", "this"),
        {"name": workload.name, "display_name": workload.name, "location": _region(workload)},
    )
    output = Block("output", ("endpoint",), {"value": Expression("google_vertex_ai_endpoint.this.id")})
    files = {"main.tf": written(*_head(workload), endpoint, output), "deploy.sh": _script(workload)}
    return files, (
        "Run terraform apply, then sh deploy.sh.",
        "Images must be in the form that Vertex AI asks for: everloop package MODEL --form vertex.",
    )


def _template(workload: Workload, release: Release) -> Block:
    size = workload.size
    limits = {
        "cpu": str(max(1, -(-size.cpu_limit // 1000))),
        "memory": memory_text(max(_LEAST_MEMORY, size.memory_limit)),
    }
    told = arguments(workload, release)
    container = Block(
        "containers",
        (),
        {"image": release.image} | ({"args": told} if told else {}),
        (
            Block("ports", (), {"container_port": PORT}),
            Block("resources", (), {"limits": limits}),
            _probe("startup_probe", READY, 1, 60),
            _probe("liveness_probe", LIVE, 10, 3),
        ),
    )
    scaling = {"min_instance_count": size.replicas, "max_instance_count": size.most}
    return Block("template", (), {}, (Block("scaling", (), scaling), container))


def _probe(kind: str, path: str, every: int, failures: int) -> Block:
    timing = {"period_seconds": every, "timeout_seconds": 1, "failure_threshold": failures}
    return Block(kind, (), timing, (Block("http_get", (), {"path": path, "port": PORT}),))


def _head(workload: Workload) -> list[Block]:
    google = {"source": "hashicorp/google", "version": ">= 6.0"}
    arguments = {"project": workload.placement.account} if workload.placement.account else {}
    return [
        Block("terraform", (), {"required_version": ">= 1.5"}, (Block("required_providers", (), {"google": google}),)),
        Block("provider", ("google",), arguments | {"region": _region(workload)}),
    ]


def _script(workload: Workload) -> str:
    region = f"--region={_region(workload)}"
    lines = ["#!/bin/sh", "# Uploads each version, deploys it to the endpoint, and divides the traffic.", "set -eu"]
    split = []
    for place, release in enumerate(workload.releases):
        lines += [_words("gcloud", "ai", "models", "upload", region, *_uploaded(release))]
        deployed = f"--traffic-split=0={'100' if place == 0 else '0'}"
        lines += [
            _words("gcloud", "ai", "endpoints", "deploy-model", workload.name, region, f"--model={release.name}")
            + " "
            + _words(f"--display-name={release.name}", *_machines(workload), deployed)
        ]
        split.append(f"{release.name}={release.weight // 10_000}")
    if len(workload.releases) > 1:
        lines.append(
            f"# Then, with the ids that `gcloud ai endpoints describe {workload.name}` shows: "
            f"gcloud ai endpoints update {workload.name} {region} --traffic-split={','.join(split)}"
        )
    return "\n".join(lines) + "\n"


def _uploaded(release: Release) -> list[str]:
    return [
        f"--model-id={release.name}",
        f"--display-name={release.name}",
        f"--container-image-uri={release.image}",
        f"--container-ports={PORT}",
        "--container-predict-route=/predict",
        "--container-health-route=/health",
    ]


def _machines(workload: Workload) -> list[str]:
    size = workload.size
    machine = next(
        (
            name
            for name, cores in (("n1-standard-2", 2), ("n1-standard-4", 4), ("n1-standard-8", 8))
            if size.cpu_limit <= cores * 1000
        ),
        "n1-standard-16",
    )
    gpus = [f"--accelerator=type=nvidia-tesla-t4,count={size.gpu}"] if size.gpu else []
    replicas = [f"--min-replica-count={size.replicas}", f"--max-replica-count={size.most}"]
    return [f"--machine-type={machine}", *replicas, *gpus]


def _words(*words: str) -> str:
    return shlex.join(words)


def _region(workload: Workload) -> str:
    return workload.placement.region or _REGION
