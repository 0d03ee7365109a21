"""The port to places beyond this platform, by their URLs."""

from __future__ import annotations

from typing import Protocol

from everloop.store.blobs import Blobs
from everloop.store.service import Store


class Places(Protocol):
    """Opens what a URL names: `file:///path`, `s3://bucket/prefix`, `gs://…`, `az://…`."""

    def blobs(self, url: str) -> Blobs:
        """The place as keys and bytes.

        Raises:
            Misconfigured: nothing is installed for its scheme, or it names no place.
        """
        ...

    def store(self, url: str) -> Store:
        """The place as a store; what is known of its packs is kept here, and learned anew when it is lost."""
        ...
