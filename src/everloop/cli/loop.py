"""The commands of the loop: `status`, `trace`, `simulate`, `reproduce`, `rollback`."""

from __future__ import annotations

import click

from everloop.cli.door import Command, this_door
from everloop.cli.reference import reference
from everloop.cli.usecases import shortcut

trace = shortcut("trace", "loops.trace")
simulate = shortcut("simulate", "loops.simulate")
rollback = shortcut("rollback", "loops.rollback")


@click.command(cls=Command)
def status() -> None:
    """How every loop is, and what every endpoint serves."""
    door = this_door()
    loops = [door.call("loops.status", {"name": loop.name}) for loop in door.call("loops.list", {})]
    endpoints = door.call("endpoints.list", {})
    if door.json:
        door.show({"loops": loops, "endpoints": endpoints})
        return
    if not (loops or endpoints):
        click.echo("Nothing is set up yet. everloop init starts a project, everloop demo shows one.")
    for found in (*loops, *endpoints):
        door.show(found)
        click.echo()


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
