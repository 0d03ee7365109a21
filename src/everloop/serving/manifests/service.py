"""What one can do with manifests of endpoints: write those that serve the endpoint as its traffic is now."""

from __future__ import annotations

from everloop.catalog.session import Session
from everloop.kernel.ids import Name
from everloop.kernel.usecase import usecase
from everloop.packaging.manifests.entities import ManifestKind, Manifests, Placement
from everloop.packaging.manifests.weights import millionths
from everloop.registry import service as models
from everloop.serving import service as endpoints
from everloop.serving.entities import Endpoint, Share

_ANYWHERE = Placement()


@usecase("endpoints.manifest", permission="endpoints:read", route="GET /endpoints/{name}/manifest")
def manifest(
    session: Session,
    name: Name,
    kind: ManifestKind = "kubernetes",
    image: str = "",
    placement: Placement = _ANYWHERE,
) -> Manifests:
    """The files that serve an endpoint elsewhere: each deployment that has traffic, and the division between them.

    `image` names the containers' repository, without a tag: each version's image has its own.

    Raises:
        InvalidInput: the kind, the image or the placement makes no sense.
        Refused: the kind cannot divide the traffic like this.
    """
    from everloop.packaging.manifests.building import Served, built

    endpoint = endpoints.get(session, name)
    versions = {each.revision: each.version for each in endpoints.deployments(session, name)}
    parts = _weights(endpoint)
    served = [
        Served(
            f"{name}-r{share.deployment}",
            models.version(session, endpoint.model, versions[share.deployment]),
            parts[share.deployment],
            share.role,
        )
        for share in _meeting(endpoint)
    ]
    return built(session, name, served, kind, image, placement)


def _meeting(endpoint: Endpoint) -> list[Share]:
    """The shares that see any request, the stable one first."""
    seen = [share for share in endpoint.traffic if share.percent > 0 or share.role in ("shadow", "stable")]
    return sorted(seen, key=lambda share: share.role != "stable")


def _weights(endpoint: Endpoint) -> dict[int, int]:
    answering = [share for share in endpoint.traffic if share.role != "shadow"]
    weights = millionths([share.percent for share in answering])
    shadows = {share.deployment: 0 for share in endpoint.traffic if share.role == "shadow"}
    return shadows | {share.deployment: weight for share, weight in zip(answering, weights, strict=True)}
