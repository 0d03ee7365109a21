"""The container of a release: what it runs, how it is asked if it lives, and what it may not do."""

from __future__ import annotations

from typing import Any

from everloop.packaging.manifests.documents import without_empty
from everloop.packaging.manifests.entities import PORT, Release, Size, Workload
from everloop.packaging.manifests.quantities import cpu_text, memory_text

SECRET = "everloop"
"""Has EVERLOOP_DATABASE_URL and EVERLOOP_STORE_URL, for images that hold Everloop and not the model."""
TOKEN_SECRET = "everloop-token"
"""May have the token that a packaged model's callers must show, under the key `token`."""
READY, LIVE = "/readyz", "/healthz"
"""What answers 200 when the model can be asked, and while the process is well."""
GPU = "nvidia.com/gpu"
_STARTS_WITHIN = 60
_SECURITY = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "runAsNonRoot": True,
    "capabilities": {"drop": ["ALL"]},
    "seccompProfile": {"type": "RuntimeDefault"},
}


def arguments(workload: Workload, release: Release) -> list[str]:
    """What the server is told. One that holds the model is open to whom the network lets in, unless it has a token."""
    if workload.placement.runtime == "package":
        return ["--host", "0.0.0.0", "--port", str(PORT), "--open"]
    return ["everloop", "serve", f"models:/{release.model}/{release.version}", "--port", str(PORT)]


def container(workload: Workload, release: Release) -> dict[str, Any]:
    """The container as Kubernetes has it."""
    return without_empty(
        [
            ("name", "model"),
            ("image", release.image),
            ("args", arguments(workload, release)),
            ("env", _environment(workload, release)),
            ("envFrom", [{"secretRef": {"name": SECRET}}] if workload.placement.runtime == "platform" else []),
            ("ports", [{"name": "http", "containerPort": PORT}]),
            ("startupProbe", _probe(READY, 1, _starts_within(workload.size))),
            ("readinessProbe", _probe(READY, 5, 2)),
            ("livenessProbe", _probe(LIVE, 10, 3)),
            # A Service goes on sending for a moment after a pod was told to end.
            ("lifecycle", {"preStop": {"sleep": {"seconds": 5}}}),
            ("resources", resources(workload.size)),
            ("securityContext", _SECURITY),
            ("volumeMounts", [{"name": "scratch", "mountPath": "/tmp"}]),
        ]
    )


def resources(size: Size) -> dict[str, Any]:
    """What a replica asks for and may take."""
    gpu = {GPU: str(size.gpu)} if size.gpu else {}
    return {
        "requests": {"cpu": cpu_text(size.cpu), "memory": memory_text(size.memory)} | gpu,
        "limits": {"cpu": cpu_text(size.cpu_limit), "memory": memory_text(size.memory_limit)} | gpu,
    }


def _environment(workload: Workload, release: Release) -> list[dict[str, Any]]:
    """One thread a library: its own idea of how many is the machine's number of cores, not the container's."""
    threads = [{"name": "OMP_NUM_THREADS", "value": str(max(1, workload.size.cpu_limit // 1000))}]
    if workload.placement.runtime == "package":
        key = {"name": TOKEN_SECRET, "key": "token", "optional": True}
        return [*threads, {"name": "EVERLOOP_TOKEN", "valueFrom": {"secretKeyRef": key}}]
    name = release.name
    own = f"{name},{name}.$(NAMESPACE),{name}.$(NAMESPACE).svc,{name}.$(NAMESPACE).svc.cluster.local"
    hosts = f"{own},{workload.placement.host}" if workload.placement.host else own
    return [
        *threads,
        {"name": "NAMESPACE", "valueFrom": {"fieldRef": {"fieldPath": "metadata.namespace"}}},
        {"name": "EVERLOOP_HOST", "value": "0.0.0.0"},
        {"name": "EVERLOOP_AUTHENTICATION", "value": "required"},
        {"name": "EVERLOOP_ALLOWED_HOSTS", "value": hosts},
        {"name": "EVERLOOP_HOME", "value": "/tmp/everloop"},
    ]


def _probe(path: str, every: int, failures: int) -> dict[str, Any]:
    return {
        "httpGet": {"path": path, "port": "http"},
        "periodSeconds": every,
        "timeoutSeconds": 2,
        "failureThreshold": failures,
    }


def _starts_within(size: Size) -> int:
    """Seconds: ten times as long as was measured, because a node may be busy and must fetch the image's pages first."""
    return max(_STARTS_WITHIN, round(10 * size.start_seconds))
