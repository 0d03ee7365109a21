"""The port to data that stays where it is: what lies under a URL, file by file, with what tells if it changes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import msgspec

from everloop.datasets.remotes.reach import Reach
from everloop.kernel.errors import InvalidInput


class Reference(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="everloop", tag="reference/1"):
    """A file elsewhere: what a tree holds in its place until it is materialized.

    `tag` is its ETag, or when it was last modified where there is none; "" where a server tells neither, and then only
    the size is compared. `version` is the bucket's id of it, if versions are kept there.
    """

    origin: str
    path: str
    size: int
    tag: str = ""
    version: str = ""


class Source(Protocol):
    """What lies under a URL.

    Contract (`tests/contracts/test_sources.py`): paths are below the URL, with `/`, each once; `read` gives the bytes
    that the reference is of, or raises Conflict; nothing is ever written.
    """

    def listed(self) -> Iterator[Reference]:
        """Every file, as it is now.

        Raises:
            NotFound: there is nothing under the URL.
            Unavailable: it does not answer.
        """
        ...

    def read(self, reference: Reference) -> Iterator[bytes]:
        """The bytes of a file, some at a time.

        Raises:
            Conflict: it was changed since the reference was made.
            NotFound: it is gone.
        """
        ...


class Sources(Protocol):
    """Opens what a URL names: `https://host/file`, `s3://bucket/prefix`, `gs://…`, `az://…`, `file:///folder`."""

    def open(self, url: str, reach: Reach) -> Source:
        """The files under a URL, read only as far as `reach` allows.

        Raises:
            InvalidInput: nothing is installed for its scheme.
            PermissionDenied: it may not be reached.
        """
        ...


_decoder = msgspec.json.Decoder(Reference)
_MARK = b'{"everloop":"reference/1",'
"""What a reference begins with: a file of somebody's own that only has the same fields is none."""


def encoded(reference: Reference) -> bytes:
    """A reference as a tree keeps it."""
    return msgspec.json.encode(reference, order="deterministic")


def decoded(data: bytes, path: str) -> Reference:
    """The reference that a file of a tree is.

    Raises:
        InvalidInput: it is a file like any other.
    """
    try:
        if data.startswith(_MARK):
            return _decoder.decode(data)
    except msgspec.DecodeError:
        pass
    raise InvalidInput(
        f"{path!r} holds bytes, not a reference to a file elsewhere.",
        hint="Only what datasets.import_url made can be verified against its source and materialized.",
    )


def same(before: Reference, now: Reference) -> bool:
    """Whether nothing tells that a file has changed."""
    return before.size == now.size and before.tag == now.tag and (not before.version or before.version == now.version)
