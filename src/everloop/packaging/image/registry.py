"""Registries: an image goes there over the OCI distribution protocol, and only what is not there yet travels."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from everloop.catalog.session import Session
from everloop.kernel.errors import InvalidInput, PermissionDenied, Unavailable
from everloop.kernel.progress import Progress
from everloop.packaging.entities import Package
from everloop.packaging.image.config import MANIFEST_TYPE
from everloop.packaging.image.layout import INDEX, Descriptor, ImageManifest, Index

if TYPE_CHECKING:
    import httpx

_REFERENCE = re.compile(
    r"(?P<host>[A-Za-z0-9.-]+(:[0-9]+)?)/(?P<name>[a-z0-9]+([._/-][a-z0-9]+)*):(?P<tag>[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})"
)
_LOCAL = ("localhost", "127.0.0.1", "[::1]")
_DOCKER_HUB = ("docker.io", "index.docker.io", "registry-1.docker.io")
_DOCKER_LOGIN = "https://index.docker.io/v1/"
_SECONDS = 60.0


class _Login(msgspec.Struct, frozen=True):
    auth: str = ""


class _Logins(msgspec.Struct, frozen=True):
    auths: dict[str, _Login] = {}


class Reference(msgspec.Struct, frozen=True):
    """Where an image goes: `registry.example.org/models/delay:3`."""

    host: str
    name: str
    tag: str

    @property
    def url(self) -> str:
        """The repository's address: plain HTTP for this machine only."""
        scheme = "http" if self.host.rpartition(":")[0] in _LOCAL or self.host in _LOCAL else "https"
        return f"{scheme}://{self.api}/v2/{self.name}"

    @property
    def api(self) -> str:
        """The host that answers: Docker Hub's is not the one that it is called by."""
        return "registry-1.docker.io" if self.host in _DOCKER_HUB else self.host


def reference(text: str) -> Reference:
    """What a reference says.

    Raises:
        InvalidInput: it is none.
    """
    found = _REFERENCE.fullmatch(text)
    if found is None:
        raise InvalidInput(
            f"{text!r} is no place in a registry.", hint="Write REGISTRY/NAME:TAG, such as localhost:5000/delay:3."
        )
    return Reference(found["host"], found["name"], found["tag"])


def push(session: Session, package: Package, to: Reference) -> tuple[str, int]:
    """Send an image: its blobs, then its manifest under the tag. Its digest, and the bytes that travelled.

    Raises:
        Unavailable: the registry does not answer as one.
        PermissionDenied: it wants other credentials.
    """
    import httpx

    from everloop.packaging.image.token import RegistryAuth

    blobs = {entry.path: entry.digest for entry in session.store.tree(package.digest)}
    named = msgspec.json.decode(session.store.get(blobs[INDEX]), type=Index).manifests[0]
    manifest = session.store.get(blobs[named.path])
    parts = msgspec.json.decode(manifest, type=ImageManifest)
    every, sent = (*parts.layers, parts.config), 0
    progress = session.ports.get(Progress)
    try:
        auth = RegistryAuth(to.api, to.name, _credentials(to))
        with httpx.Client(timeout=_SECONDS, auth=auth, follow_redirects=True) as client:
            for at, blob in enumerate(every, 1):
                sent += _blob(client, to, blob, session.store.parts(blobs[blob.path]))
                progress.advance(at, len(every), "pushed", "files")
            headers = {"Content-Type": MANIFEST_TYPE}
            _checked(client.put(f"{to.url}/manifests/{to.tag}", content=manifest, headers=headers), to)
    except httpx.HTTPError as error:
        raise Unavailable(f"The registry {to.host} did not answer ({error}).", hint="Is it running?") from None
    return named.digest, sent


def _credentials(to: Reference) -> tuple[str, str] | None:
    """What `docker login` or `skopeo login` keeps for a registry."""
    path = Path.home() / ".docker" / "config.json"
    try:
        known = msgspec.json.decode(path.read_bytes(), type=_Logins).auths.get(
            _DOCKER_LOGIN if to.host in _DOCKER_HUB else to.host
        )
        user, _, password = base64.b64decode(known.auth if known else "").decode().partition(":")
    except (OSError, msgspec.MsgspecError, ValueError):
        return None
    return (user, password) if user else None


def _blob(client: httpx.Client, to: Reference, blob: Descriptor, data: Iterator[bytes]) -> int:
    if client.head(f"{to.url}/blobs/{blob.digest}").status_code == 200:
        return 0
    started = _checked(client.post(f"{to.url}/blobs/uploads/"), to)
    place = started.url.join(started.headers["Location"]).copy_merge_params({"digest": blob.digest})
    headers = {"Content-Type": "application/octet-stream", "Content-Length": str(blob.size)}
    _checked(client.put(place, content=data, headers=headers), to)
    return blob.size


def _checked(answer: httpx.Response, to: Reference) -> httpx.Response:
    if answer.status_code in (401, 403):
        raise PermissionDenied(
            f"The registry {to.host} refused {to.name}.", hint=f"Log in first: docker login {to.host}."
        )
    if answer.status_code >= 300:
        raise Unavailable(f"The registry {to.host} answered {answer.status_code}: {answer.text[:200]}")
    return answer
