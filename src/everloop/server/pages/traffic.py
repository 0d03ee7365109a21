"""An endpoint's traffic as a picture."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from everloop.server.pages.strips import Part, split
from everloop.serving.entities import Deployment, Endpoint, Share


def traffic_bar(endpoint: Endpoint, deployments: Sequence[Deployment]) -> Markup:
    """Who answers which part of the requests; shadows, who answer none, stand in the legend."""
    versions = {each.revision: each.version for each in deployments}
    return split("Traffic", [Part(each.percent, told(each, versions), each.role) for each in endpoint.traffic])


def told(share: Share, versions: dict[int, int]) -> str:
    """A share in words: `v11, stable, 100 %`."""
    part = "in the shadow" if share.role == "shadow" else f"{share.percent:g} %"
    return (
        f"v{versions.get(share.deployment, '?')} {share.role} {part}"
        if share.role != "shadow"
        else (f"v{versions.get(share.deployment, '?')} {part}")
    )


def history_line(shares: Sequence[Share], versions: dict[int, int]) -> str:
    """A division of traffic in a line."""
    return ", ".join(told(each, versions) for each in shares)
