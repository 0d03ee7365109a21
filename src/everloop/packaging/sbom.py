"""Bills of materials, as CycloneDX 1.6 has them: what software is in a package, and what the model is."""

from __future__ import annotations

import platform
import uuid
from collections.abc import Sequence

import msgspec

from everloop.kernel.usecase import Json
from everloop.packaging.distributions import Packed
from everloop.packaging.entities import Manifest
from everloop.registry.entities import Field, ModelVersion

_SPACE = uuid.UUID("6ba7b811-9dad-11d1-80b4-00c04fd430c8")


def bill_of_materials(manifest: Manifest, libraries: Sequence[Packed]) -> bytes:
    """The software of a package: the interpreter, each distribution with what it requires, and the model itself."""
    components = [_interpreter(), _everloop(manifest), *map(_library, libraries), _model(manifest)]
    depends: list[Json] = [
        {"ref": _ref(one), "dependsOn": [f"pkg:pypi/{_versioned(libraries, name)}" for name in one.requires]}
        for one in libraries
    ]
    top: Json = {"ref": _top(manifest), "dependsOn": [component["bom-ref"] for component in components]}
    return _document(manifest, components, [top, *depends])


def model_bill(version: ModelVersion, manifest: Manifest) -> bytes:
    """The model: its card with inputs, outputs and metrics, its files with their hashes, and what it was trained on."""
    component = _model(manifest) | {"modelCard": _card(version), "properties": _provenance(version)}
    if version.card:
        component["description"] = version.card.strip().splitlines()[0].lstrip("# ")
    top: Json = {"ref": _top(manifest), "dependsOn": [component["bom-ref"]]}
    return _document(manifest, [component], [top])


def _document(manifest: Manifest, components: list[dict[str, Json]], depends: list[Json]) -> bytes:
    """The bill: its serial number follows from what it says, so that equal packages have equal bills."""
    body: dict[str, Json] = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "component": {
                "type": "application",
                "name": f"{manifest.model}-package",
                "version": str(manifest.version),
                "bom-ref": _top(manifest),
            },
            "tools": {"components": [{"type": "application", "name": "everloop", "version": _own(manifest)}]},
        },
        "components": list(components),
        "dependencies": depends,
    }
    serial = uuid.uuid5(_SPACE, msgspec.json.encode(body, order="sorted").decode())
    return msgspec.json.format(msgspec.json.encode(body | {"serialNumber": f"urn:uuid:{serial}"}), indent=1)


def _top(manifest: Manifest) -> str:
    return f"everloop:package:{manifest.model}@{manifest.version}"


def _own(manifest: Manifest) -> str:
    return manifest.created_with.rpartition(" ")[2]


def _interpreter() -> dict[str, Json]:
    version = platform.python_version()
    purl = f"pkg:generic/cpython@{version}"
    return {"type": "platform", "name": "cpython", "version": version, "purl": purl, "bom-ref": purl}


def _everloop(manifest: Manifest) -> dict[str, Json]:
    purl = f"pkg:pypi/everloop@{_own(manifest)}"
    return {"type": "library", "name": "everloop", "version": _own(manifest), "purl": purl, "bom-ref": purl}


def _ref(one: Packed) -> str:
    return f"pkg:pypi/{one.name}@{one.version}"


def _versioned(libraries: Sequence[Packed], name: str) -> str:
    version = next((one.version for one in libraries if one.name == name), "")
    return f"{name}@{version}"


def _library(one: Packed) -> dict[str, Json]:
    found: dict[str, Json] = {
        "type": "library",
        "name": one.name,
        "version": one.version,
        "purl": _ref(one),
        "bom-ref": _ref(one),
        "hashes": [{"alg": "SHA-256", "content": one.sha256}],
    }
    return found | ({"licenses": [{"license": {"name": one.license}}]} if one.license else {})


def _model(manifest: Manifest) -> dict[str, Json]:
    files: list[Json] = [
        {"type": "file", "name": entry.path, "hashes": [{"alg": "BLAKE3", "content": entry.digest}]}
        for entry in (*manifest.files, *manifest.compiled)
    ]
    return {
        "type": "machine-learning-model",
        "name": manifest.model,
        "version": str(manifest.version),
        "bom-ref": f"everloop:model:{manifest.model}@{manifest.version}",
        "hashes": [{"alg": "BLAKE3", "content": manifest.model_digest}],
        "components": [file | {"bom-ref": f"everloop:file:{at}:{file['name']}"} for at, file in enumerate(files)],  # type: ignore[index,operator,call-overload]  # objects all
    }


def _card(version: ModelVersion) -> Json:
    trained = version.trained
    metrics: list[Json] = [_metric(name, value) for name, value in sorted(trained.metrics.items())]
    kind = "classification" if "probab" in " ".join(field.name for field in trained.signature.outputs) else "prediction"
    data: list[Json] = [{"type": "dataset", "name": urn} for urn in (trained.training, trained.holdout) if urn]
    parameters: dict[str, Json] = {
        "task": kind,
        "architectureFamily": trained.flavor,
        "inputs": [{"format": _format(field)} for field in trained.signature.inputs],
        "outputs": [{"format": _format(field)} for field in trained.signature.outputs],
    }
    return {
        "modelParameters": parameters | ({"datasets": data} if data else {}),
        "quantitativeAnalysis": {"performanceMetrics": metrics},
    }


def _metric(name: str, value: float) -> Json:
    metric, _, slice = name.partition("[")
    found: dict[str, Json] = {"type": metric, "value": repr(value)}
    return found | ({"slice": slice.rstrip("]")} if slice else {})


def _format(field: Field) -> str:
    return f"{field.name}: {field.type}{list(field.shape) if field.shape else ''}"


def _provenance(version: ModelVersion) -> Json:
    trained = version.trained
    known = {
        "everloop:run": version.run,
        "everloop:features": f"{trained.features}@{trained.features_version}" if trained.features else "",
        "everloop:label": trained.label,
        "everloop:flavor": trained.flavor,
    }
    return [{"name": name, "value": value} for name, value in known.items() if value]
