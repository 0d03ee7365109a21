"""Kubernetes: for each release a Deployment, its Service, autoscaler and guards; one route that divides the traffic."""

from __future__ import annotations

from typing import Any

from everloop.packaging.manifests.container import container
from everloop.packaging.manifests.documents import Document, without_empty, written
from everloop.packaging.manifests.entities import PORT, Release, Workload
from everloop.packaging.manifests.weights import reduced

UTILIZATION = 70
_GATEWAYS = "gateway"
_NAME = "app.kubernetes.io/name"


_SECRET_NOTE = (
    "The secret `everloop` must hold EVERLOOP_DATABASE_URL and EVERLOOP_STORE_URL, and callers show a token "
    "(everloop tokens create)."
)
_TOKEN_NOTE = "Whom the NetworkPolicy lets in may ask, unless the secret `everloop-token` has a token (key `token`)."
_STICKY_NOTE = (
    "The route divides requests, not units: one unit may meet several versions. Where it must not, use "
    "everloop serve ENDPOINT, which divides by key, or your gateway's session persistence."
)


def written_for(workload: Workload) -> tuple[dict[str, str], tuple[str, ...]]:
    """A file for each release, and one for the route where a gateway or a host is named or traffic is divided."""
    texts = {f"{release.name}.yaml": written(*objects(workload, release)) for release in workload.releases}
    if has_route(workload):
        texts["route.yaml"] = written(route(workload))
    return texts, notes(workload)


def notes(workload: Workload) -> tuple[str, ...]:
    """What must be there before, and what is different here than with Everloop's own endpoint."""
    found = [f"Pods of namespaces labelled {_GATEWAYS}=true may ask too: label the one of your gateway."]
    if workload.placement.runtime == "platform":
        found.append(_SECRET_NOTE)
    else:
        found.append(_TOKEN_NOTE)
    if len(workload.answering) > 1:
        found.append(_STICKY_NOTE)
    return tuple(found)


def objects(workload: Workload, release: Release) -> list[Document]:
    """Everything that runs one release."""
    found = [deployment(workload, release), service(workload, release), network_policy(workload, release)]
    if workload.size.most > workload.size.replicas:
        found.append(autoscaler(workload, release))
    if workload.size.replicas > 1:
        found.append(disruption_budget(workload, release))
    return found


def has_route(workload: Workload) -> bool:
    """Whether anything from outside finds the way in, or has to be divided."""
    return bool(workload.placement.gateway or workload.placement.host) or len(workload.releases) > 1


def deployment(workload: Workload, release: Release) -> Document:
    """The pods. Their number is the autoscaler's where there is one: written here, each `apply` would reset it."""
    size = workload.size
    spec = without_empty(
        [
            ("replicas", None if size.most > size.replicas else size.replicas),
            ("revisionHistoryLimit", 3),
            ("selector", {"matchLabels": selector(release)}),
            ("strategy", {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}}),
            ("template", {"metadata": {"labels": labels(workload, release)}, "spec": pod(workload, release)}),
        ]
    )
    return _object("apps/v1", "Deployment", workload, release, spec)


def pod(workload: Workload, release: Release) -> dict[str, Any]:
    """A pod: without a token of the cluster, without privileges, away from its like."""
    return {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": 40,
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "topologySpreadConstraints": [
            {
                "maxSkew": 1,
                "topologyKey": key,
                "whenUnsatisfiable": "ScheduleAnyway",
                "labelSelector": {"matchLabels": selector(release)},
            }
            for key in ("topology.kubernetes.io/zone", "kubernetes.io/hostname")
        ],
        "containers": [container(workload, release)],
        "volumes": [{"name": "scratch", "emptyDir": {}}],
    }


def service(workload: Workload, release: Release) -> Document:
    """The name inside of the cluster."""
    ports = [{"name": "http", "port": 80, "targetPort": "http", "appProtocol": "http"}]
    return _object("v1", "Service", workload, release, {"selector": selector(release), "ports": ports})


def autoscaler(workload: Workload, release: Release) -> Document:
    """More pods when those there are are busy; fewer only after five quiet minutes."""
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": release.name}
    resource = {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": UTILIZATION}}
    spec = {
        "scaleTargetRef": target,
        "minReplicas": workload.size.replicas,
        "maxReplicas": workload.size.most,
        "metrics": [{"type": "Resource", "resource": resource}],
        "behavior": {"scaleDown": {"stabilizationWindowSeconds": 300}},
    }
    return _object("autoscaling/v2", "HorizontalPodAutoscaler", workload, release, spec)


def disruption_budget(workload: Workload, release: Release) -> Document:
    """Nodes are emptied one pod at a time."""
    spec = {"maxUnavailable": 1, "selector": {"matchLabels": selector(release)}}
    return _object("policy/v1", "PodDisruptionBudget", workload, release, spec)


def network_policy(workload: Workload, release: Release) -> Document:
    """In: the HTTP port, from this namespace and the gateways'. Out: nothing, unless the catalog must be reached."""
    gateways = {"namespaceSelector": {"matchLabels": {_GATEWAYS: "true"}}}
    spec = {
        "podSelector": {"matchLabels": selector(release)},
        "policyTypes": ["Ingress", "Egress"],
        "ingress": [{"from": [{"podSelector": {}}, gateways], "ports": [{"protocol": "TCP", "port": PORT}]}],
        "egress": _outward(workload),
    }
    return _object("networking.k8s.io/v1", "NetworkPolicy", workload, release, spec)


def route(workload: Workload) -> Document:
    """The way in from a gateway: each release has its part, and shadows get a copy of every request."""
    weights = reduced([release.weight for release in workload.answering])
    backends = [
        {"name": release.name, "port": 80, "weight": weight}
        for release, weight in zip(workload.answering, weights, strict=True)
    ]
    mirrors = [
        {"type": "RequestMirror", "requestMirror": {"backendRef": {"name": release.name, "port": 80}}}
        for release in workload.releases
        if release.role == "shadow"
    ]
    matches = [{"path": {"type": "PathPrefix", "value": "/"}}]
    rule = without_empty([("matches", matches), ("filters", mirrors), ("backendRefs", backends)])
    host = workload.placement.host
    spec = without_empty(
        [
            ("parentRefs", [{"name": workload.placement.gateway or "gateway"}]),
            ("hostnames", [host] if host else []),
            ("rules", [rule]),
        ]
    )
    metadata = _metadata(workload, workload.name, {_NAME: workload.name})
    return {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": metadata, "spec": spec}


def selector(release: Release) -> dict[str, str]:
    """What finds the pods of a release; it never changes."""
    return {_NAME: release.name}


def labels(workload: Workload, release: Release) -> dict[str, str]:
    """What the objects of a release are known by."""
    return selector(release) | {
        "app.kubernetes.io/part-of": workload.name,
        "app.kubernetes.io/version": str(release.version),
        "app.kubernetes.io/managed-by": "everloop",
    }


def described(release: Release) -> dict[str, str]:
    """Which model it is, by its name as people know it and by its bytes."""
    return {"everloop/model": f"{release.model}@{release.version}", "everloop/model-digest": str(release.digest)}


def _outward(workload: Workload) -> list[dict[str, Any]]:
    if workload.placement.runtime == "package":
        return []
    names = [{"protocol": protocol, "port": 53} for protocol in ("UDP", "TCP")]
    return [{"ports": names}, {"ports": [{"protocol": "TCP", "port": port} for port in (443, 5432, 6379)]}]


def _object(version: str, kind: str, workload: Workload, release: Release, spec: dict[str, Any]) -> Document:
    metadata = _metadata(workload, release.name, labels(workload, release)) | {"annotations": described(release)}
    return {"apiVersion": version, "kind": kind, "metadata": metadata, "spec": spec}


def _metadata(workload: Workload, name: str, named: dict[str, str]) -> dict[str, Any]:
    return without_empty([("name", name), ("namespace", workload.placement.namespace), ("labels", named)])
