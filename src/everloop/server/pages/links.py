"""Which page tells of a thing: from a URN to a path, and paths made of names."""

from __future__ import annotations

from urllib.parse import quote, urlencode

from markupsafe import Markup

from everloop.kernel.errors import InvalidInput
from everloop.kernel.ids import Urn, parse_urn

_PLACES = {
    "dataset": "/datasets/{name}?version={version}",
    "feature_view": "/features/views/{name}?version={version}",
    "feature_service": "/features/{name}?version={version}",
    "experiment": "/runs?experiment={name}",
    "run": "/runs/{name}",
    "sweep": "/sweeps/{name}",
    "trace": "/traces/{name}",
    "pipeline": "/pipelines?pipeline={name}",
    "execution": "/executions/{name}",
    "model": "/models/{name}/versions/{version}",
    "package": "/models/{name}",
    "endpoint": "/endpoints/{name}",
    "deployment": "/endpoints/{name}",
    "prediction": "/endpoints/{name}/predictions/{version}",
    "rollout": "/rollouts/{name}",
    "alert": "/alerts/{name}",
    "loop": "/loops/{name}",
    "principal": "/access",
    "token": "/access",
}


def path(*parts: object, **query: object) -> str:
    """A path of our own, each part quoted; query parameters without a value are left out.

    >>> path("models", "delay", version=3, alias="")
    '/models/delay?version=3'
    """
    given = {name: str(value) for name, value in query.items() if value not in ("", None, 0)}
    place = "/" + "/".join(quote(str(part), safe="") for part in parts)
    return f"{place}?{urlencode(given)}" if given else place


def place(urn: str, project: str) -> str:
    """The page of a URN; that of its lineage where it has none, or is of another project."""
    found = parsed(urn)
    if found is None:
        return path("lineage", urn=urn)
    pattern = _PLACES.get(found.kind, "")
    if found.kind == "monitor":
        return path("monitors", found.name.partition("/")[0])
    if not pattern or found.project != project or (found.kind in ("model", "prediction") and not found.version):
        return path("models", found.name) if found.kind == "model" else path("lineage", urn=urn)
    name, version = quote(found.name, safe=""), quote(found.version, safe="")
    return pattern.format(name=name, version=version).removesuffix("?version=")


def parsed(urn: str) -> Urn | None:
    """A URN's parts, or None where it is none."""
    try:
        return parse_urn(urn)
    except InvalidInput:
        return None


def short(urn: str) -> str:
    """A URN without its project: `model delay@3`; ids are shortened."""
    found = parsed(urn)
    if found is None:
        return urn
    name = f"…{found.name[-8:]}" if len(found.name) == 32 and found.name.isalnum() else found.name
    version = f"@{found.version if len(found.version) <= 24 else found.version[:10] + '…'}" if found.version else ""
    return f"{found.kind.replace('_', ' ')} {name}{version}"


def anchor(urn: str, project: str) -> Markup:
    """A link to a URN's page."""
    return Markup('<a class="urn" href="{}" title="{}">{}</a>').format(place(urn, project), urn, short(urn))
