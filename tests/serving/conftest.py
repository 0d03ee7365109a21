"""Models that are formulas, an endpoint on each kind of features, and real processes that serve."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa
import pytest

from everloop.app.platform import Platform
from everloop.datasets.content import write_table
from everloop.features import service as features
from everloop.features.declare import Entity, FeatureService, FeatureView, table
from everloop.registry import service as models
from everloop.registry.entities import Field, Finding, Signature
from everloop.registry.flavor import Flavor
from everloop.registry.save import save_model
from everloop.serving import service as endpoints
from everloop.serving.entities import Endpoint
from everloop.serving.predictor import EndpointPredictor

HOUR = datetime(2026, 1, 1, tzinfo=UTC)
PLAIN = (Field("x", "float64"), Field("carrier", "string"))
FED = (Field("airport_weather.wind", "float64"), Field("distance", "float64"), Field("origin", "string"))
OUTPUT = (Field("probability", "float64"),)
NAMED = (Field("verdict", "string"), Field("classes", "float64", shape=(2,)), *OUTPUT)


class Formula(msgspec.Struct):
    """A model: `constant + factor * input`; it may raise instead, or give NaN where the input is over a limit."""

    input: str = "x"
    constant: float = 0.0
    factor: float = 0.0
    raises: bool = False
    nan_over: float = 1e300
    inputs: tuple[Field, ...] = PLAIN
    is_named: bool = False

    def predict(self, columns: Mapping[str, np.ndarray]) -> np.ndarray:
        if self.raises:
            raise RuntimeError("this model is broken")
        values = columns[self.input].astype(float)
        return np.where(values > self.nan_over, np.nan, self.constant + self.factor * np.nan_to_num(values))

    def contributions(self, columns: Mapping[str, np.ndarray]) -> np.ndarray:
        return np.zeros((len(columns[self.input]), len(self.inputs)))


class Named(Formula):
    """The same with outputs of other kinds: a text, a vector, and the number."""

    def infer(self, columns: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        numbers = self.predict(columns)
        texts = np.array(["late" if number > 0.5 else "in time" for number in numbers], dtype=object)
        return {"verdict": texts, "classes": np.stack([1 - numbers, numbers], axis=1), "probability": numbers}


class Formulas:
    """The flavor of formulas: a real implementation of the port, without the weight of a library."""

    name = "formula"

    def save(self, native: object, folder: Path, signature: Signature) -> None:
        (folder / "formula.json").write_bytes(msgspec.json.encode(native))

    def load(self, folder: Path) -> Formula:
        formula = msgspec.json.decode((folder / "formula.json").read_bytes(), type=Formula)
        return Named(**msgspec.structs.asdict(formula)) if formula.is_named else formula

    def scan(self, folder: Path) -> list[Finding]:
        return []

    def requirements(self) -> list[str]:
        return []


class World:
    """A platform with models and endpoints on it."""

    def __init__(self, platform: Platform) -> None:
        self.platform = platform
        platform.resources.ports.provide(Flavor, Formulas, "formula")

    def register(self, name: str = "delay", service: str = "", **formula: object) -> int:
        """Register a formula as the model's next version; its number."""
        made = Formula(**{"inputs": FED if service else PLAIN} | formula)
        session = self.platform.session()
        with session.begin() as unit, unit.activate():
            signature = Signature(made.inputs, NAMED if made.is_named else OUTPUT)
            trained = save_model(made, flavor="formula", signature=signature)
            trained = msgspec.structs.replace(trained, features=service, features_version=1 if service else 0)
            return models.register(unit, name, trained).version

    def create(self, name: str = "delay", label_key: str = "", **arguments: object) -> Endpoint:
        """Make an endpoint for the model `delay`."""
        with self.platform.session().begin() as unit:
            return endpoints.create(unit, name, "delay", label_key=label_key, **arguments)

    def call(self, use_case: str, **arguments: object) -> object:
        """Call a use case as a door does."""
        return self.platform.call(use_case, arguments)

    def traffic(self, *shares: tuple[int, float, str], endpoint: str = "delay") -> Endpoint:
        """Divide the endpoint's traffic."""
        given = [{"deployment": d, "percent": p, "role": role} for d, p, role in shares]
        return self.platform.call("endpoints.set_traffic", {"name": endpoint, "shares": given})

    def canary(self, percent: float, **formula: object) -> None:
        """Register and deploy another version, and give it a part of the traffic."""
        self.call("endpoints.deploy", name="delay", version=self.register(**formula))
        self.traffic((1, 100 - percent, "stable"), (2, percent, "canary"))

    def predictor(self, name: str = "delay") -> EndpointPredictor:
        """The endpoint's predictor in this process."""
        return EndpointPredictor(self.platform.session(), name)


@pytest.fixture
def world(platform: Platform) -> World:
    """The platform, with the flavor of formulas."""
    return World(platform)


@pytest.fixture
def service(world: World) -> str:
    """A feature service: the wind at the airport `origin`, materialized, and the request's distance and origin."""
    rows = {"origin": ["JFK", "LGA"], "at": pa.array([HOUR, HOUR], pa.timestamp("us", "UTC")), "wind": [10.0, 20.0]}
    write_table(world.platform.session(), "weather", pa.table(rows))
    weather = FeatureView(
        "airport_weather",
        entity=Entity("airport", keys=["origin"]),
        source=table("weather"),
        timestamp="at",
        ttl="3h",
        features=lambda t: [t.wind],
    )
    declared = FeatureService("flight", views=[weather], request={"distance": "float64", "origin": "string"})
    with world.platform.session().begin() as unit:
        features.apply(unit, (declared,))
    features.materialize(world.platform.session(), "flight", HOUR)
    return "flight"


def column(*values: object) -> np.ndarray:
    """A column as the doors make them."""
    return np.array(values, dtype=float if all(isinstance(v, int | float) for v in values) else object)


def plain(*x: float) -> dict[str, np.ndarray]:
    """A request for a model without features."""
    return {"x": column(*x), "carrier": np.array(["AA"] * len(x), dtype=object)}
