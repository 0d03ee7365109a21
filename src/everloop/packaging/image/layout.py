"""The layout of an image: the folder of the OCI specification, and the same as one tar that Docker loads."""

from __future__ import annotations

import tarfile
from collections.abc import Iterable, Sequence
from io import BytesIO
from typing import BinaryIO

import msgspec

from everloop.kernel.usecase import Json
from everloop.packaging.entities import Manifest
from everloop.packaging.image.config import (
    INDEX_TYPE,
    MANIFEST_TYPE,
    PORT,
    USER,
    Start,
    entry_point,
    labels,
    sha256,
    variables,
)
from everloop.packaging.image.layers import Layer
from everloop.store.entities import TreeEntry

INDEX = "index.json"
BLOBS = "blobs/sha256/"
_LAYOUT = b'{"imageLayoutVersion":"1.0.0"}'


class Descriptor(msgspec.Struct, frozen=True):
    """What names a blob of an image."""

    digest: str
    size: int
    mediaType: str = ""

    @property
    def path(self) -> str:
        """Where the blob lies in a layout."""
        return f"{BLOBS}{self.digest.removeprefix('sha256:')}"


class Index(msgspec.Struct, frozen=True):
    """The images of a layout."""

    manifests: tuple[Descriptor, ...]


class ImageManifest(msgspec.Struct, frozen=True):
    """The parts of one image."""

    config: Descriptor
    layers: tuple[Descriptor, ...]


def small_files(config: bytes, manifest: bytes, layers: Sequence[Layer], name: str) -> dict[str, bytes]:
    """The layout, but for the layers: index, manifest, configuration, and what `docker load` looks for."""
    index: dict[str, Json] = {
        "schemaVersion": 2,
        "mediaType": INDEX_TYPE,
        "manifests": [
            {
                "mediaType": MANIFEST_TYPE,
                "digest": f"sha256:{sha256(manifest)}",
                "size": len(manifest),
                "annotations": {
                    "org.opencontainers.image.ref.name": name.rpartition(":")[2],
                    "io.containerd.image.name": name,
                },
            }
        ],
    }
    for_docker: list[dict[str, Json]] = [
        {"Config": BLOBS + sha256(config), "RepoTags": [name], "Layers": [BLOBS + layer.digest for layer in layers]}
    ]
    return {
        "oci-layout": _LAYOUT,
        INDEX: msgspec.json.encode(index, order="sorted"),
        "manifest.json": msgspec.json.encode(for_docker, order="sorted"),
        BLOBS + sha256(config): config,
        BLOBS + sha256(manifest): manifest,
    }


def dockerfile(manifest: Manifest, form: str, layers: Sequence[Layer], start: Start) -> bytes:
    """The same image for those who build with Docker: run it in the layout's folder, where the layers are."""
    lines = [
        "# docker build -f Dockerfile FOLDER, where FOLDER is the image's layout: ADD unpacks its layers.",
        "FROM scratch",
        *(f"# {layer.name}\nADD {BLOBS}{layer.digest} /" for layer in layers),
        *(f"ENV {name}={_quoted(value)}" for name, value in sorted(variables(start).items())),
        *(f"LABEL {name}={_quoted(value)}" for name, value in sorted(labels(manifest, form).items())),
        f"USER {USER}",
        "WORKDIR /tmp",
        f"EXPOSE {PORT}",
        f"ENTRYPOINT {msgspec.json.encode(entry_point()).decode()}",
        f"CMD {msgspec.json.encode(list(start.arguments)).decode()}",
    ]
    return ("\n".join(lines) + "\n").encode()


def write_tar(files: Iterable[tuple[TreeEntry, Iterable[bytes]]], out: BinaryIO) -> None:
    """A layout as one tar, the same bytes for the same layout: `docker load`, `skopeo copy oci-archive:…`."""
    with tarfile.open(fileobj=out, mode="w|", format=tarfile.PAX_FORMAT) as archive:
        for entry, pieces in files:
            header = tarfile.TarInfo(entry.path)
            header.size, header.mode = entry.size, 0o644
            archive.addfile(header, BytesIO(b"".join(pieces)))


def _quoted(value: str) -> str:
    return msgspec.json.encode(value).decode()
