"""A small world for loops: parcels are asked about four times a day, and are told late or not six hours later."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa

from everloop.app import project
from everloop.app.platform import Platform
from everloop.datasets.content import write_table
from everloop.kernel.clock import SimulatedClock
from everloop.loop import declare as el
from everloop.loop.entities import Candidate, Loop, TickReport
from everloop.pipelines.entities import PipelineDefinition
from everloop.registry.entities import Field, Finding, Signature
from everloop.registry.flavor import Flavor
from everloop.serving.entities import Label
from everloop.serving.predictor import EndpointPredictor

TOY = Path(__file__).parent / "toy"
START = datetime(2026, 1, 1, tzinfo=UTC)
OPENING = datetime(2026, 1, 16, tzinfo=UTC)
"""When the first model is made; what came before is history."""
FLIP = datetime(2026, 1, 24, tzinfo=UTC)
"""From then on light parcels are late instead of heavy ones."""
DAYS, A_DAY = 40, 200
MOMENT = timedelta(hours=6)
PIPELINES = ("fit", "fit_backwards", "fit_nothing", "count")


class Curve(msgspec.Struct):
    """A logistic curve over the weight."""

    constant: float
    factor: float
    inputs: tuple[Field, ...] = ()

    def predict(self, columns: Mapping[str, np.ndarray]) -> np.ndarray:
        weight = np.nan_to_num(columns["weight"].astype(float))
        return 1 / (1 + np.exp(-(self.constant + self.factor * weight)))

    def contributions(self, columns: Mapping[str, np.ndarray]) -> np.ndarray:
        weight = np.nan_to_num(columns["weight"].astype(float))
        return np.stack([self.factor * weight, np.zeros(len(weight))], axis=1)


class Curves:
    """The flavor of curves: a real implementation of the port, without the weight of a library."""

    name = "curve"

    def save(self, native: object, folder: Path, signature: Signature) -> None:
        fields = dict(native) | {"inputs": signature.inputs}  # type: ignore[call-overload]
        (folder / "curve.json").write_bytes(msgspec.json.encode(fields))

    def load(self, folder: Path) -> Curve:
        return msgspec.json.decode((folder / "curve.json").read_bytes(), type=Curve)

    def scan(self, folder: Path) -> list[Finding]:
        return []

    def requirements(self) -> list[str]:
        return []


def parcels(seed: int = 5) -> pa.Table:
    """Everything that is ever asked about."""
    random = np.random.default_rng(seed)
    at = np.array(
        [START + timedelta(days=day, hours=6 * (n * 4 // A_DAY)) for day in range(DAYS) for n in range(A_DAY)]
    )
    weight = random.normal(size=len(at))
    lean = np.where(at < FLIP, 2.0, -2.0) * weight - 1
    late = (random.random(len(at)) < 1 / (1 + np.exp(-lean))).astype(float)
    stamp = pa.timestamp("us", "UTC")
    return pa.table(
        {
            "parcel": [f"p{n}" for n in range(len(at))],
            "at": pa.array(at.tolist(), stamp),
            "told_at": pa.array([one + MOMENT for one in at.tolist()], stamp),
            "weight": weight,
            "depot": np.array(["north", "south"])[random.integers(0, 2, len(at))],
            "late": late,
        }
    )


def toy_loop(**changes: object) -> Loop:
    """The loop around the toy's model."""
    loop = el.Loop(
        model="late",
        pipeline="fit",
        label=el.Label("late", key="parcel", within="12h", source="parcels", at="at"),
        triggers=[el.performance("roc_auc", drop=0.1, over="2d", minimum=200)],
        gates=[el.better_than("champion", "roc_auc"), el.latency(p99="50ms"), el.tests("loop_behaviour")],
        rollout=el.Canary([20, 50], hold="6h", guards=[el.better_or_equal("log_loss"), el.minimum_labels(5)]),
        limits=el.Limits(cooldown="1d"),
    )
    return msgspec.structs.replace(loop, **changes)


class World:
    """The platform with the toy project applied, its clock, and its endpoint once there is one."""

    def __init__(self, platform: Platform, loop: Loop) -> None:
        self.platform = platform
        assert isinstance(platform.resources.clock, SimulatedClock)
        self.clock = platform.resources.clock
        platform.resources.ports.provide(Flavor, Curves, "curve")
        self.rows = parcels()
        write_table(platform.session(), "parcels", self.rows)
        pipelines = tuple(PipelineDefinition(name, f"loop_toy:{name}", str(TOY)) for name in PIPELINES)
        project.apply(platform, project.Declarations((), pipelines, (loop,)))
        self.clock.advance(OPENING)
        self._predictor: EndpointPredictor | None = None

    def call(self, name: str, **arguments: object) -> object:
        """Call a use case as a door does."""
        return self.platform.call(name, arguments)

    def tick(self) -> TickReport:
        """One moment of the controller."""
        return self.platform.call("loops.tick", {"name": "late"})

    def live(self, moments: int) -> list[TickReport]:
        """Let time pass, six hours at a time: parcels are asked about, earlier ones are told, the loop ticks."""
        return [self._moment() for _ in range(moments)]

    def until(self, status: str, moments: int = 60) -> Candidate:
        """Let time pass until the newest candidate has come to a state."""
        for _ in range(moments):
            newest = self.candidates()[0]
            if newest.status == status:
                return newest
            self._moment()
        raise AssertionError(f"the newest candidate is {self.candidates()[0]}")

    def candidates(self) -> list[Candidate]:
        """The candidates, newest first."""
        return self.platform.call("loops.candidates", {"name": "late"})

    def champion(self) -> int:
        """The version that the alias names."""
        return self.platform.call("loops.status", {"name": "late"}).champion

    def served(self) -> dict[int, float]:
        """The percentage of the traffic that each version answers."""
        endpoint = self.platform.call("endpoints.get", {"name": "late"})
        version = {one.revision: one.version for one in self.platform.call("endpoints.deployments", {"name": "late"})}
        return {version[share.deployment]: share.percent for share in endpoint.traffic}

    def restart(self) -> None:
        """Forget everything that is in memory, as a process that died does."""
        from everloop.loop.controller import forget

        forget(self.platform.session(), "late")

    def events(self) -> list[str]:
        """The kinds of events in the ledger, oldest first."""
        return [entry.kind for entry in reversed(self.platform.call("audit.entries", {"limit": 10_000}))]

    def close(self) -> None:
        """Give back the endpoint's files."""
        if self._predictor is not None:
            self._predictor.close()

    def _moment(self) -> TickReport:
        before = self.clock.now()
        self.clock.advance(before + MOMENT)
        self._predictor = self._predictor or EndpointPredictor(self.platform.session(), "late")
        self._predictor.refresh()
        asked = self._between("at", before)
        if asked.num_rows:
            columns = {name: asked[name].to_numpy(zero_copy_only=False) for name in ("weight", "depot", "parcel")}
            self._predictor.predict(columns, at=before)
        told = self._between("told_at", before)
        self._predictor.feedback(
            [Label(key, value) for key, value in zip(told["parcel"].to_pylist(), told["late"].to_pylist(), strict=True)]
        )
        return self.tick()

    def _between(self, column: str, start: datetime) -> pa.Table:
        import pyarrow.compute as pc

        moment = pa.scalar(start, pa.timestamp("us", "UTC"))
        return self.rows.filter(pc.equal(self.rows[column], moment))
