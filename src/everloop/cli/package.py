"""`everloop package`: a model version as one file that runs elsewhere."""

from __future__ import annotations

from pathlib import Path

import click

from everloop.cli.door import Command, this_door
from everloop.cli.reference import reference


@click.command(cls=Command)
@click.argument("model", metavar="MODEL[@VERSION|@ALIAS]")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="The file to write.")
def package(model: str, out: Path | None) -> None:
    """Pack a model version into one file that runs with Python alone, the same bytes each time."""
    door = this_door()
    asked = reference(model)
    built = door.call("packages.build", {"model": asked.name, "version": asked.version, "alias": asked.alias})
    if out is not None:
        temporary = out.with_name(f".{out.name}.partial")
        temporary.write_bytes(door.get_object(built.digest))
        temporary.replace(out)
    door.show(built)
