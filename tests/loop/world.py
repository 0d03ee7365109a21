"""A small world for loops: parcels are asked about four times a day, and are told late or not six hours later."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import Connection

from everloop.app import project
from everloop.app.platform import Platform
from everloop.catalog.database import Database
from everloop.datasets.content import write_table
from everloop.kernel.clock import SimulatedClock
from everloop.loop import declare as el
from everloop.loop.controller import forget
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
PIPELINES = ("fit", "fit_quantity", "fit_backwards", "fit_nothing", "count")


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


class Died(BaseException):
    """The process was killed here."""


class Dying:
    """A database under a process that is killed just before its n-th write."""

    def __init__(self, database: Database, writes: int) -> None:
        self.engine, self.url = database.engine, database.url
        self._database = database
        self._left = writes

    def begin(self, connection: Connection, *, write: bool) -> None:
        self._left -= write
        if write and self._left == 0:
            raise Died
        self._database.begin(connection, write=write)

    def close(self) -> None:
        self._database.close()


@cache
def parcels() -> pa.Table:
    """Everything that is ever asked about."""
    random = np.random.default_rng(5)
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

    def __init__(self, platform: Platform) -> None:
        self.platform = platform
        assert isinstance(platform.resources.clock, SimulatedClock)
        self.clock = platform.resources.clock
        platform.resources.ports.provide(Flavor, Curves, "curve")
        self.rows = parcels()
        self.folder = TOY
        self._predictor: EndpointPredictor | None = None

    def prepare(self) -> None:
        """Commit the data and apply the project, on a platform that has nothing yet."""
        write_table(self.platform.session(), "parcels", self.rows)
        pipelines = tuple(PipelineDefinition(name, f"loop_toy:{name}", str(TOY)) for name in PIPELINES)
        project.apply(self.platform, project.Declarations((), pipelines, (toy_loop(),)))

    def boost(self, folder: Path) -> None:
        """Let the loop train by LightGBM, with a copy of the project's code that a test may change."""
        self.folder = Path(shutil.copytree(TOY, folder))
        pipeline = PipelineDefinition("fit_boosted", "loop_boosted:fit_boosted", str(self.folder))
        self.call("pipelines.apply", definitions=(pipeline,))
        self.apply(pipeline="fit_boosted", gates=())

    def apply(self, **changes: object) -> None:
        """Change the loop's declaration."""
        self.call("loops.apply", loop=toy_loop(**changes))

    def call(self, use_case: str, **arguments: object) -> Any:
        """Call a use case as a door does."""
        return self.platform.call(use_case, arguments)

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

    def tick_until_killed(self, writes: int) -> bool:
        """A tick in a process that is killed before its n-th write, and comes up again; whether it was killed."""
        return self._killed(writes, self.tick)

    def roll_back_until_killed(self, writes: int) -> bool:
        """A rollback in a process that is killed before its n-th write; whether it was killed."""
        return self._killed(writes, lambda: self.call("loops.rollback", name="late", reason="x"))

    def _killed(self, writes: int, work: Callable[[], object]) -> bool:
        alive = self.platform.resources
        self.platform.resources = replace(alive, database=Dying(alive.database, writes))
        try:
            work()
        except Died:
            return True
        finally:
            self.platform.resources = alive
            forget(self.platform.session(), "late")
        return False

    def events(self) -> list[str]:
        """The kinds of events in the ledger, oldest first."""
        return [entry.kind for entry in reversed(self.platform.call("audit.entries", {"limit": 10_000}))]

    def close(self) -> None:
        """Give back the endpoint's files."""
        if self._predictor is not None:
            self._predictor.close()

    def restart(self) -> None:
        """Forget what is in memory, as a controller that dies does."""
        forget(self.platform.session(), "late")

    def grow(self, dataset: str) -> None:
        """Commit a dataset with its last row twice."""
        table = pa.concat_tables([self.rows, self.rows.slice(self.rows.num_rows - 1)])
        write_table(self.platform.session(), dataset, table)

    def story(self) -> list[tuple[object, ...]]:
        """What became of each candidate, and when."""
        return [(one.trigger, one.reason, one.status, one.outcome, one.units, one.ended) for one in self.candidates()]

    def live_without_tick(self, moments: int) -> None:
        """Let time pass while no controller runs."""
        for _ in range(moments):
            self._pass()

    def look_and_die(self) -> None:
        """A day passes; a controller reads all of it, and is killed before it writes anything."""
        self.live_without_tick(4)
        assert self.tick_until_killed(1)

    def _moment(self) -> TickReport:
        self._pass()
        return self.tick()

    def _pass(self) -> None:
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

    def _between(self, column: str, start: datetime) -> pa.Table:
        moment = pa.scalar(start, pa.timestamp("us", "UTC"))
        return self.rows.filter(pc.equal(self.rows[column], moment))
