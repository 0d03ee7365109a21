"""What packaging is about."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec

from everloop.kernel.events import Event
from everloop.kernel.ids import Name
from everloop.registry.entities import Finding, Signature
from everloop.store.entities import Digest, TreeEntry

Form = Literal["archive", "image", "executable", "lambda", "wheel", "sagemaker", "vertex", "azureml"]
"""An archive is run by Python, an image by containers, an executable by itself; the last three are images with what a
cloud wants beside."""
IMAGES: tuple[Form, ...] = ("image", "sagemaker", "vertex", "azureml")
"""The forms whose digest is that of a folder (an OCI layout); that of all others is a file's."""


class Manifest(msgspec.Struct, frozen=True):
    """What is in a package: `files` are the model's, `requirements` are pinned, `flavor` is `module:class`.

    `compiled` are the files of the compiled model, where there is one: then nothing of the flavor's library is packed.
    """

    model: Name
    version: int
    model_digest: Digest
    signature: Signature
    flavor: str
    requirements: tuple[str, ...]
    files: tuple[TreeEntry, ...]
    created_with: str
    compiled: tuple[TreeEntry, ...] = ()


class Package(msgspec.Struct, frozen=True):
    """A model version packed to run elsewhere; `digest` is the package's bytes in the store, the same each time.

    `parts` are what comes beside it, by file name: the lock, the bills of materials, the scan, the signature, and what
    a cloud asks for.
    """

    model: Name
    version: int
    form: Form
    digest: Digest
    size: int
    manifest: Manifest
    created: datetime
    parts: dict[str, Digest] = {}


class Verification(msgspec.Struct, frozen=True):
    """What a package answered when it was run on its own, beside what the registry's model answers.

    `largest_difference` is over all scores; `passed` means that every one was equal, bit for bit.
    """

    package: Digest
    rows: int
    passed: bool
    largest_difference: float
    seconds: float


class ScanReport(msgspec.Struct, frozen=True):
    """What was looked into before a version was packed, and what was found."""

    model: Name
    version: int
    files: dict[str, str]
    findings: tuple[Finding, ...]
    passed: bool


class PublicKey(msgspec.Struct, frozen=True):
    """The key that packages of this platform are signed with, as everybody may have it."""

    pem: str
    fingerprint: str


class SignatureCheck(msgspec.Struct, frozen=True):
    """Whether a package is, byte for byte, what the holder of a key signed."""

    package: Digest
    passed: bool
    fingerprint: str
    reason: str = ""


class Pushed(msgspec.Struct, frozen=True):
    """An image that is in a registry; `uploaded` counts the bytes that were not there already."""

    reference: str
    digest: str
    uploaded: int


class PackageBuilt(Event, frozen=True, kw_only=True, tag="packages.built"):
    """A model version was packed."""

    digest: Digest
    size: int
    form: Form


class PackageSigned(Event, frozen=True, kw_only=True, tag="packages.signed"):
    """A package was signed."""

    digest: Digest
    form: Form


class KeyCreated(Event, frozen=True, kw_only=True, tag="packages.key_created"):
    """A key to sign packages with was made."""


class ImagePushed(Event, frozen=True, kw_only=True, tag="packages.pushed"):
    """An image was sent to a registry."""

    digest: Digest
    reference: str
