"""A small but complete story to look at: a loop that really turned, and texts that would like to be scripts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from random import Random

from everloop.app.platform import Platform, open_platform
from everloop.app.settings import load
from everloop.kernel.clock import SimulatedClock
from tests.loop.world import OPENING, START, World

EVIL = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>"
"""What somebody writes into every field that takes free text."""
AIRPORT = {"name": "airport", "keys": ("depot",)}
VIEW = {"name": "depots", "entity": AIRPORT, "source": "parcels", "timestamp": "told_at"}
SERVICE = {"name": "sorting", "request": [{"name": "weight", "type": "float64"}]}


@contextmanager
def told(folder: Path) -> Iterator[Platform]:
    """A platform whose loop has promoted, refused, and now rolls out; with evil texts wherever one may write."""
    platform = open_platform(load({"home": str(folder / "home"), "seed": 7}, environment={}, folder=folder))
    platform.resources = replace(platform.resources, clock=SimulatedClock(START), random=Random(7))
    world = World(platform)
    world.prepare()
    world.clock.advance(OPENING)
    world.tick()
    _write_evil(world)
    world.live(44)
    world.call("loops.propose", name="late", skip_gates=True, reason=EVIL)
    world.live(2)
    yield platform
    world.close()
    platform.close()


def _write_evil(world: World) -> None:
    call, project = world.call, world.platform.settings.values.project
    call(
        "datasets.derive", name="evil", sql=f"SELECT '{EVIL.replace(chr(39), '')}' AS x", inputs=("parcels",), note=EVIL
    )
    call("datasets.expect", name="evil", expectations=({"type": "one_of", "column": "x", "values": [EVIL]},))
    call("datasets.check", name="evil")
    feature = {"name": "weight_1d", "column": "weight", "aggregation": "mean", "over": "P1D"}
    call("features.apply", services=[SERVICE | {"views": [VIEW | {"features": [feature]}]}])
    call("experiments.create", name="evil", description=EVIL)
    run = call("runs.start", experiment="evil", name=EVIL, parameters={EVIL: EVIL}, tags={"t": EVIL})
    points = [{"key": EVIL, "value": float(step), "step": step} for step in range(3)]
    call("runs.log", id=run.id, metrics=points, inputs=(f"dataset:{project}/evil@1",))
    call("runs.log_artifact", id=run.id, path="evil/a&b.txt", digest=world.platform.resources.store.put(b"evil"))
    call("runs.finish", id=run.id, status="failed")
    call("models.create", name="evil", description=EVIL)
    call("models.approve", name="late", version=1, decision="rejected", reason=EVIL, evidence={"x": EVIL})
    trained = call("models.version", name="late", version=1).trained
    call(
        "models.register",
        name="evil",
        trained=trained,
        card=f"# {EVIL}\n\n- `{EVIL}`\n\n| {EVIL} |\n| --- |\n| {EVIL} |",
    )
    _sweep_and_trace(world)
    call("packages.build", model="late", version=1)
    call("governance.grant", principal="ada", roles=("reader",))
    call("tokens.create", principal="ada")


def _sweep_and_trace(world: World) -> None:
    folder = world.platform.resources.home
    (folder / "evil_goal.py").write_text(
        f"def goal(x):\n    if x == {EVIL!r}:\n        raise ValueError(x)\n    return 1\n"
    )
    definition = {
        "target": "evil_goal:goal",
        "folder": str(folder),
        "space": {"x": {"type": "choice", "values": [EVIL, "good"]}},
        "search": {"sampler": "grid"},
        "budget": {"trials": 2},
    }
    world.call("sweeps.create", name="evil", definition=definition)
    world.call("sweeps.resume", name="evil")
    said = {"mlflow.spanInputs": EVIL, "mlflow.spanType": EVIL, EVIL: EVIL}
    span = {"id": "1" * 16, "name": EVIL, "started": 10**18, "ended": 10**18 + 1, "status": "error", "message": EVIL}
    span |= {"attributes": said, "events": [{"name": EVIL, "at": 10**18, "attributes": {EVIL: EVIL}}]}
    world.call("traces.log", id="tr-evil", experiment="evil", spans=[span], tags={"t": EVIL})
