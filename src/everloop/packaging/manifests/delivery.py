"""Continuous delivery: a workflow that packs a version, checks the package and applies its manifests."""

from __future__ import annotations

from typing import Any

from everloop.packaging.manifests.documents import written
from everloop.packaging.manifests.entities import Release, Workload

Written = tuple[dict[str, str], tuple[str, ...]]
_NOTE = "Set the secrets EVERLOOP_URL and EVERLOOP_TOKEN (everloop tokens create), and what your cluster asks for."


def github(workload: Workload) -> Written:
    """GitHub Actions: by hand, on the default branch's environment `production`."""
    steps: list[dict[str, Any]] = [
        {"uses": "actions/setup-python@v5", "with": {"python-version": "3.12"}},
        {"name": "Install", "run": "pip install everloop"},
        *({"name": f"Pack version {release.version}", "run": _packed(release)} for release in workload.releases),
        {"name": "Write the manifests", "run": _manifested(workload)},
        {"name": "Apply them", "run": "kubectl apply -f manifests"},
    ]
    secrets = {name: f"${{{{ secrets.{name} }}}}" for name in ("EVERLOOP_URL", "EVERLOOP_TOKEN")}
    job = {"runs-on": "ubuntu-latest", "environment": "production", "env": secrets, "steps": steps}
    workflow = {
        "name": f"Deploy {workload.name}",
        "on": {"workflow_dispatch": {}},
        "permissions": {"contents": "read"},
        "concurrency": {"group": f"deploy-{workload.name}", "cancel-in-progress": False},
        "jobs": {"deploy": job},
    }
    return {f".github/workflows/deploy-{workload.name}.yml": written(workflow)}, (_NOTE,)


def gitlab(workload: Workload) -> Written:
    """GitLab CI: pack and check, then by hand apply."""
    pack = {
        "stage": "pack",
        "image": "python:3.12-slim",
        "script": ["pip install everloop", *(_packed(release) for release in workload.releases), _manifested(workload)],
        "artifacts": {"paths": ["manifests"]},
    }
    deploy = {
        "stage": "deploy",
        "image": {"name": "bitnami/kubectl:latest", "entrypoint": [""]},
        "script": ["kubectl apply -f manifests"],
        "environment": "production",
        "when": "manual",
    }
    pipeline = {"stages": ["pack", "deploy"], "pack": pack, "deploy": deploy}
    return {".gitlab-ci.yml": written(pipeline)}, (_NOTE,)


def _packed(release: Release) -> str:
    return f"everloop packages build --model {release.model} --version {release.version} --form image"


def _manifested(workload: Workload) -> str:
    asked = workload.asked if len(workload.releases) > 1 else f"{workload.stable.model}@{workload.stable.version}"
    image = workload.stable.image.partition("@")[0].rpartition(":")[0] or workload.stable.image
    return f"everloop manifest {asked} --kind kubernetes --image {image} --out manifests"
