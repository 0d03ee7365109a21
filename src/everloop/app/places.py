"""Places beyond this platform, opened by the backends that are installed."""

from __future__ import annotations

from pathlib import Path
from typing import cast
from urllib.parse import urlsplit

from blake3 import blake3

from everloop.app import backends
from everloop.datasets.remotes.reach import Reach
from everloop.datasets.remotes.sources import Source
from everloop.kernel.errors import InvalidInput
from everloop.serving.batch.stream import Results, Stream
from everloop.store.blobs import Blobs
from everloop.store.service import Store


class InstalledPlaces:
    """Opens a URL with the backend of its scheme; what is known of remote packs is kept in the folder `caches`."""

    def __init__(self, caches: Path) -> None:
        self._caches = caches

    def blobs(self, url: str) -> Blobs:
        """The place as keys and bytes."""
        return cast(Blobs, backends.load("blobs", _scheme("blobs", url))(url))

    def store(self, url: str) -> Store:
        """The place as a store."""
        return Store(self.blobs(url), self._caches / f"{blake3(url.encode()).hexdigest(length=8)}.db")


class InstalledSources:
    """Opens what lies under a URL with the backend of its scheme."""

    def open(self, url: str, reach: Reach) -> Source:
        """The files under a URL."""
        return cast(Source, backends.load("sources", _scheme("sources", url))(url, reach))


class InstalledStreams:
    """Opens streams and their results: a path, or a URL, with the backend of its scheme."""

    def stream(self, where: str) -> Stream:
        """The records there."""
        return cast(Stream, backends.load("streams", _scheme_or_file(where))(where))

    def results(self, where: str) -> Results:
        """The results there."""
        return cast(Results, backends.load("stream_results", _scheme_or_file(where))(where))


def _scheme_or_file(where: str) -> str:
    return urlsplit(where).scheme if "://" in where else "file"


def _scheme(kind: str, url: str) -> str:
    """A URL's scheme, when a backend for it is installed."""
    scheme = urlsplit(url).scheme
    if scheme not in backends.names(kind):
        known = ", ".join(f"{name}://" for name in backends.names(kind))
        raise InvalidInput(f"{scheme or url!r} is no kind of place that is installed.", hint=f"Known: {known}.")
    return scheme
