"""KServe: an InferenceService, and for a second version one more file that moves a part of the traffic to it."""

from __future__ import annotations

from everloop.kernel.errors import Refused
from everloop.packaging.manifests.container import container
from everloop.packaging.manifests.documents import Document, without_empty, written
from everloop.packaging.manifests.entities import Release, Workload
from everloop.packaging.manifests.kubernetes import UTILIZATION, described, labels, pod

_NOTES = (
    "Apply the files in their order: KServe gives the part to what was applied last, the rest to what was before.",
)


def written_for(workload: Workload) -> tuple[dict[str, str], tuple[str, ...]]:
    """One file, or two where a canary has a part of the traffic.

    Raises:
        Refused: KServe cannot divide the traffic like this.
    """
    canaries = [release for release in workload.releases if release is not workload.stable]
    if not canaries:
        return {"inferenceservice.yaml": written(inference_service(workload, workload.stable, None))}, ()
    percent, rest = divmod(canaries[0].weight, 10_000)
    if len(canaries) > 1 or canaries[0].role == "shadow" or rest:
        raise Refused(
            f"KServe cannot divide the traffic of {workload.asked} as it stands.",
            hint="It takes a stable version and one canary with whole percents; --kind kubernetes takes any.",
        )
    files = {
        "1-stable.yaml": written(inference_service(workload, workload.stable, None)),
        "2-canary.yaml": written(inference_service(workload, canaries[0], percent)),
    }
    return files, _NOTES


def inference_service(workload: Workload, release: Release, percent: int | None) -> Document:
    """The service with a release as its predictor; `percent` is the release's part, None for all."""
    size = workload.size
    # KServe makes the Service, the probes' defaults and the name of the container that it watches.
    of_kserve = container(workload, release) | {"name": "kserve-container"}
    of_kserve.pop("lifecycle")
    inherited = {key: value for key, value in pod(workload, release).items() if key in _OF_POD}
    predictor = without_empty(
        [
            ("minReplicas", size.replicas),
            ("maxReplicas", size.most),
            ("scaleMetric", "cpu"),
            ("scaleTarget", UTILIZATION),
            ("canaryTrafficPercent", percent),
            ("containers", [of_kserve]),
            *inherited.items(),
        ]
    )
    metadata = without_empty(
        [
            ("name", workload.name),
            ("namespace", workload.placement.namespace),
            ("labels", labels(workload, release)),
            ("annotations", described(release)),
        ]
    )
    return {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": metadata,
        "spec": {"predictor": predictor},
    }


_OF_POD = ("automountServiceAccountToken", "enableServiceLinks", "securityContext", "volumes")
