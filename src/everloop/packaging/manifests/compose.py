"""Compose: a service for each release on one machine, without privileges."""

from __future__ import annotations

from typing import Any

from everloop.packaging.manifests.container import READY, arguments
from everloop.packaging.manifests.documents import without_empty, written
from everloop.packaging.manifests.entities import PORT, Release, Workload

_ASK = "import sys, urllib.request as u; sys.exit(u.urlopen('http://127.0.0.1:{port}{path}', timeout=2).status != 200)"


def written_for(workload: Workload) -> tuple[dict[str, str], tuple[str, ...]]:
    """The file; releases listen on this machine's ports from 8080 on, in their order."""
    services = {
        release.name: service(workload, release, PORT + place) for place, release in enumerate(workload.releases)
    }
    notes = [f"{name} answers on http://127.0.0.1:{PORT + place}" for place, name in enumerate(services)]
    if len(workload.releases) > 1:
        notes.append("Compose divides no traffic: put a proxy before the services, or serve the endpoint itself.")
    return {"compose.yaml": written({"name": workload.name, "services": services})}, tuple(notes)


def service(workload: Workload, release: Release, port: int) -> dict[str, Any]:
    """A release as a service: read-only, without capabilities, started again when it ends."""
    asked = _ASK.format(port=PORT, path=READY)
    return without_empty(
        [
            ("image", release.image),
            ("command", arguments(workload, release)),
            ("environment", _environment(workload)),
            ("env_file", ["everloop.env"] if workload.placement.runtime == "platform" else []),
            ("ports", [f"127.0.0.1:{port}:{PORT}"]),
            ("restart", "unless-stopped"),
            ("read_only", True),
            ("tmpfs", ["/tmp"]),
            ("cap_drop", ["ALL"]),
            ("security_opt", ["no-new-privileges:true"]),
            ("pids_limit", 256),
            ("stop_grace_period", "30s"),
            (
                "healthcheck",
                {"test": ["CMD", "python3", "-c", asked], "interval": "10s", "timeout": "3s", "start_period": "60s"},
            ),
            ("deploy", {"resources": _resources(workload)}),
            ("labels", {"everloop.model": f"{release.model}@{release.version}", "everloop.digest": release.digest}),
        ]
    )


def _environment(workload: Workload) -> dict[str, str]:
    threads = {"OMP_NUM_THREADS": str(max(1, workload.size.cpu_limit // 1000))}
    if workload.placement.runtime == "package":
        return threads | {"EVERLOOP_TOKEN": "${EVERLOOP_TOKEN:-}"}
    host = workload.placement.host
    return threads | {
        "EVERLOOP_HOST": "0.0.0.0",
        "EVERLOOP_AUTHENTICATION": "required",
        "EVERLOOP_ALLOWED_HOSTS": host or "localhost",
        "EVERLOOP_HOME": "/tmp/everloop",
    }


def _resources(workload: Workload) -> dict[str, Any]:
    size = workload.size
    limits = {"cpus": f"{size.cpu_limit / 1000:g}", "memory": f"{size.memory_limit}M"}
    asked: dict[str, Any] = {"cpus": f"{size.cpu / 1000:g}", "memory": f"{size.memory}M"}
    if size.gpu:
        asked["devices"] = [{"driver": "nvidia", "count": size.gpu, "capabilities": ["gpu"]}]
    return {"limits": limits, "reservations": asked}
