"""What one can do with manifests: write those that deploy a version."""

from __future__ import annotations

from everloop.catalog.session import Session
from everloop.kernel.ids import Name
from everloop.kernel.usecase import usecase
from everloop.packaging.manifests.entities import ManifestKind, Manifests, Placement
from everloop.registry import service as models

_ANYWHERE = Placement()


@usecase("packages.manifest", permission="packages:read", route="GET /packages/{model}/manifest")
def manifest(
    session: Session,
    model: Name,
    version: int = 0,
    kind: ManifestKind = "kubernetes",
    image: str = "",
    placement: Placement = _ANYWHERE,
) -> Manifests:
    """The files that serve a version (the newest, unless a number says which) elsewhere.

    `image` is where the version's container image was pushed; an image that was built here is named by its digest.
    Requests and limits come from the newest profile (packages.measure), unless the placement says otherwise.

    Raises:
        InvalidInput: the kind, the image or the placement makes no sense.
        Refused: the kind cannot serve this version.
    """
    from everloop.packaging.manifests.building import Served, built

    wanted = models.version(session, model, version)
    served = [Served(f"{wanted.model}-v{wanted.version}", wanted)]
    return built(session, wanted.model, served, kind, image, placement)
