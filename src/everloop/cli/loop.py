"""The commands of the loop: `status`, `trace`, `simulate`, `reproduce`, `rollback`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from everloop.cli.door import Command, this_door
from everloop.cli.reference import reference
from everloop.cli.usecases import shortcut

if TYPE_CHECKING:
    from everloop.app.workers import ServingStatus
    from everloop.cli.door import Door
    from everloop.loop.entities import LoopStatus, Trace

_SHOWN = 8


def _told(found: Trace) -> str:
    from everloop.loop.tracing import rendered

    return rendered(found)


def _stands(found: LoopStatus) -> str:
    """What matters of a loop, in a few lines."""
    declared, candidate = found.loop.declaration, found.candidate
    promoted = f", promoted {found.last_promotion:%Y-%m-%d %H:%M} UTC" if found.last_promotion else ""
    lines = {
        "champion": f"{declared.model}@{found.champion}{promoted}" if found.champion else "none yet",
        "candidate": f"version {candidate.version or '–'} ({candidate.trigger}) is {candidate.status}"
        if candidate
        else "none on its way",
        "so far": f"{found.candidates} candidates, {found.promoted} promoted, {found.stopped} stopped",
        "retrains": f"{found.retrains_this_month} this month of {declared.limits.retrains_per_month or 'any number'}",
        "held back": found.held_back,
    }
    told = [f"  {name:<10} {line}" for name, line in lines.items() if line]
    return "\n".join([f"{click.style('loop', bold=True)} {found.loop.name}, revision {found.loop.revision}", *told])


trace = shortcut("trace", "loops.trace", _told)
simulate = shortcut("simulate", "loops.simulate")
rollback = shortcut("rollback", "loops.rollback", _stands)


def _serving(door: Door) -> list[ServingStatus]:
    """The workers on this machine; over HTTP nobody tells of them."""
    from everloop.app.platform import Platform
    from everloop.app.workers import serving_statuses

    return serving_statuses(door.platform.resources.home) if isinstance(door.platform, Platform) else []


def _looked_after(found: ServingStatus) -> str:
    """How the workers of one process are, in a line; why a model is not run, too."""
    memory = sum(worker.memory_mb for worker in found.workers)
    died = f", {found.restarts} restarted (last: {found.last_death})" if found.restarts else ""
    line = f"{found.what}: {found.ready} of {found.wanted} take requests at {found.address}, {memory:,} MB{died}"
    return "\n  ".join([line, *(f"quarantined: {reason}" for reason in found.quarantined.values())])


@click.command(cls=Command)
def status() -> None:
    """How every loop is, what every endpoint serves, and which data there is."""
    door = this_door()
    loops = [door.call("loops.status", {"name": loop.name}) for loop in door.call("loops.list", {})]
    endpoints = door.call("endpoints.list", {})
    datasets = door.call("datasets.list", {})
    serving = _serving(door)
    if door.json:
        door.show({"loops": loops, "endpoints": endpoints, "datasets": datasets, "serving": serving})
        return
    if not (loops or endpoints or datasets):
        click.echo("Nothing is set up yet. everloop init starts a project, everloop demo shows one.")
    for loop in loops:
        click.echo(_stands(loop))
    for endpoint in endpoints:
        shares = ", ".join(f"deployment {one.deployment} {one.percent:g} % ({one.role})" for one in endpoint.traffic)
        click.echo(f"{click.style('endpoint', bold=True)} {endpoint.name}: {shares}")
    for one in serving:
        click.echo(f"{click.style('workers', bold=True)} {_looked_after(one)}")
    if datasets:
        newest = sorted(datasets, key=lambda one: one.created, reverse=True)
        shown = ", ".join(f"{one.name}@{one.latest}" for one in newest[:_SHOWN])
        more = f" and {len(newest) - _SHOWN:,} more (everloop datasets list)" if len(newest) > _SHOWN else ""
        click.echo(f"{click.style('data', bold=True)} {shown}{more}")


@click.command(cls=Command)
@click.argument("model", metavar="MODEL[@VERSION|@ALIAS]")
def reproduce(model: str) -> int:
    """Run the training of a model version again, in a fresh process, and compare every hash.

    The exit code is 6 when something came out differently.
    """
    from everloop.kernel.errors import Refused

    door = this_door()
    asked = reference(model)
    version = door.call("models.version", {"name": asked.name, "version": asked.version, "alias": asked.alias})
    found = door.call("loops.reproduce", {"model": asked.name, "version": version.version})
    door.show(found)
    return 0 if found.equal else Refused.exit_code
