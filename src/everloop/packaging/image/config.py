"""The papers of an image: configuration and manifest as the OCI image specification has them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

import msgspec

from everloop.kernel.usecase import Json
from everloop.packaging.entities import Manifest
from everloop.packaging.image.interpreter import PYTHON
from everloop.packaging.image.layers import Layer

FOLDER = "opt/ml/model"
"""Where the package lies in an image: the place that SageMaker mounts models at."""
USER = "10001:10001"
PORT = 8080
MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
INDEX_TYPE = "application/vnd.oci.image.index.v1+json"
LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar+gzip"
EPOCH = "1970-01-01T00:00:00Z"
_SERVER = "everloop.server.inference.standalone"
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "ppc64le": "ppc64le", "s390x": "s390x"}


class Start(msgspec.Struct, frozen=True):
    """How an image is started: the arguments of its server, its variables."""

    arguments: tuple[str, ...] = ()
    variables: dict[str, str] = {}


def entry_point() -> list[str]:
    """What an image runs: its server, on the package that lies in it."""
    return [f"/{PYTHON}", "-I", "-m", _SERVER, f"/{FOLDER}"]


def labels(manifest: Manifest, form: str) -> dict[str, str]:
    """What registries and clusters show of an image."""
    return {
        "org.opencontainers.image.title": manifest.model,
        "org.opencontainers.image.version": str(manifest.version),
        "org.opencontainers.image.description": f"Model {manifest.model}, version {manifest.version}",
        "org.opencontainers.image.base.name": "scratch",
        "io.everloop.model.digest": manifest.model_digest,
        "io.everloop.made-with": manifest.created_with,
        "io.everloop.form": form,
        "io.everloop.sbom": f"/{FOLDER}/sbom.cdx.json",
        "com.amazonaws.sagemaker.capabilities.accept-bind-to-port": "true",
    }


def variables(start: Start) -> dict[str, str]:
    """The environment that the server is started in."""
    return {
        "PATH": f"/{PYTHON.rpartition('/')[0]}",
        "LANG": "C.UTF-8",
        "HOME": "/tmp",
        "ORT_DISABLE_TELEMETRY": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        **start.variables,
    }


def configuration(manifest: Manifest, form: str, machine: str, layers: Sequence[Layer], start: Start) -> bytes:
    """The image's configuration."""
    config: dict[str, Json] = {
        "User": USER,
        "ExposedPorts": {f"{PORT}/tcp": {}},
        "Env": [f"{name}={value}" for name, value in sorted(variables(start).items())],
        "Entrypoint": list(entry_point()),
        "Cmd": list(start.arguments),
        "WorkingDir": "/tmp",
        "Labels": dict(labels(manifest, form)),
        "StopSignal": "SIGTERM",
    }
    body: dict[str, Json] = {
        "created": EPOCH,
        "architecture": _ARCHITECTURES.get(machine, machine),
        "os": "linux",
        "config": config,
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{layer.diff}" for layer in layers]},
        "history": [{"created": EPOCH, "created_by": f"everloop package: {layer.name}"} for layer in layers],
    }
    return msgspec.json.encode(body, order="sorted")


def image_manifest(config: bytes, layers: Sequence[Layer], annotations: Mapping[str, str]) -> bytes:
    """What names the configuration and the layers: its digest is the image's."""
    described: list[Json] = [
        {
            "mediaType": LAYER_TYPE,
            "digest": f"sha256:{layer.digest}",
            "size": layer.size,
            "annotations": {"io.everloop.layer": layer.name},
        }
        for layer in layers
    ]
    body: dict[str, Json] = {
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "config": {"mediaType": CONFIG_TYPE, "digest": f"sha256:{sha256(config)}", "size": len(config)},
        "layers": described,
        "annotations": dict(annotations),
    }
    return msgspec.json.encode(body, order="sorted")


def sha256(data: bytes) -> str:
    """The digest that images are addressed by, as hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()
