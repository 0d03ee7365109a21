"""What packaging is about."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec

from everloop.kernel.events import Event
from everloop.kernel.ids import Name
from everloop.registry.entities import Signature
from everloop.store.entities import Digest, TreeEntry

Form = Literal["archive"]
Kind = Literal["kubernetes"]


class Manifest(msgspec.Struct, frozen=True):
    """What is in a package: `files` are the model's, `requirements` are pinned, `flavor` is `module:class`."""

    model: Name
    version: int
    model_digest: Digest
    signature: Signature
    flavor: str
    requirements: tuple[str, ...]
    files: tuple[TreeEntry, ...]
    created_with: str


class Package(msgspec.Struct, frozen=True):
    """A model version packed to run elsewhere; `digest` is the package's bytes in the store, the same each time."""

    model: Name
    version: int
    form: Form
    digest: Digest
    size: int
    manifest: Manifest
    created: datetime


class Verification(msgspec.Struct, frozen=True):
    """What a package answered when it was run on its own, beside what the registry's model answers.

    `largest_difference` is over all scores; `passed` means that every one was equal, bit for bit.
    """

    package: Digest
    rows: int
    passed: bool
    largest_difference: float
    seconds: float


class PackageBuilt(Event, frozen=True, kw_only=True, tag="packages.built"):
    """A model version was packed."""

    digest: Digest
    size: int
    form: Form
