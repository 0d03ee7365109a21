"""What one can do with packages: build, list, scan and verify them."""

from __future__ import annotations

from typing import get_args

import msgspec
from sqlalchemy import select

from everloop.catalog import lineage
from everloop.catalog.session import Session
from everloop.kernel.errors import InvalidInput
from everloop.kernel.ids import Name
from everloop.kernel.usecase import usecase
from everloop.packaging import archive, scan
from everloop.packaging.entities import Form, Package, PackageBuilt, Verification
from everloop.packaging.tables import packages
from everloop.registry import service as models
from everloop.registry.entities import Finding, ModelVersion
from everloop.registry.save import load_model


@usecase("packages.build", permission="packages:write", route="POST /packages", long=True)
def build(session: Session, model: Name, version: int = 0, alias: str = "", form: Form = "archive") -> Package:
    """Pack a version (the newest, unless a number or an alias says which) into one file that Python runs.

    The file is in the store under the package's digest. Packing the same version again gives the same bytes.
    """
    if form not in get_args(Form):
        raise InvalidInput(f"{form!r} is not a form of package.", hint=f"Known: {', '.join(get_args(Form))}.")
    wanted = _wanted(session, model, version, alias)
    manifest = archive.manifest_of(session, wanted)
    data = archive.packed(session, manifest)
    digest = session.store.put(data)
    with session.begin() as unit:
        made = Package(model, wanted.version, form, digest, len(data), manifest, unit.clock.now())
        return _recorded(unit, made)


@usecase("packages.list", permission="packages:read", route="GET /packages")
def list_packages(session: Session, model: str = "") -> list[Package]:
    """The packages of a model, or all, newest first."""
    query = select(packages).where(packages.c.project == session.project)
    query = query.where(packages.c.model == model) if model else query
    order = (packages.c.created.desc(), packages.c.model, packages.c.version.desc(), packages.c.digest)
    return session.all(Package, query.order_by(*order))


@usecase("packages.get", permission="packages:read", route="GET /packages/{model}")
def get(session: Session, model: Name, version: int = 0) -> Package:
    """The newest package of a version (of the newest version, unless a number says which)."""
    wanted = models.version(session, model, version)
    here = (packages.c.project == session.project) & (packages.c.model == model)
    query = select(packages).where(here & (packages.c.version == wanted.version)).order_by(packages.c.created.desc())
    return session.one(
        Package,
        query,
        f"Version {wanted.version} of {model!r} was not packed.",
        hint=f"everloop package {model}@{wanted.version} --out FILE packs it.",
    )


@usecase("packages.verify", permission="packages:run", route="POST /packages/{model}/verification", long=True)
def verify(session: Session, model: Name, version: int = 0) -> Verification:
    """Run a version's package in a process of its own, and compare its scores with those of the registry's model."""
    from everloop.packaging.verification import compared

    with session.begin(write=False) as unit:
        package = get(unit, model, version)
        wanted = models.version(unit, model, package.version)
    return compared(package, session.store.get(package.digest), load_model(session, wanted.trained))


@usecase("packages.scan", permission="packages:read", route="GET /packages/{model}/findings", long=True)
def scan_version(session: Session, model: Name, version: int = 0) -> list[Finding]:
    """What is unsafe in a version's files: pickles that would run something, files that do not belong, native code."""
    return scan.scan_model(session, _wanted(session, model, version, "").trained)


def _wanted(session: Session, model: str, version: int, alias: str) -> ModelVersion:
    with session.begin(write=False) as unit:
        return models.version(unit, model, version, alias)


def _recorded(session: Session, made: Package) -> Package:
    here = (packages.c.project == session.project) & (packages.c.model == made.model)
    same = here & (packages.c.version == made.version) & (packages.c.digest == made.digest)
    known = session.first(Package, select(packages).where(same))
    if known is not None:
        return known
    session.insert(packages, msgspec.structs.asdict(made))
    urn = session.urn("package", made.model, made.digest)
    lineage.link(session, urn, session.urn("model", made.model, made.version), "packs")
    session.emit(PackageBuilt(subject=urn, digest=made.digest, size=made.size, form=made.form))
    return made
