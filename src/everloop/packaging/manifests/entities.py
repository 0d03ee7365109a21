"""What a manifest is made of, and what it gives."""

from __future__ import annotations

from typing import Literal

import msgspec

from everloop.store.entities import Digest

ManifestKind = Literal[
    "kubernetes", "kserve", "helm", "compose", "systemd",
    "ecs", "sagemaker", "lambda", "cloudrun", "vertex", "containerapps", "azureml",
    "github", "gitlab",
]  # fmt: skip
"""Kubernetes and what stands on it; one machine; Terraform for AWS, GCP and Azure; continuous delivery."""
Role = Literal["stable", "canary", "shadow"]
Runtime = Literal["package", "platform"]
PORT = 8080


class Placement(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where and how large; what is empty or 0 comes from the model's measured profile, or from a cautious default.

    `runtime` says what the image holds: `package`, the model itself, which needs nothing else; or `platform`, Everloop,
    which reads the model from its catalog and store. `cpu` and `memory` are quantities such as 500m and 256Mi.
    `account` is the project of GCP or the resource group of Azure.
    """

    runtime: Runtime = "package"
    namespace: str = ""
    host: str = ""
    gateway: str = ""
    replicas: int = 0
    most: int = 0
    cpu: str = ""
    memory: str = ""
    gpu: int = 0
    region: str = ""
    account: str = ""


class Size(msgspec.Struct, frozen=True):
    """What a replica asks for and may take (thousandths of a core, MiB), and how many there are at least and at most.

    `source` says where the figures come from.
    """

    cpu: int
    cpu_limit: int
    memory: int
    memory_limit: int
    replicas: int
    most: int
    gpu: int
    start_seconds: float
    source: str


class Release(msgspec.Struct, frozen=True):
    """A version that is served, under a name that every platform takes, with its millionths of the traffic."""

    name: str
    model: str
    version: int
    digest: Digest
    image: str
    weight: int = 1_000_000
    role: Role = "stable"


class Workload(msgspec.Struct, frozen=True):
    """What is deployed: the releases behind one name. `asked` is the name as people know it."""

    name: str
    asked: str
    releases: tuple[Release, ...]
    size: Size
    placement: Placement

    @property
    def answering(self) -> tuple[Release, ...]:
        """The releases that answer; a shadow only sees the requests."""
        return tuple(release for release in self.releases if release.role != "shadow")

    @property
    def stable(self) -> Release:
        """The release that everything goes back to."""
        return next(release for release in self.releases if release.role == "stable")


class Manifests(msgspec.Struct, frozen=True):
    """The text of each file by its path below the folder it is meant for, and what whoever applies them must know."""

    kind: ManifestKind
    files: dict[str, str]
    notes: tuple[str, ...] = ()
