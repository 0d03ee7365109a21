"""What one can do with packages: build, list, scan, verify, sign and push them."""

from __future__ import annotations

from typing import cast, get_args

import msgspec
from sqlalchemy import select, update

from everloop.catalog import lineage
from everloop.catalog.session import Session
from everloop.kernel.errors import InvalidInput, NotFound
from everloop.kernel.ids import Name
from everloop.kernel.usecase import usecase
from everloop.packaging import forms, scan, signing
from everloop.packaging.entities import (
    IMAGES,
    Form,
    ImagePushed,
    KeyCreated,
    Package,
    PackageBuilt,
    PackageSigned,
    PublicKey,
    Pushed,
    SignatureCheck,
    Verification,
)
from everloop.packaging.handing import handed_out, name_of
from everloop.packaging.tables import packages
from everloop.registry import service as models
from everloop.registry.entities import Finding, ModelVersion
from everloop.registry.save import load_model
from everloop.store.entities import TreeEntry


@usecase("packages.build", permission="packages:write", route="POST /packages", long=True)
def build(session: Session, model: Name, version: int = 0, alias: str = "", form: Form = "archive") -> Package:
    """Pack a version (the newest, unless a number or an alias says which) into a form that runs elsewhere.

    It is in the store under the package's digest: a file, or for images a folder. Packing the same version again gives
    the same bytes. Where there is a key (`packages.create_key`), the package is signed.
    """
    wanted = _wanted(session, model, version, alias)
    built, contents = forms.build(session, wanted, _form(form))
    parts = {name: session.store.put(data) for name, data in built.parts.items()}
    with session.begin() as unit:
        now = unit.clock.now()
        made = Package(model, wanted.version, form, built.digest, built.size, contents.manifest, now, parts)
        made = _recorded(unit, made)
    if signing.has_key(session) and signing.SIGNATURE not in made.parts:
        return _signed(session, made)
    return made


@usecase("packages.list", permission="packages:read", route="GET /packages")
def list_packages(session: Session, model: str = "") -> list[Package]:
    """The packages of a model, or all, newest first."""
    query = select(packages).where(packages.c.project == session.project)
    query = query.where(packages.c.model == model) if model else query
    order = (packages.c.created.desc(), packages.c.model, packages.c.version.desc(), packages.c.digest)
    return session.all(Package, query.order_by(*order))


@usecase("packages.get", permission="packages:read", route="GET /packages/{model}")
def get(session: Session, model: Name, version: int = 0, form: str = "") -> Package:
    """The newest package of a version (of the newest version, unless a number says which), in a form or any."""
    wanted = models.version(session, model, version)
    here = (packages.c.project == session.project) & (packages.c.model == model)
    here &= packages.c.version == wanted.version
    here = here & (packages.c.form == _form(form)) if form else here
    return session.one(
        Package,
        select(packages).where(here).order_by(packages.c.created.desc(), packages.c.form, packages.c.digest),
        f"Version {wanted.version} of {model!r} was not packed{f' as {form}' if form else ''}.",
        hint=f"everloop package {model}@{wanted.version} --out FILE packs it.",
    )


@usecase("packages.files", permission="packages:read", route="GET /packages/{model}/files", long=True)
def files(session: Session, model: Name, version: int = 0, form: str = "") -> list[TreeEntry]:
    """The files of a package that is a folder (an image's layout), or the one file that it is."""
    package = _packed(session, model, version, form)
    if package.form in IMAGES:
        return list(session.store.tree(package.digest))
    return [TreeEntry(name_of(package), package.digest, package.size)]


@usecase("packages.verify", permission="packages:run", route="POST /packages/{model}/verification", long=True)
def verify(session: Session, model: Name, version: int = 0, form: str = "") -> Verification:
    """Unpack a version's package, run it with nothing of this installation, and compare its scores with the model's."""
    from everloop.packaging.verification import compared

    package = _packed(session, model, version, form)
    wanted = _wanted(session, model, package.version, "")
    return compared(session, package, load_model(session, wanted.trained))


@usecase("packages.create_key", permission="packages:write", route="POST /packages-key", long=True)
def create_key(session: Session) -> PublicKey:
    """Make the key that packages are signed with from now on, and give its public half."""
    made = signing.create_key(session)
    with session.begin() as unit:
        unit.emit(KeyCreated(subject=unit.urn("principal", unit.principal)))
    return made


@usecase("packages.key", permission="packages:read", route="GET /packages-key", long=True)
def key(session: Session) -> PublicKey:
    """The public half of the key that packages are signed with: give it to those who check signatures."""
    return signing.public_key(session)


@usecase("packages.sign", permission="packages:write", route="POST /packages/{model}/signature", long=True)
def sign(session: Session, model: Name, version: int = 0, form: str = "") -> Package:
    """Sign a package with the platform's key, after the OpenSSF's model signing; a signature of before is replaced."""
    return _signed(session, _packed(session, model, version, form))


@usecase("packages.check_signature", permission="packages:read", route="GET /packages/{model}/signature", long=True)
def check_signature(
    session: Session, model: Name, version: int = 0, form: str = "", public_key: str = ""
) -> SignatureCheck:
    """Whether a package is what the holder of a key signed: a public key as PEM, or else the platform's own."""
    package = _packed(session, model, version, form)
    signature = package.parts.get(signing.SIGNATURE)
    if signature is None:
        raise NotFound(f"{_called(package)} is not signed.", hint=f"everloop packages sign {model} signs it.")
    trusted = signing.described(public_key) if public_key else signing.public_key(session)
    with handed_out(session, package) as content:
        reason = signing.problem_with(content, session.store.get(signature), trusted)
    return SignatureCheck(package.digest, not reason, trusted.fingerprint, reason)


@usecase("packages.push", permission="packages:write", route="POST /packages/{model}/push", long=True)
def push(session: Session, model: Name, reference: str, version: int = 0, form: Form = "image") -> Pushed:
    """Send an image to a registry (`REGISTRY/NAME:TAG`), with the credentials of `docker login`."""
    from everloop.packaging.image import registry

    to = registry.reference(reference)
    package = _packed(session, model, version, form)
    if package.form not in IMAGES:
        raise InvalidInput(f"{_called(package)} is no image.", hint=f"Take one of {', '.join(IMAGES)}.")
    digest, sent = registry.push(session, package, to)
    with session.begin() as unit:
        urn = unit.urn("package", package.model, package.digest)
        unit.emit(ImagePushed(subject=urn, digest=package.digest, reference=reference))
    return Pushed(reference, digest, sent)


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


def _form(form: str) -> Form:
    if form not in get_args(Form):
        raise InvalidInput(f"{form!r} is not a form of package.", hint=f"Known: {', '.join(get_args(Form))}.")
    return cast(Form, form)


def _packed(session: Session, model: str, version: int, form: str) -> Package:
    with session.begin(write=False) as unit:
        return get(unit, model, version, form)


def _called(package: Package) -> str:
    return f"The {package.form} of {package.model}@{package.version}"


def _signed(session: Session, package: Package) -> Package:
    """The package with a signature. Of two that sign at once both are given the one that was there first."""
    signing.public_key(session)  # Without a key nothing is written out.
    with handed_out(session, package) as content:
        signature = session.store.put(signing.signature_of(session, content))
    made = msgspec.structs.replace(package, parts=package.parts | {signing.SIGNATURE: signature})
    here = (packages.c.model == made.model) & (packages.c.version == made.version) & (packages.c.digest == made.digest)
    with session.begin() as unit:
        here &= packages.c.project == unit.project
        if not unit.execute(
            update(packages).where(here & (packages.c.parts == package.parts)).values(parts=made.parts)
        ):
            return unit.one(Package, select(packages).where(here), f"{_called(made)} is gone.")
        urn = unit.urn("package", made.model, made.digest)
        unit.emit(PackageSigned(subject=urn, digest=made.digest, form=made.form))
    return made
