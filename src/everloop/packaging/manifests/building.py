"""Building: from a version, its package and its profile to what a kind of manifest is written from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.metadata import version as installed
from typing import get_args

import msgspec
from sqlalchemy import select

from everloop.catalog.session import Session
from everloop.kernel.errors import InvalidInput
from everloop.packaging.entities import Package
from everloop.packaging.manifests import kinds, names, quantities
from everloop.packaging.manifests.entities import ManifestKind, Manifests, Placement, Release, Role, Size, Workload
from everloop.packaging.manifests.weights import WHOLE
from everloop.packaging.sizing.entities import ModelProfile
from everloop.packaging.sizing.profiles import newest_profile
from everloop.packaging.tables import packages
from everloop.registry.entities import ModelVersion

_FORM = "image"
_UNMEASURED = "not measured: everloop size MODEL measures it"
_MOST_REPLICAS, _MOST_GPUS = 10_000, 64
_GROWTH = 4


class Served(msgspec.Struct, frozen=True):
    """A version that is to be served: under which name, and with how much of the traffic."""

    name: str
    version: ModelVersion
    weight: int = WHOLE
    role: Role = "stable"


def built(
    session: Session, asked: str, served: Sequence[Served], kind: ManifestKind, image: str, placement: Placement
) -> Manifests:
    """The manifests of what is served behind one name.

    Raises:
        InvalidInput: the kind, the image or the placement makes no sense.
        Refused: the kind cannot do what the traffic asks for.
    """
    if kind not in get_args(ManifestKind):
        raise InvalidInput(f"{kind!r} is not a kind of manifest.", hint=f"Known: {', '.join(get_args(ManifestKind))}.")
    _check(placement)
    if len(served) > 1 and names.is_exact(image) and placement.runtime == "package":
        raise InvalidInput(
            f"{image!r} is one image, and there are {len(served)} versions.",
            hint="Leave out its tag: each version's image gets its own.",
        )
    releases = tuple(_release(session, one, image, placement) for one in served)
    size = _size(placement, [newest_profile(session, one.version.model, one.version.version) for one in served])
    workload = Workload(names.label(asked), asked, releases, size, placement)
    files, notes = kinds.KINDS[kind](workload)
    return Manifests(kind, files, (*_told(workload), *notes))


def _release(session: Session, one: Served, image: str, placement: Placement) -> Release:
    version = one.version
    if placement.runtime == "platform":
        pinned = names.pinned_image(image or "everloop", installed("everloop"))
    else:
        known = "" if names.is_exact(image) else _image_digest(session, version)
        # A name without a registry is this machine's own, where nothing is found by a digest.
        pinned = names.pinned_image(image or names.label(version.model), str(version.version), known if image else "")
    return Release(
        names.label(one.name), version.model, version.version, version.trained.digest, pinned, one.weight, one.role
    )


def _image_digest(session: Session, version: ModelVersion) -> str:
    """The SHA-256 that a registry knows the version's newest image by; nothing when none was built."""
    here = (packages.c.project == session.project) & (packages.c.model == version.model)
    query = select(packages).where(here & (packages.c.version == version.version) & (packages.c.form == _FORM))
    package = session.first(Package, query.order_by(packages.c.created.desc()))
    if package is None:
        return ""
    layout = {entry.path: entry.digest for entry in session.store.tree(package.digest)}
    index = msgspec.json.decode(session.store.get(layout["index.json"]), type=_Index)
    return index.manifests[0].digest.removeprefix("sha256:")


class _Descriptor(msgspec.Struct):
    digest: str


class _Index(msgspec.Struct):
    """What we read of an OCI layout's index."""

    manifests: list[_Descriptor]


def _check(placement: Placement) -> None:
    checks: list[tuple[str, Callable[[str], object]]] = [
        (placement.namespace, lambda text: names.checked_label("namespace", text)),
        (placement.gateway, lambda text: names.checked_label("gateway", text)),
        (placement.region, lambda text: names.checked_label("region", text)),
        (placement.account, lambda text: names.checked_label("project or resource group", text)),
        (placement.host, names.checked_host),
    ]
    for text, check in checks:
        if text:
            check(text)
    if not 0 <= placement.replicas <= _MOST_REPLICAS or not 0 <= placement.most <= _MOST_REPLICAS:
        raise InvalidInput(
            f"{placement.replicas} to {placement.most} replicas make no sense.", hint=f"Ask for 1 to {_MOST_REPLICAS}."
        )
    if placement.most and placement.most < placement.replicas:
        raise InvalidInput(
            f"There are to be {placement.replicas} replicas and at most {placement.most}.",
            hint="Let the most be the larger number.",
        )
    if not 0 <= placement.gpu <= _MOST_GPUS:
        raise InvalidInput(f"{placement.gpu} GPUs make no sense.", hint=f"Ask for 0 to {_MOST_GPUS}.")


def _size(placement: Placement, profiles: Sequence[ModelProfile | None]) -> Size:
    """What was asked for, else what was measured of the hungriest release, else what most models get by with."""
    known = [profile for profile in profiles if profile is not None]
    memory = quantities.memory_of(placement.memory) if placement.memory else _memory(known)
    cpu = quantities.cpu_of(placement.cpu) if placement.cpu else 250
    replicas = placement.replicas or min(2, placement.most or 2)
    return Size(
        cpu=cpu,
        cpu_limit=max(cpu, 1000),
        memory=memory,
        memory_limit=max(memory, _memory(known) * 3 // 2 // 16 * 16),
        replicas=replicas,
        most=placement.most or min(_MOST_REPLICAS, replicas * _GROWTH),
        gpu=placement.gpu,
        start_seconds=max((profile.start_seconds for profile in known), default=0.0),
        source=_source(known),
    )


def _memory(known: Sequence[ModelProfile]) -> int:
    if not known:
        return 256
    return max(64, -(-max(profile.memory_mib for profile in known) * 11 // 160) * 16)


def _told(workload: Workload) -> list[str]:
    notes = [f"Size: {workload.size.source}."]
    if any("@sha256:" not in release.image for release in workload.releases):
        notes.append("An image is named by its tag, which may move: build and push it, then name it with its registry.")
    return notes


def _source(known: Sequence[ModelProfile]) -> str:
    if not known:
        return _UNMEASURED
    told = (f"{one.model}@{one.version}: {one.sustained:.0f}/s in {one.latency_ms:g} ms a core" for one in known)
    return f"measured, {'; '.join(told)}"
