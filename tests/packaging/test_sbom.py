"""Bills of materials: valid CycloneDX 1.6, and true."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from everloop.packaging.distributions import closure
from everloop.packaging.entities import Manifest
from everloop.packaging.sbom import bill_of_materials, model_bill
from everloop.registry.entities import Field, Model, ModelVersion, Signature
from everloop.store.entities import Digest, TreeEntry

DIGEST = Digest("d" * 64)
SIGNATURE = Signature(
    (Field("distance", "float64"), Field("image", "float32", shape=(28, 28))), (Field("probability", "float64"),)
)
MANIFEST = Manifest("delay", 3, DIGEST, SIGNATURE, "a:B", (), (TreeEntry("model.txt", DIGEST, 1),), "everloop 0.1.0")
TRAINED = Model(
    "lightgbm",
    DIGEST,
    SIGNATURE,
    "delay",
    2,
    "dataset:p/flights@1",
    "dataset:p/flights@2",
    {"auc": 0.7, "auc[a=b]": 0.5},
)
VERSION = ModelVersion("delay", 3, TRAINED, "run-1", "# Late flights\n\nWhich ones.", datetime(2026, 1, 1, tzinfo=UTC))


def bill(data: bytes) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.json.decode(data)
    return found


def problem_with(data: bytes) -> object:
    validation = pytest.importorskip("cyclonedx.validation.json")
    schema = pytest.importorskip("cyclonedx.schema")
    return validation.JsonStrictValidator(schema.SchemaVersion.V1_6).validate_str(data.decode())


def test_the_bill_of_software_follows_the_schema() -> None:
    assert problem_with(bill_of_materials(MANIFEST, closure(["starlette", "numpy"]))) is None


def test_the_bill_of_the_model_follows_the_schema() -> None:
    assert problem_with(model_bill(VERSION, MANIFEST)) is None


def test_the_bill_names_each_library_as_scanners_look_it_up() -> None:
    packed = closure(["starlette", "numpy"])
    components = {one["purl"]: one for one in bill(bill_of_materials(MANIFEST, packed))["components"] if "purl" in one}
    for one in packed:
        found = components[f"pkg:pypi/{one.name}@{one.version}"]
        assert found["hashes"] == [{"alg": "SHA-256", "content": one.sha256}]


def test_the_bill_says_what_requires_what() -> None:
    depends = {
        one["ref"]: one["dependsOn"]
        for one in bill(bill_of_materials(MANIFEST, closure(["starlette"])))["dependencies"]
    }
    (starlette,) = (ref for ref in depends if ref.startswith("pkg:pypi/starlette@"))
    assert any(ref.startswith("pkg:pypi/anyio@") for ref in depends[starlette])


def test_every_reference_of_a_bill_is_there() -> None:
    found = bill(bill_of_materials(MANIFEST, closure(["starlette"])))
    known = {one["bom-ref"] for one in found["components"]} | {found["metadata"]["component"]["bom-ref"]}
    used = {ref for one in found["dependencies"] for ref in [one["ref"], *one["dependsOn"]]}
    assert used <= known


def test_the_model_has_a_card_with_its_inputs_and_metrics() -> None:
    (model,) = bill(model_bill(VERSION, MANIFEST))["components"]
    card = model["modelCard"]
    assert model["type"] == "machine-learning-model"
    assert [one["format"] for one in card["modelParameters"]["inputs"]] == [
        "distance: float64",
        "image: float32[28, 28]",
    ]
    assert card["quantitativeAnalysis"]["performanceMetrics"] == [
        {"type": "auc", "value": "0.7"},
        {"type": "auc", "value": "0.5", "slice": "a=b"},
    ]


def test_the_model_says_what_it_was_made_of() -> None:
    (model,) = bill(model_bill(VERSION, MANIFEST))["components"]
    assert {"name": "everloop:run", "value": "run-1"} in model["properties"]
    assert [one["name"] for one in model["modelCard"]["modelParameters"]["datasets"]] == [
        "dataset:p/flights@1",
        "dataset:p/flights@2",
    ]


def test_equal_packages_have_equal_bills_and_others_have_other_numbers() -> None:
    other = msgspec.structs.replace(MANIFEST, version=4)
    numbers = [bill(model_bill(VERSION, manifest))["serialNumber"] for manifest in (MANIFEST, MANIFEST, other)]
    assert numbers[0] == numbers[1] != numbers[2]
