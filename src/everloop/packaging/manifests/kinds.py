"""The kinds of manifest: what writes each. One is added by its module and its line here."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from everloop.packaging.manifests import (
    compose,
    delivery,
    helm,
    kserve,
    kubernetes,
    systemd,
    terraform_aws,
    terraform_azure,
    terraform_gcp,
)
from everloop.packaging.manifests.entities import ManifestKind, Workload

Written = tuple[dict[str, str], tuple[str, ...]]
"""The files, and notes for whoever applies them."""

KINDS: Mapping[ManifestKind, Callable[[Workload], Written]] = {
    "kubernetes": kubernetes.written_for,
    "kserve": kserve.written_for,
    "helm": helm.written_for,
    "compose": compose.written_for,
    "systemd": systemd.written_for,
    "ecs": terraform_aws.ecs,
    "sagemaker": terraform_aws.sagemaker,
    "lambda": terraform_aws.function,
    "cloudrun": terraform_gcp.cloud_run,
    "vertex": terraform_gcp.vertex,
    "containerapps": terraform_azure.container_apps,
    "azureml": terraform_azure.machine_learning,
    "github": delivery.github,
    "gitlab": delivery.gitlab,
}
